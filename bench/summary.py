"""The figures that people read: eleven rows, and a picture of five of them."""

from __future__ import annotations

from dataclasses import dataclass, field
from html import escape
from typing import TYPE_CHECKING

from bench.figures import plain
from bench.table import column

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from bench.figures import Run

DEFAULT = "6.12, icount"
REALTIME = "6.12-rt, icount"


@dataclass(frozen=True, slots=True)
class Row:
    """One thing done by rtshm, and by what people would use instead."""

    title: str
    unit: str
    group: str
    ours: Mapping[str, str]
    """The names of figures, by what to call them."""
    others: Mapping[str, str] = field(default_factory=dict)
    column: str = DEFAULT
    per: float = 1
    """How many of the figure's unit make one of the row's."""
    drawn: bool = False


@dataclass(frozen=True, slots=True)
class Bar:
    name: str
    value: float
    ours: bool


def late(way: str) -> str:
    return f"1 kHz, loaded: {way}, p99.9"


ROWS = (
    Row(
        "Store a value from Python",
        "instructions",
        "publish",
        {"publish()": "publish", "publish() in Python": "publish, where nothing is compiled"},
        {
            "ctypes store": "ctypes store of a word that is there already",
            "write to sysfs": "os.pwrite to a module parameter",
            "ioctl": "ioctl",
            "BPF map update": "BPF map update",
        },
        drawn=True,
    ),
    Row(
        "The same on the host's processor",
        "ns",
        "publish",
        {"publish()": "publish, time"},
        {
            "ctypes store": "ctypes store of a word that is there already, time",
            "write to /proc": "os.write to /proc/self/timerslack_ns, time",
        },
        column="host, native",
    ),
    Row(
        "One tick",
        "instructions",
        "tick",
        {
            "rtshm": "a tick of rtshm that does not record",
            "rtshm, recording": "a tick that records 24 bytes",
        },
        {
            "bare hrtimer": "a tick of a bare hrtimer that does nothing",
            "BPF timer": "a tick of a BPF timer that takes a mapped word",
            "BPF on perf's cpu-clock": "a tick of BPF on perf's cpu-clock, the same",
        },
        drawn=True,
    ),
    Row(
        "Added to a tick by an empty task",
        "instructions",
        "tick",
        {"rtshm": "an empty task, more", "a BPF task": "an empty BPF task, more"},
    ),
    Row(
        "Lateness at 1 kHz under load, PREEMPT_RT, p99.9",
        "us",
        "lateness",
        {"rtshm": late("rtshm"), "rtshm, 10 us lead": late("rtshm with a lead of 10 us")},
        {"bare hrtimer": late("bare hrtimer"), "cyclictest": late("cyclictest")},
        column=REALTIME,
        per=1000,
        drawn=True,
    ),
    Row(
        "From the tick to a program that waits, PREEMPT_RT, median",
        "us",
        "wakes",
        {
            "read()": "idle: read, from the tick, median",
            "poll()": "idle: poll, from the tick, median",
        },
        {
            "clock_nanosleep": "idle: clock_nanosleep, median",
            "timerfd": "idle: timerfd, median",
            "cyclictest": "idle: cyclictest, median",
            "timerlat": "idle: timerlat, median",
        },
        column=REALTIME,
        per=1000,
        drawn=True,
    ),
    Row(
        "Period error at 1 kHz under load, PREEMPT_RT, p99.9",
        "us",
        "linuxcnc",
        {
            "rtshm": "1 kHz, loaded: rtshm, error of a period, p99.9",
            "rtshm, 10 us lead": "1 kHz, loaded: rtshm with a lead of 10 us, error of a period, "
            "p99.9",
        },
        {"LinuxCNC servo thread": "1 kHz, loaded: servo thread, error of a period, p99.9"},
        column=REALTIME,
        per=1000,
    ),
    Row(
        "History into numpy",
        "million samples/s",
        "history",
        {"read_array()": "samples of 56 bytes into numpy"},
        {
            "BPF ring, by hand": "samples from a BPF ring buffer, mapped and read by hand",
            "trace_pipe_raw": "ticks from trace_pipe_raw, decoded by hand",
            "BPF ring, libbpf": "samples from a BPF ring buffer, by libbpf",
        },
        per=1e6,
        drawn=True,
    ),
    Row(
        "Samples lost in 60 s at 10 kHz",
        "",
        "history",
        {"one reader": "10 kHz, one reader: lost by all"},
    ),
    Row(
        "One tick among 256 regions, and of 1 GiB",
        "instructions",
        "growth",
        {"256 regions": "256 regions: a tick", "1 GiB": "1024 MiB: a tick"},
        {"2 regions of 4 KiB": "2 regions: a tick"},
    ),
    Row(
        "From a changed line of C to a verdict",
        "s",
        "loop",
        {"make vm": "warm", "make vm COLD=1": "cold"},
        {"virtme-ng": "virtme-ng"},
        column="6.12-rt, tcg",
    ),
)


def bars(row: Row, runs: Sequence[Run]) -> Iterator[Bar]:
    """Yield a bar for each figure of a row that was taken."""
    found = {
        figure.name: figure.value
        for run in runs
        for figure in run.figures
        if column(run) == row.column and figure.group == row.group
    }
    for ours, names in ((True, row.ours), (False, row.others)):
        for name, figure in names.items():
            if (value := found.get(figure)) is not None:
                yield Bar(name, value / row.per, ours)


def table(runs: Sequence[Run]) -> str:
    lines = ["| | unit | rtshm | compared with |", "|---|---|---|---|"]
    for row in ROWS:
        found = list(bars(row, runs))
        cells = [
            "; ".join(f"{bar.name} {plain(bar.value)}" for bar in found if bar.ours == ours)
            for ours in (True, False)
        ]
        if found:
            lines.append(f"| {row.title} | {row.unit} | {cells[0]} | {cells[1]} |")
    return "\n".join(lines)


WIDTH, MARGIN, LINE = 440, 12, 24
NAMES, LONGEST = 160, 190
OURS, OTHERS = "#d95f02", "#7f8fa6"


def read(text: str) -> Iterator[tuple[Row, list[Bar]]]:
    """Yield the rows of a table, also of a page that has one, with their bars."""
    rows = {row.title: row for row in ROWS}
    for line in text.splitlines():
        title, *cells = (cell.strip() for cell in line.strip("|").split("|"))
        if title in rows:
            _unit, ours, others = cells
            yield rows[title], [*of_cell(ours, True), *of_cell(others, False)]


def of_cell(text: str, ours: bool) -> Iterator[Bar]:
    for part in filter(None, text.split("; ")):
        name, _, value = part.rpartition(" ")
        yield Bar(name, float(value.replace(",", "")), ours)


def picture(text: str) -> str:
    """Draw the rows of a table that are marked `drawn` as an SVG, two in a line."""
    panels = [(row, found) for row, found in read(text) if row.drawn]
    height = max((len(found) for _, found in panels), default=0) * LINE + 60
    drawn = [
        panel(row, found, number % 2 * WIDTH, number // 2 * height)
        for number, (row, found) in enumerate(panels)
    ]
    size = f"{2 * WIDTH} {(len(panels) + 1) // 2 * height}"
    head = f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {size}" font-size="13"'
    background = '<rect width="100%" height="100%" fill="#fff"/>'
    return "\n".join([f'{head} font-family="sans-serif">', background, *drawn, "</svg>", ""])


def panel(row: Row, found: Sequence[Bar], left: int, top: int) -> str:
    longest = max(bar.value for bar in found)
    better = "more" if row.unit.endswith("/s") else "less"
    lines = [
        f'<g transform="translate({left + MARGIN},{top + MARGIN})">',
        f'<text y="14" font-weight="bold">{escape(row.title)}</text>',
        f'<text y="31" fill="#555">{escape(row.unit)}: {better} is better</text>',
    ]
    for number, bar in enumerate(found):
        y = 40 + number * LINE
        length = max(1, round(bar.value / longest * LONGEST))
        colour = OURS if bar.ours else OTHERS
        lines += [
            f'<text x="{NAMES - 6}" y="{y + 14}" text-anchor="end">{escape(bar.name)}</text>',
            f'<rect x="{NAMES}" y="{y}" width="{length}" height="18" fill="{colour}"/>',
            f'<text x="{NAMES + length + 5}" y="{y + 14}">{plain(bar.value)}</text>',
        ]
    return "\n".join([*lines, "</g>"])
