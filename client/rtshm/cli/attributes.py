"""The settings of a region, as the command has them: options of create and set, keys of save."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import click

from rtshm.cli import units
from rtshm.cli.parameters import parsed
from rtshm.durations import parse_time, period_nanoseconds, period_text, time_text
from rtshm.errors import group_text
from rtshm.settings import SETTINGS, Changes, Clock, Creation, Kind, PrintMode, Setting


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
    Kind.DURATION: Form("TIME", parse_time, time_text, "for example 20us, 1ms"),
    Kind.FLAG: Form("", bool, bool),
    Kind.GROUP: Form("GROUP", units.parse_group, group_text, _NAME, True),
    Kind.LAYOUT: Form("TEXT", _line, str, "for example 'speed:f64 gain:f32'"),
    Kind.MODE: Form("MODE", units.parse_mode, units.mode_text, "for example 0660"),
    Kind.MOMENT: Form("NS", units.parse_count, int),
    Kind.PERIOD: Form("TIME", period_nanoseconds, period_text, "for example 2s, 100us"),
    Kind.PRINT: Form("", partial(_member, PrintMode), str, choices=tuple(map(str, PrintMode))),
    Kind.USER: Form("USER", units.parse_user, units.user_text, _NAME, True),
}
NAMES = {"uid": "owner", "gid": "group"}
"""Options with another name than the keyword."""


def option_of(setting: Setting) -> str:
    """Return the option of a setting, which is its key in a description, too."""
    return NAMES.get(setting.name, setting.name.replace("_", "-"))


# A time of this boot is not for a description, which is for later ones.
KEYS = {
    option_of(SETTINGS[name]): SETTINGS[name]
    for name in Creation.__annotations__
    if SETTINGS[name].kind is not Kind.MOMENT
}
"""The settings that a description has, by their keys."""


def shown(setting: Setting, value: Any) -> str | int:
    """Return what a description has for the value of a RegionInfo."""
    return setting.none if value is None else FORMS[setting.kind].text(value)


def parse(setting: Setting, value: object) -> Any:
    """Return the value of what TOML has. Raise ValueError that says what is right."""
    kind, form = setting.kind, FORMS[setting.kind]
    if setting.none and value == setting.none:
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


def _options(known: type, command: Callable[..., Any]) -> Callable[..., Any]:
    for name in reversed([*known.__annotations__]):
        setting = SETTINGS[name]
        form = FORMS[setting.kind]
        default = f"default: {setting.default}" if setting.default else ""
        option = click.option(
            f"--{option_of(setting)}",
            name,
            is_flag=setting.kind is Kind.FLAG or None,
            metavar=form.metavar or None,
            type=click.Choice(form.choices) if form.choices else None,
            callback=parsed(form.parse),
            help="; ".join(filter(None, (setting.doc, form.note, default))) + ".",
        )
        command = option(command)
    return command


create_options = partial(_options, Creation)
set_options = partial(_options, Changes)
