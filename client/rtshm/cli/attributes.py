"""The settings of a region, as the command has them: options of create and set, keys of save."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any, NamedTuple

import click

from rtshm.cli import units
from rtshm.cli.parameters import parsed
from rtshm.settings import SETTINGS, Changes, Clock, Creation, Kind, PrintMode, Setting, field_of


class Form(NamedTuple):
    """How values of one kind are typed, and shown again."""

    metavar: str
    parse: Callable[[str], Any]
    """A value of a text. Raises ValueError that says what is right."""
    text: Callable[[Any], str | int]
    note: str = ""
    """What help says of it."""
    numbers: bool = False
    """Whether a number of TOML is one, too."""
    choices: tuple[str, ...] = ()


def _member(members: type[PrintMode | Clock], text: str) -> Any:
    try:
        return members(text)
    except ValueError:
        raise ValueError(f"{text!r} is not one of {', '.join(members)}") from None


def _line(text: str) -> str:
    if "\0" in text:
        raise ValueError(f"{text!r} has a NUL in it, which would end it")
    return text


_NAME = "a name or a number"
FORMS = {
    Kind.ADDRESS: Form(
        "ADDRESS", units.parse_address, units.address_text, "for example 0x40000000"
    ),
    Kind.BYTES: Form("BYTES", units.parse_size, units.size_text, "for example 4096, 64K, 1M", True),
    Kind.CLOCK: Form("", partial(_member, Clock), str, choices=tuple(map(str, Clock))),
    Kind.COUNT: Form("N", units.parse_number, int, numbers=True),
    Kind.DURATION: Form("TIME", units.parse_time, units.time_text, "for example 20us, 1ms"),
    Kind.FLAG: Form("", bool, bool),
    Kind.GROUP: Form("GROUP", units.parse_group, units.group_text, _NAME, True),
    Kind.LAYOUT: Form("TEXT", _line, str, "for example 'speed:f64 gain:f32'"),
    Kind.MODE: Form("MODE", units.parse_mode, units.mode_text, "for example 0660"),
    Kind.MOMENT: Form("NS", units.parse_count, int),
    Kind.PERIOD: Form("TIME", units.period_nanoseconds, units.period_text, "for example 2s, 100us"),
    Kind.PRINT: Form("", partial(_member, PrintMode), str, choices=tuple(map(str, PrintMode))),
    Kind.USER: Form("USER", units.parse_user, units.user_text, _NAME, True),
}
NAMES = {"record_depth": "depth", "uid": "owner", "gid": "group"}
"""Options with another name than the keyword."""


@dataclass(frozen=True, slots=True)
class Attribute:
    """A setting of a region."""

    keyword: str
    """Its keyword of Control."""

    @property
    def setting(self) -> Setting:
        return SETTINGS[self.keyword]

    @property
    def option(self) -> str:
        """Its option, and its key in what save writes."""
        return NAMES.get(self.keyword, self.keyword.replace("_", "-"))

    @property
    def field(self) -> str:
        """RegionInfo's name of it."""
        return field_of(self.keyword)

    @property
    def settable(self) -> bool:
        """Whether set can change it; to None it cannot, nor back."""
        return self.keyword in Changes.__annotations__

    def shown(self, value: Any) -> str | int:
        setting = self.setting
        return setting.none if value is None else FORMS[setting.kind].text(value)

    def parse(self, value: object) -> Any:
        """Return the value of what TOML has. Raise ValueError that says what is right."""
        kind, form = self.setting.kind, FORMS[self.setting.kind]
        if self.setting.none and value == self.setting.none:
            return None
        if kind is Kind.FLAG:
            if not isinstance(value, bool):
                raise ValueError(f"{value!r} is neither true nor false")
            return value
        # True is an int, too.
        if form.numbers and type(value) is int:
            return form.parse(str(value))
        if kind is Kind.COUNT:
            raise ValueError(f"{value!r} is not a number")
        if not isinstance(value, str) and not form.choices:
            raise ValueError(f"{value!r} is not text; put it in quotes")
        return form.parse(value)  # type: ignore[arg-type]

    def add_option(self, command: Callable[..., Any]) -> Callable[..., Any]:
        names, setting, form = (
            (f"--{self.option}", self.keyword),
            self.setting,
            FORMS[self.setting.kind],
        )
        default = f"default: {setting.default}" if setting.default else ""
        help = "; ".join(filter(None, (setting.doc, form.note, default))) + "."
        if setting.kind is Kind.FLAG:
            return click.option(*names, is_flag=True, help=help)(command)
        return click.option(
            *names,
            metavar=None if form.choices else form.metavar,
            type=click.Choice(form.choices) if form.choices else None,
            callback=parsed(form.parse),
            help=help,
        )(command)


def _options(known: Mapping[str, Any], command: Callable[..., Any]) -> Callable[..., Any]:
    for name in reversed([*known]):
        command = Attribute(name).add_option(command)
    return command


create_options = partial(_options, Creation.__annotations__)
set_options = partial(_options, Changes.__annotations__)

# A time of this boot is not for a description, which is for later ones.
KEYS = {
    each.option: each
    for each in map(Attribute, Creation.__annotations__)
    if each.setting.kind is not Kind.MOMENT
}
"""The keys of a region in a description."""
