"""The settings of a region, once: options of create and set, keys of what save writes."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import partial
from typing import Any, NamedTuple

import click

import rtshm
from rtshm.cli import units
from rtshm.cli.parameters import CLOCKS, PRINT_MODES, parsed


class Form(NamedTuple):
    """How values of one kind are typed, and shown again."""

    metavar: str
    parse: Callable[[str], Any]
    """A value of a text. Raises ValueError that says what is right."""
    text: Callable[[Any], str | int]
    numbers: bool = False
    """Whether a number of TOML is one, too."""
    choices: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Attribute:
    """A setting of a region."""

    option: str
    """Its option, and its key in what save writes."""
    field: str
    """RegionInfo's name of it; without its unit it is Control's."""
    form: Form
    help: str
    settable: bool = False
    """Whether set can change it; to None it cannot, nor back."""
    none: str = ""
    """What is written for None, where that can be."""

    @property
    def keyword(self) -> str:
        return self.field.removesuffix("_ns")

    def shown(self, value: Any) -> str | int:
        return self.none if value is None else self.form.text(value)

    def parse(self, value: object) -> Any:
        """Return the value of what TOML has. Raise ValueError that says what is right."""
        form = self.form
        if self.none and value == self.none:
            return None
        if form is FLAG:
            if not isinstance(value, bool):
                raise ValueError(f"{value!r} is neither true nor false")
            return value
        # True is an int, too.
        if form.numbers and type(value) is int:
            return form.parse(str(value))
        if form is NUMBER:
            raise ValueError(f"{value!r} is not a number")
        if not isinstance(value, str) and not form.choices:
            raise ValueError(f"{value!r} is not text; put it in quotes")
        return form.parse(value)  # type: ignore[arg-type]

    def add_option(self, command: Callable[..., Any]) -> Callable[..., Any]:
        names, form = (f"--{self.option}", self.keyword), self.form
        if form is FLAG:
            return click.option(*names, is_flag=True, help=self.help)(command)
        return click.option(
            *names,
            metavar=None if form.choices else form.metavar,
            type=click.Choice(form.choices) if form.choices else None,
            callback=parsed(form.parse),
            help=self.help,
        )(command)


def _member(enum: str, known: tuple[str, ...], text: str) -> Any:
    if text not in known:
        raise ValueError(f"{text!r} is not one of {', '.join(known)}")
    return getattr(rtshm, enum)(text)


def _line(text: str) -> str:
    if "\0" in text:
        raise ValueError(f"{text!r} has a NUL in it, which would end it")
    return text


ADDRESS = Form("ADDRESS", units.parse_address, units.address_text)
CLOCK = Form("CLOCK", partial(_member, "Clock", CLOCKS), str, choices=CLOCKS)
FLAG = Form("", bool, bool)
GROUP = Form("GROUP", units.parse_group, units.group_text, numbers=True)
MODE = Form("MODE", units.parse_mode, units.mode_text)
NUMBER = Form("N", units.parse_number, int, numbers=True)
PRINT = Form("MODE", partial(_member, "PrintMode", PRINT_MODES), str, choices=PRINT_MODES)
PERIOD = Form("TIME", units.period_nanoseconds, units.period_text)
SIZE = Form("BYTES", units.parse_size, units.size_text, numbers=True)
TEXT = Form("TEXT", _line, str)
TIME = Form("TIME", units.parse_time, units.time_text)
USER = Form("USER", units.parse_user, units.user_text, numbers=True)

ATTRIBUTES = (
    Attribute("size", "size", SIZE,
              "Bytes, a multiple of the page size: 4096, 64K, 1M; default: one page."),
    Attribute("period", "period_ns", PERIOD,
              "Period of the tick: 2s, 500ms, 100us, 1500000ns; none: it ticks when it is kicked.",
              settable=True),
    Attribute("print", "print", PRINT, "When a tick prints the value in the kernel log.",
              settable=True),
    Attribute("depth", "record_depth", NUMBER, "Samples that the history keeps; 0: no history.",
              settable=True),
    Attribute("record-bytes", "record_bytes", NUMBER,
              "Bytes of the region in a sample, a multiple of 8; default: word and layout.",
              settable=True),
    Attribute("layout", "layout", TEXT, "The fields, for example 'speed:f64 gain:f32'."),
    Attribute("mode", "mode", MODE,
              "Access mode of the device node, for example 0660; default: 0600.", settable=True),
    Attribute("owner", "uid", USER,
              "Owner of the device node, a name or a number; default: root.", settable=True),
    Attribute("group", "gid", GROUP,
              "Group of the device node, a name or a number; default: root.", settable=True),
    Attribute("cpu", "cpu", NUMBER,
              "The cpu that the timer runs on; default: one that the kernel chooses, not isolated.",
              settable=True, none="any"),
    Attribute("clock", "clock", CLOCK,
              "The clock of --phase and --start-ns; default: monotonic."),
    Attribute("phase", "phase_ns", TIME,
              "Tick at multiples of the period on the clock, plus this offset.",
              settable=True, none="none"),
    Attribute("lead", "lead_ns", TIME,
              "Busy-wait this long before each deadline, so that an interrupt that comes late by "
              "less does not make the tick late; default: 0ns.", settable=True),
    Attribute("cpu-latency", "cpu_latency_ns", TIME,
              "Keep the timer's cpu out of idle states that take longer than this to leave; "
              "default: 0ns, no limit.", settable=True),
    Attribute("phys", "phys", ADDRESS,
              "Raw memory at this physical address, as 0x40000000, set aside at boot with memmap=.",
              none="none"),
    Attribute("keep", "keep", FLAG,
              "Keep the content of the raw memory; default: fill it with zeroes."),
    Attribute("task-budget", "task_budget_ns", TIME,
              "Count an overrun when a task takes longer in a tick.", settable=True),
    Attribute("task-long-max", "task_long_max", NUMBER,
              "Stop a task that takes longer than half the period in this many ticks in a row; "
              "0: never; default: 100.",
              settable=True),
)  # fmt: skip


def _options(attributes: Iterable[Attribute], command: Callable[..., Any]) -> Callable[..., Any]:
    for attribute in reversed([*attributes]):
        command = attribute.add_option(command)
    return command


create_options = partial(_options, ATTRIBUTES)
set_options = partial(_options, [each for each in ATTRIBUTES if each.settable])
