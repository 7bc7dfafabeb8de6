"""The settings of a region, once: keywords of Control and create(), and options of the command.

An annotation has the type for a type checker, and a Setting with all that is said of it.
"""

# No annotations from __future__: they are read below.

import enum
import inspect
import textwrap
import typing
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Annotated, Any, Generic, TypedDict, TypeVar

from rtshm.durations import nanoseconds, period_nanoseconds

if TYPE_CHECKING:
    from rtshm.layout import Declared

D = TypeVar("D")
"""What a function takes as a duration."""
F = TypeVar("F", bound=Callable[..., Any])


class PrintMode(enum.StrEnum):
    """When a tick prints the region's value in the kernel log, at most ten lines per second."""

    OFF = "off"
    """Never."""
    EVERY_TICK = "every-tick"
    """At each tick."""
    CHANGES = "changes"
    """At the first tick, and at each tick that finds a new value."""


class Clock(enum.StrEnum):
    """The clock of a region's deadlines: see clock_gettime(2)."""

    MONOTONIC = "monotonic"
    """Since boot, without the time in suspend; nobody sets it."""
    REALTIME = "realtime"
    """The wall clock. Set ahead, the periods in between are missed; set back, the next tick comes
    within a period."""
    TAI = "tai"
    """Like REALTIME, without leap seconds."""


class Kind(enum.StrEnum):
    """What the value of a setting is, with its unit."""

    ADDRESS = "address"
    BYTES = "bytes"
    CLOCK = "Clock"
    COUNT = "number"
    DURATION = "duration"
    FLAG = "bool"
    GROUP = "gid"
    LAYOUT = "layout"
    MODE = "access mode"
    MOMENT = "ns"
    PERIOD = "duration or 'none'"
    PRINT = "PrintMode"
    USER = "uid"


@dataclass(frozen=True, slots=True)
class Setting:
    """What help says of a setting, and what the command has to know."""

    kind: Kind
    doc: str
    default: str = ""
    none: str = ""
    """What the command has for the None of a RegionInfo; "" if it has none."""
    name: str = ""
    """Its keyword."""

    @property
    def is_duration(self) -> bool:
        return self.kind in (Kind.DURATION, Kind.PERIOD)

    @property
    def field(self) -> str:
        """Its name in messages and in RegionInfo."""
        return f"{self.name}_ns" if self.is_duration else self.name


# fmt: off
class Fixed(TypedDict, total=False):
    """Settings of a new region that cannot be changed."""

    size: Annotated[int | None, Setting(Kind.BYTES,
        "Size of the memory, a multiple of the page size", "a page")]
    clock: Annotated[Clock | None, Setting(Kind.CLOCK,
        "Clock of the deadlines", "monotonic")]
    start_ns: Annotated[int | None, Setting(Kind.MOMENT,
        "Deadline of the first tick, a time of the clock", "at once")]
    phys: Annotated[int | None, Setting(Kind.ADDRESS,
        "Raw memory at this physical address, set aside at boot with memmap=; takes CAP_SYS_RAWIO",
        none="none")]
    keep: Annotated[bool, Setting(Kind.FLAG,
        "Keep the content of the raw memory", "fill it with zeroes")]


class Changeable(TypedDict, Generic[D], total=False):
    """Settings of a new region that can be changed later."""

    history: Annotated[int | None, Setting(Kind.COUNT,
        "The number of samples to keep, one per tick; 0: no history", "0")]
    period: Annotated[D | None, Setting(Kind.PERIOD,
        "Period of the tick; none: it ticks when it is kicked")]
    print: Annotated[PrintMode | None, Setting(Kind.PRINT,
        "When a tick prints the value in the kernel log")]
    record_bytes: Annotated[int | None, Setting(Kind.COUNT,
        "Bytes of the region in a sample, a multiple of 8, at most 4096", "word and layout")]
    mode: Annotated[int | None, Setting(Kind.MODE,
        "Access mode of the device node, octal", "0600")]
    uid: Annotated[int | None, Setting(Kind.USER,
        "Owner of the device node", "root")]
    gid: Annotated[int | None, Setting(Kind.GROUP,
        "Group of the device node", "root")]
    cpu: Annotated[int | None, Setting(Kind.COUNT,
        "The cpu that the timer runs on",
        "of those that are not isolated, the one with the fewest ticks per second", none="any")]
    phase: Annotated[D | None, Setting(Kind.DURATION,
        "Tick at multiples of the period on the clock, plus this offset", none="none")]
    lead: Annotated[D | None, Setting(Kind.DURATION,
        "Busy-wait this long before each deadline, so that an interrupt that comes late by less "
        "does not make the tick late; at most 100us and a quarter of the period", "0ns")]
    cpu_latency: Annotated[D | None, Setting(Kind.DURATION,
        "Keep the timer's cpu out of idle states that take longer than this to leave; at most 1s",
        "0ns, no limit")]
    task_budget: Annotated[D | None, Setting(Kind.DURATION,
        "Count an overrun when a task takes longer in a tick")]
    task_long_max: Annotated[int | None, Setting(Kind.COUNT,
        "Stop a task that takes longer than half the period in this many ticks in a row; "
        "0: never", "100")]


class _Layout(TypedDict, total=False):
    layout: Annotated["Declared | type[Any] | None", Setting(Kind.LAYOUT,
        "The fields of the region")]


class _Reset(TypedDict, total=False):
    reset_counters: Annotated[bool, Setting(Kind.FLAG,
        "Set the counters of the region and its tasks to 0. Sample numbers go on")]
# fmt: on


class Settings(Changeable[D], Fixed, total=False):
    """Keywords of rtshm.create(), which has the layout by itself."""


class Creation(_Layout, Settings[D], total=False):
    """Keywords of Control.create()."""


class Changes(Changeable[D], _Reset, total=False):
    """Keywords of Control.set()."""


SETTINGS: dict[str, Setting] = {
    name: replace(annotation.__metadata__[0], name=name)
    for name, annotation in (Creation.__annotations__ | Changes.__annotations__).items()
}


def in_message(given: Mapping[str, Any], known: type) -> dict[str, Any]:
    """Return settings as a message has them. Raise TypeError for one that is not `known`."""
    if unknown := given.keys() - known.__annotations__.keys():
        raise TypeError(
            f"there is no keyword {', '.join(sorted(unknown))}; "
            f"there are {', '.join(known.__annotations__)}"
        )
    values = {}
    for name, value in given.items():
        setting = SETTINGS[name]
        if setting.is_duration and value is not None:
            value = (period_nanoseconds if setting.kind is Kind.PERIOD else nanoseconds)(value)
        # A flag that is not set is left out.
        values[setting.field] = None if value is False else value
    return values


def documented(known: type, duration: object) -> Callable[[F], F]:
    """Put the keywords that a function takes as **settings in its signature and its help."""

    def parameter(name: str, annotation: Any) -> inspect.Parameter:
        (hint, *_) = typing.get_args(annotation)
        if isinstance(hint, typing.ForwardRef):
            hint = hint.__forward_arg__
        elif getattr(hint, "__parameters__", ()):
            hint = hint[duration]
        default = False if hint is bool else None
        keyword = inspect.Parameter.KEYWORD_ONLY
        return inspect.Parameter(name, keyword, default=default, annotation=hint)

    indented = textwrap.TextWrapper(88, initial_indent="    ", subsequent_indent="    ").wrap

    def decorate(function: F) -> F:
        signature = inspect.signature(function)
        *own, _ = signature.parameters.values()
        added = [parameter(*each) for each in known.__annotations__.items()]
        attributes = vars(function)
        attributes["__signature__"] = signature.replace(parameters=[*own, *added])
        lines = [inspect.cleandoc(function.__doc__ or ""), ""]
        for name in known.__annotations__:
            of = SETTINGS[name]
            default = f"; default: {of.default}" if of.default else ""
            lines += [f"`{name}` ({of.kind})", *indented(f"{of.doc}{default}.")]
        function.__doc__ = "\n".join(lines)
        return function

    return decorate
