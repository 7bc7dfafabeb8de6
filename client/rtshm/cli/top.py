"""rtshm top: the regions, live."""

from __future__ import annotations

import importlib.util
import itertools
import json
import select
import sys
import time
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import click

import rtshm
from rtshm.cli.opened import opened, told
from rtshm.cli.parameters import json_option, parsed
from rtshm.cli.render import fit, left_out_text, table
from rtshm.cli.screen import keys, terminal_width
from rtshm.cli.units import measured, parse_time, time_text

if TYPE_CHECKING:
    import curses
    from collections.abc import Callable, Mapping, Sequence

    from rich.console import Group

    from rtshm.control import Control, RegionInfo

# Until a terminal of another size is seen.
_GLANCE_SECONDS = 0.2

COLUMNS = (
    "<NAME",
    ">TICKS/S",
    ">SET",
    ">VALUE",
    ">LATENESS MEAN",
    ">MAX",
    ">MISSED",
    ">USERS",
)
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
@click.option(
    "--interval",
    "interval_ns",
    metavar="TIME",
    default="1s",
    show_default=True,
    callback=parsed(parse_time),
    help="Time between two updates, for example 500ms.",
)
@click.option(
    "--count",
    metavar="N",
    type=click.IntRange(1),
    help="Print N tables, one after another, and leave.",
)
@json_option("A list of objects for each interval, on a line of its own.")
def top(interval_ns: int, count: int | None, as_json: bool) -> None:
    """Watch the regions live.

    Ticks per second and mean lateness count from one update to the next, the
    maximum lateness and the missed periods from the region's creation. A dash
    stands for a value that you may not read. q leaves. Without a terminal, or with
    --count, it prints a table per interval.
    """
    with opened() as control:
        if as_json:
            _print(control, interval_ns, count, _json)
        elif count is None and _has_screen():
            watch(control, interval_ns)
        else:
            _print(control, interval_ns, count, _text)


def _text(now: Sight, before: Sight) -> str:
    return "\n".join(lines(now, before, terminal_width()))


def _json(now: Sight, before: Sight) -> str:
    return json.dumps(figures(now, before))


def _print(
    control: Control,
    interval_ns: int,
    count: int | None,
    show: Callable[[Sight, Sight], str],
) -> None:
    before = look(control)
    for index in itertools.count() if count is None else range(count):
        time.sleep(interval_ns / 1e9)
        now = look(control)
        text = show(now, before)
        if index and "\n" in text:
            click.echo()
        click.echo(text)
        before = now


def _has_screen() -> bool:
    """Whether there is a terminal, and one whose cursor can be moved."""
    import curses

    if not (sys.stdin and sys.stdin.isatty() and sys.stdout and sys.stdout.isatty()):
        return False
    try:
        curses.setupterm()
        return curses.tigetstr("cup") is not None
    except curses.error:
        return False


def watch(control: Control, interval_ns: int) -> None:
    """Paint the table until q is pressed."""
    if importlib.util.find_spec("rich"):
        _watch_by_rich(control, interval_ns)
    else:
        import curses

        curses.wrapper(_watch_by_curses, control, interval_ns)


def _watch_by_rich(control: Control, interval_ns: int) -> None:
    from rich.console import Console
    from rich.live import Live

    console = Console()
    with keys() as pressed, Live(console=console, screen=True, auto_refresh=False) as live:
        before, now = None, look(control)
        size = None
        while True:
            due = now.seconds + interval_ns / 1e9
            while (left := due - time.monotonic()) > 0:
                if console.size != size:
                    size = console.size
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


def _watch_by_curses(screen: curses.window, control: Control, interval_ns: int) -> None:
    import curses

    # A terminal may have neither.
    with suppress(curses.error):
        curses.use_default_colors()
    with suppress(curses.error):
        curses.curs_set(0)
    before = None
    while True:
        now = look(control)
        due = now.seconds + interval_ns / 1e9
        title = f"regions: {len(now.regions)}   every {time_text(interval_ns)}   q leaves"
        key = curses.KEY_RESIZE
        # Any key but q paints again, KEY_RESIZE with cause; -1 is that the time has passed.
        while key >= 0:
            _paint(screen, [title, "", *lines(now, before, screen.getmaxyx()[1] - 1)])
            screen.timeout(max(0, min(int((due - time.monotonic()) * 1000), 2**31 - 1)))
            key = screen.getch()
            if key == ord("q"):
                return
        before = now


def _paint(screen: curses.window, lines: Sequence[str]) -> None:
    import curses

    height, width = screen.getmaxyx()
    if len(lines) > height:
        lines = [*lines[: height - 1], f"and {len(lines) - height + 1} more"]
    screen.erase()
    for y, line in enumerate(lines):
        # Not in the last column, from where the cursor cannot go on in the last line.
        screen.addnstr(y, 0, line, width - 1, curses.A_BOLD if y == 2 else curses.A_NORMAL)
    screen.refresh()
