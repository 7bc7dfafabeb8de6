"""Durations: a timedelta, a text with its unit as "500ms", or, of a timeout, seconds."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import timedelta

Duration = timedelta | str
"""How long something takes."""
Timeout = float | timedelta | str | None
"""How long to wait: seconds if a number; None: for ever."""

UNITS = {"ns": 1, "us": 10**3, "µs": 10**3, "ms": 10**6, "s": 10**9, "min": 60 * 10**9,
         "h": 3600 * 10**9}  # fmt: skip
U64_MAX = 2**64 - 1

_TEXT = re.compile(r"([0-9]{0,20})(?:\.([0-9]{1,9}))?(ns|us|µs|ms|s|min|h)", re.ASCII)


def parse_time(text: str) -> int:
    """Return the nanoseconds of a text such as 500ms. Raise ValueError for any other text.

    >>> parse_time("1.5us"), parse_time("2min")
    (1500, 120000000000)
    """
    match = _TEXT.fullmatch(text)
    if not match or not (match[1] or match[2]):
        raise ValueError(
            f"{text!r} is not a time; give a number and its unit, "
            "for example 2s, 500ms, 100us or 1500000ns"
        )
    whole, fraction, unit = match.groups("")
    parts, rest = divmod(int(whole + fraction) * UNITS[unit], int(10 ** len(fraction)))
    if rest:
        raise ValueError(f"{text!r} is not a whole number of nanoseconds")
    if parts > U64_MAX:
        raise ValueError(f"{text!r} is out of range")
    return parts


def time_text(ns: int) -> str:
    """Return the exact time as parse_time() takes it.

    >>> time_text(500_000_000), time_text(1500)
    ('500ms', '1.5us')
    """
    unit = max(
        (unit for unit in ("ns", "us", "ms", "s") if UNITS[unit] <= ns),
        key=UNITS.__getitem__,
        default="ns",
    )
    whole, rest = divmod(ns, UNITS[unit])
    digits = len(str(UNITS[unit])) - 1
    return f"{whole}.{rest:0{digits}}".rstrip("0").rstrip(".") + unit if rest else f"{whole}{unit}"


def period_nanoseconds(period: timedelta | str | int) -> int:
    """Return a period in nanoseconds, as nanoseconds() does; "none" is 0."""
    return 0 if period == "none" else nanoseconds(period)


def period_text(ns: int) -> str:
    """Return a period as period_nanoseconds() takes it."""
    return time_text(ns) if ns else "none"


def measured(ns: float, form: str = ".1f") -> str:
    """Return a time that was measured: 512 ns, 12.3 us."""
    for unit, size in (("s", 1e9), ("ms", 1e6), ("us", 1e3)):
        if ns >= size:
            return f"{ns / size:{form}} {unit}"
    return f"{ns:.0f} ns"


def rate_text(period_ns: int, text: Callable[[int], str] = time_text) -> str:
    """Return a period, as `text` has times, and how many ticks a second it makes."""
    if not period_ns:
        return period_text(period_ns)
    return f"{text(period_ns)} ({1e9 / period_ns:.6g} ticks/s)"


def nanoseconds(duration: timedelta | str | int) -> int:
    """Return a duration in nanoseconds. An int is that number already."""
    match duration:
        case timedelta():
            microseconds: int = duration // timedelta(microseconds=1)
            return microseconds * 1000
        case str():
            return parse_time(duration)
        case int():
            return duration
        case _:
            raise TypeError(
                f"{duration!r} has no unit; give a text with one, for example '1ms', or a timedelta"
            )


def with_unit(what: str, duration: object) -> None:
    """Raise TypeError for a number: nobody knows its unit."""
    if isinstance(duration, int | float):
        raise TypeError(f"{what}: {duration!r} has no unit; give a text as '1ms'")


def seconds(timeout: Timeout) -> float | None:
    """Return a timeout in seconds, None for one without an end. Raise ValueError for NaN."""
    match timeout:
        case None:
            return None
        case timedelta():
            return timeout.total_seconds()
        case str():
            return parse_time(timeout) / 1e9
        case _:
            number = float(timeout)
            if number != number:
                raise ValueError("a timeout of nan; give seconds, or None for ever")
            return None if number == float("inf") else number
