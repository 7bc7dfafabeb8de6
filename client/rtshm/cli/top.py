"""rtshm top: the regions, live."""

from __future__ import annotations

import itertools
import json
import select
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import click

import rtshm
from rtshm.cli.opened import opened, told
from rtshm.cli.parameters import json_option, parsed
from rtshm.cli.render import fit, left_out_text, table
from rtshm.cli.screen import has_screen, screen, terminal_width
from rtshm.durations import measured, parse_time, time_text

if TYPE_CHECKING:
    from rich.console import Group

    from rtshm.control import Control, RegionInfo

# Until a terminal of another size is seen.
_GLANCE_SECONDS = 0.2

COLUMNS = ("<NAME", ">TICKS/S", ">SET", ">VALUE", ">LATENESS MEAN", ">MAX", ">MISSED", ">USERS")
# The first of these is left out first where a terminal is narrow.
LEAST = ("USERS", "SET", "LATENESS MEAN", "MISSED", "VALUE", "MAX", "TICKS/S")


@dataclass(frozen=True, slots=True)
class Sight:
    """The regions at one time."""

    seconds: float
    """By time.monotonic()."""
    regions: Sequence[RegionInfo]
    values: Mapping[int, int]
    """some_int by the region's id, of those that may be read."""


def look(control: Control) -> Sight:
    regions = [told(control, region) for region in control.list()]
    seconds = time.monotonic()
    values = {}
    for region in regions:
        # Not allowed, or gone since. Kept open it would count as a user, and hold the module.
        with suppress(OSError), rtshm.open(region.name, readonly=True) as memory:
            values[region.id] = memory.some_int
    return Sight(seconds, regions, values)


def figures(now: Sight, before: Sight | None) -> list[dict[str, Any]]:
    """An object a region, with rates and means of the time between the two sights."""
    seen = before.regions if before else []
    earlier = {region.id: region.counters for region in seen if region.readable}
    elapsed = now.seconds - before.seconds if before else 0.0
    found = []
    for region in now.regions:
        counters = region.counters if region.readable else None
        lateness_max_ns = counters.lateness_max_ns if counters and counters.ticks else None
        old = earlier.get(region.id)
        rate = mean = None
        # Fewer ticks than before: the counters were reset meanwhile.
        if counters and old and elapsed and counters.ticks >= old.ticks:
            ticks = counters.ticks - old.ticks
            rate = ticks / elapsed
            if ticks:
                mean = (counters.lateness_sum_ns - old.lateness_sum_ns) / ticks
        found.append(
            {
                "name": region.name,
                "ticks-per-s": rate,
                "set-per-s": 1e9 / region.period_ns if region.period_ns else 0.0,
                "value": now.values.get(region.id),
                "lateness-mean-ns": mean,
                "lateness-max-ns": lateness_max_ns,
                "missed": counters.missed if counters else None,
                "users": region.users,
            }
        )
    return found


def cells(now: Sight, before: Sight | None) -> list[list[str]]:
    """The figures as text, a row a region."""
    forms: tuple[Callable[[Any], str], ...] = (
        *(str, "{:.1f}".format, "{:.1f}".format, str, measured, measured, str, str),
    )
    return [
        ["-" if value is None else form(value) for form, value in zip(forms, row, strict=True)]
        for row in (each.values() for each in figures(now, before))
    ]


def lines(now: Sight, before: Sight | None, width: int | None = None) -> list[str]:
    """A table of the figures."""
    return table(COLUMNS, cells(now, before), width, LEAST)


@click.command()
@click.option("--interval", "interval_ns", metavar="TIME", default="1s", show_default=True,
              callback=parsed(parse_time),
              help="Time between two updates, for example 500ms.")  # fmt: skip
@click.option("--count", metavar="N", type=click.IntRange(1),
              help="Print N tables, one after another, and leave.")  # fmt: skip
@json_option("A list of objects for each interval, on a line of its own.")
def top(interval_ns: int, count: int | None, as_json: bool) -> None:
    """Watch the regions live.

    Ticks per second and mean lateness count from one update to the next, the
    maximum lateness and the missed periods from the region's creation. A dash
    stands for a value that you may not read. q leaves. Without a terminal, or with
    --count, it prints a table per interval.
    """
    with opened() as control:
        if not as_json and count is None and has_screen():
            watch(control, interval_ns)
            return
        before = look(control)
        for index in itertools.count() if count is None else range(count):
            time.sleep(interval_ns / 1e9)
            now = look(control)
            if as_json:
                click.echo(json.dumps(figures(now, before)))
            else:
                click.echo("\n".join([""] * bool(index) + lines(now, before, terminal_width())))
            before = now


def watch(control: Control, interval_ns: int) -> None:
    """Paint the table until q is pressed."""
    with screen() as (pressed, live):
        before, now = None, look(control)
        size = None
        while True:
            due = now.seconds + interval_ns / 1e9
            while (left := due - time.monotonic()) > 0:
                if live.console.size != size:
                    size = live.console.size
                    live.update(_picture(now, before, interval_ns, *size), refresh=True)
                select.select([sys.stdin], [], [], min(left, _GLANCE_SECONDS))
                if "q" in pressed():
                    return
            before, now, size = now, look(control), None


def _picture(now: Sight, before: Sight | None, interval_ns: int, width: int, height: int) -> Group:
    """The table as rich paints it, no larger than the terminal."""
    from rich.console import Group
    from rich.table import Table
    from rich.text import Text

    columns, rows, left_out = fit(COLUMNS, cells(now, before), width, LEAST)
    drawn = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    for column in columns:
        justify: Literal["left", "right"] = "left" if column[0] == "<" else "right"
        drawn.add_column(Text(column[1:]), justify=justify, no_wrap=True, header_style="bold")
    # A line is the title's, and one the headings'.
    below = left_out_text(left_out, width)[: max(height - 2, 0)]
    room = max(height - 2 - len(below), 0)
    shown = f" ({room} shown)" if room < len(rows) else ""
    for row in rows[:room]:
        missed = dict(zip(columns, row, strict=True)).get(">MISSED", "0")
        drawn.add_row(*map(Text, row), style=None if missed == "0" else "yellow")
    title = f"regions: {len(rows)}{shown}   every {time_text(interval_ns)}   q leaves"
    return Group(Text(title[:width]), drawn, *map(Text, below))
