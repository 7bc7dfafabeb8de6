"""A recording as a picture: its fields over time, and how late its ticks were.

figure() is the picture, for programs that go on with it; save() makes a file.
"""

from __future__ import annotations

import dataclasses
import html
import io
import os
import textwrap
from datetime import UTC, datetime
from pathlib import Path
from string import Template
from typing import TYPE_CHECKING, Any

from rtshm.errors import need

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from rtshm.recording import Recording
    from rtshm.recording.columns import Column
    from rtshm.recording.conditions import Conditions

    Array = numpy.ndarray[Any, numpy.dtype[Any]]

SUFFIXES = (".png", ".html")

PANELS_MAX = 12
"""Fields that one picture has room for."""
LINES_MAX = 8
"""Elements of an array that one panel has room for."""
GAP = "#e0492f"
"""The colour of what was lost."""

# Okabe and Ito's, which differ for every eye; the gaps have the red one for themselves.
_COLOURS = (
    "#0072b2", "#e69f00", "#009e73", "#cc79a7", "#56b4e9", "#7a5195", "#8c6d31", "#636363",
)  # fmt: skip
_GREY = "#555555"
# A line is drawn as so many pieces at most, each from its least to its greatest value.
_PIECES = 1500
_WIDTH_IN, _DPI = 11.0, 120
_TOP_IN, _BETWEEN_IN, _HISTOGRAM_IN = 0.85, 1.15, 2.3

_STYLE: Any = {
    "font.size": 9,
    "axes.edgecolor": "#999999",
    "axes.grid": True,
    "axes.labelsize": 9,
    "axes.spines.right": False,
    "axes.spines.top": False,
    "grid.color": "#e6e6e6",
    "grid.linewidth": 0.7,
    "axes.axisbelow": True,
    # A dollar of a name is a dollar.
    "text.parse_math": False,
}

_PAGE = Template("""<!doctype html>
<html lang="en">
<meta charset="utf-8">
<title>$title</title>
<style>
body { font: 15px/1.5 system-ui, sans-serif; color: #222; max-width: 1100px; margin: 2em auto; }
svg { width: 100%; height: auto; }
table { border-collapse: collapse; margin: 1em 0; }
caption { text-align: left; font-weight: bold; padding: .3em 0; }
th, td { text-align: left; padding: .2em 1.5em .2em 0; border-bottom: 1px solid #e6e6e6; }
th { font-weight: normal; color: #555; white-space: nowrap; vertical-align: top; }
td { font-variant-numeric: tabular-nums; overflow-wrap: anywhere; }
</style>
$picture
$tables
</html>
""")


@dataclasses.dataclass(frozen=True, slots=True)
class Lateness:
    """From when a tick was due until it ran; each is one that was measured. Nanoseconds."""

    min_ns: int
    """The least."""
    p50_ns: int
    """So late, or less, was half of the ticks."""
    p99_ns: int
    """So late, or less, were 99 % of the ticks."""
    p9999_ns: int
    """So late, or less, were 99.99 % of the ticks; of fewer than 10,000 it is the maximum."""
    max_ns: int
    """The most."""

    @classmethod
    def of(cls, recording: Recording) -> Lateness | None:
        """None for a recording without a sample."""
        import numpy

        lateness = recording.array["lateness_ns"]
        if not len(lateness):
            return None
        found = numpy.percentile(lateness, [0, 50, 99, 99.99, 100], method="inverted_cdf")
        return cls(*map(int, found))

    def named(self) -> list[tuple[str, int]]:
        """In the order from least to most: [("min", 512), ("p50", 2048), ...], in ns."""
        values = dataclasses.astuple(self)
        return list(zip(("min", "p50", "p99", "p99.99", "max"), values, strict=True))


def save(
    recording: Recording, path: str | os.PathLike[str], fields: Sequence[str] | None = None
) -> None:
    """Draw it into a file, .png or .html: a page of its own, with the figures as tables.

    Raises as figure() does, ValueError for another suffix, and OSError.
    """
    suffix = check_suffix(path)
    drawn = figure(recording, fields)
    if suffix == ".png":
        picture = io.BytesIO()
        drawn.savefig(picture, format="png", dpi=_DPI)
        data = picture.getvalue()
    else:
        data = _page(recording, drawn).encode()
    Path(path).write_bytes(data)


def check_suffix(path: str | os.PathLike[str]) -> str:
    """ValueError if no picture has the suffix."""
    suffix = Path(path).suffix
    if suffix not in SUFFIXES:
        raise ValueError(
            f"{os.fspath(path)}: {suffix or 'no suffix'} is no format of pictures; "
            f"give one of {', '.join(SUFFIXES)}"
        )
    return suffix


def figure(recording: Recording, fields: Sequence[str] | None = None) -> Figure:
    """A panel for each field over time, the histogram of lateness, the conditions as caption.

    The elements of an array share a panel. Without `fields` those that are
    numbers, PANELS_MAX of them; some_int only if it changes, or is alone.
    Raises ValueError for a field that is not there or is no number, and
    ExtraError if there is no matplotlib.
    """
    need("matplotlib", "a picture", "plot")
    need("numpy", "a picture", "plot")
    import matplotlib
    from matplotlib.figure import Figure
    from matplotlib.ticker import EngFormatter, FuncFormatter

    panels, left_out = _panels(recording, fields)
    seconds = _seconds(recording)
    caption = _caption(recording.conditions, left_out)
    # From the top, in inches: title, panels, histogram, caption.
    panels_height = len(panels) * (1.05 if len(panels) > 6 else 1.35)
    below = 0.75 + 0.17 * len(caption)
    height = _TOP_IN + panels_height + _BETWEEN_IN + _HISTOGRAM_IN + below
    top, bottom = 1 - _TOP_IN / height, below / height
    left = 1.05 / _WIDTH_IN
    right = 1 - (0.75 if any(len(columns) > 1 for columns in panels) else 0.3) / _WIDTH_IN
    with matplotlib.rc_context(_STYLE):
        drawn = Figure(figsize=(_WIDTH_IN, height))
        grid = drawn.add_gridspec(
            len(panels), 1, left=left, right=right, top=top,
            bottom=top - panels_height / height, hspace=0.34,
        )  # fmt: skip
        first: Axes | None = None
        for index, columns in enumerate(panels):
            axes = drawn.add_subplot(grid[index], sharex=first)
            first = first or axes
            _draw_panel(axes, recording, columns, seconds)
            last = index == len(panels) - 1
            axes.tick_params(labelbottom=last, length=3 if last else 0, axis="x")
            if last:
                axes.set_xlabel("time since the first sample")
        assert first is not None
        period = recording.conditions.period_ns / 1e9
        first.set_xlim(0, float(seconds[-1]) if len(seconds) > 1 else period)
        # Shared: of all panels. Nobody counts in ks.
        first.xaxis.set_major_formatter(
            EngFormatter(unit="s")
            if first.get_xlim()[1] < 1000
            else FuncFormatter(lambda at, _: f"{at:,.0f} s")
        )
        _label_gaps(first, recording)
        grid = drawn.add_gridspec(
            1, 1, left=left, right=right, top=bottom + _HISTOGRAM_IN / height, bottom=bottom
        )
        _draw_histogram(drawn.add_subplot(grid[0]), recording)
        drawn.suptitle(
            f"{recording.conditions.region}: {_count(recording)}",
            x=left, y=1 - 0.2 / height, ha="left", va="top", fontsize=13, fontweight="bold",
        )  # fmt: skip
        drawn.text(
            left, 0.12 / height, "\n".join(caption), ha="left", va="bottom", fontsize=8,
            color=_GREY, linespacing=1.45,
        )  # fmt: skip
    return drawn


def _panels(
    recording: Recording, fields: Sequence[str] | None
) -> tuple[list[list[Column]], list[str]]:
    """The columns of each panel, and the names of the fields that have none."""
    from rtshm.recording.columns import HEADER_NAMES, columns

    by_root: dict[str, list[Column]] = {}
    for column in columns(recording.conditions):
        if column.dtype.kind != "V" and column.name not in (*HEADER_NAMES[:-2], "ready"):
            # The elements of an array share a panel, the fields of a struct do not.
            key = column.root if "." not in column.name else column.name
            by_root.setdefault(key, []).append(column)
    if fields is not None:
        if unknown := [name for name in fields if name not in by_root]:
            raise ValueError(
                f"there is no field {', '.join(unknown)} to draw; there are {', '.join(by_root)}"
            )
        return [by_root[name] for name in fields], []
    value = recording.array["some_int"]
    if len(by_root) > 1 and not (value != value[:1]).any():
        del by_root["some_int"]
    names = list(by_root)
    return [by_root[name] for name in names[:PANELS_MAX]], names[PANELS_MAX:]


def _seconds(recording: Recording) -> Array:
    time_ns = recording.array["time_ns"]
    seconds: Array = (time_ns - time_ns[:1]) / 1e9
    return seconds


def _count(recording: Recording) -> str:
    conditions = recording.conditions
    samples, missed = len(recording.array), conditions.missed
    seconds = float(_seconds(recording)[-1]) if samples else 0.0
    span = f"{seconds:,.1f}" if seconds >= 100 else f"{seconds:.3g}"
    return (
        f"{samples:,} sample{'' if samples == 1 else 's'} in {span} s, {conditions.lost:,} lost, "
        f"{missed:,} period{'' if missed == 1 else 's'} missed"
    )


def _draw_panel(axes: Axes, recording: Recording, columns: list[Column], seconds: Array) -> None:
    from matplotlib.ticker import MaxNLocator

    gaps = _gaps(recording)
    shown = columns[:LINES_MAX]
    for number, column in enumerate(shown):
        values = column.of(recording.array)
        discrete = column.enum is not None or column.dtype.kind == "b"
        label = column.name.removeprefix(column.root) if len(columns) > 1 else None
        _draw_line(axes, seconds, values, gaps[0], _COLOURS[number], label, steps=discrete)
    column = columns[0]
    name = column.root if len(columns) > 1 else column.name
    more = f" ({len(shown)} of {len(columns)})" if len(columns) > len(shown) else ""
    # Above its panel, where no number of the axis is in its way.
    axes.set_title(name + more, loc="left", fontsize=9.5, pad=3, color="#222222")
    if column.dtype.kind == "b":
        axes.set_yticks([0, 1], ["false", "true"])
        axes.set_ylim(-0.2, 1.2)
    elif column.enum is not None and len(column.enum) <= 8:
        _name_members(axes, column, [c.of(recording.array) for c in shown])
    else:
        axes.yaxis.set_major_locator(MaxNLocator(4, integer=column.dtype.kind in "iu"))
        axes.margins(y=0.12)
        low, high = axes.dataLim.intervaly
        if low == high:
            # A constant has no scale of its own.
            room = max(1, abs(low) / 10)
            axes.set_ylim(low - room, high + room)
    if len(columns) > 1:
        axes.legend(
            loc="upper left", bbox_to_anchor=(1.005, 1.05), fontsize=8, frameon=False,
            handlelength=1.2, labelspacing=0.25, borderaxespad=0,
        )  # fmt: skip
    _draw_gaps(axes, seconds, gaps)


def _name_members(axes: Axes, column: Column, values: list[Array]) -> None:
    """Names in the place of the numbers of an enum; where flags are set together, both."""
    import numpy

    from rtshm.recording.columns import names_of

    assert column.enum is not None
    numbers = numpy.unique(numpy.concatenate([numpy.unique(part) for part in values]))
    members = numpy.array([int(member) for member in column.enum.__members__.values()])
    if not numpy.isin(numbers, members).all():
        members = numbers if len(numbers) <= 8 else members
    axes.set_yticks(members, names_of(column.enum, members))
    shown = numpy.concatenate([members, numbers])
    low, high = int(shown.min()), int(shown.max())
    room = 0.15 * max(high - low, 1)
    axes.set_ylim(low - room, high + room)


def _gaps(recording: Recording) -> tuple[Array, Array]:
    """Where samples are lost: the indices of those before, and how many are."""
    import numpy

    ticks = recording.array["tick"]
    lost = numpy.diff(ticks).astype("i8") - 1
    (before,) = numpy.nonzero(lost > 0)
    return before, lost[before]


def _draw_line(
    axes: Axes,
    seconds: Array,
    values: Array,
    gaps: Array,
    colour: str,
    label: str | None,
    *,
    steps: bool,
) -> None:
    """A line that is broken at the gaps; of very many samples, what they span piece by piece."""
    import numpy

    if len(values) > 2 * _PIECES:
        starts = numpy.linspace(0, len(values), _PIECES, endpoint=False).astype(int)
        # No piece has samples of both sides of a gap, as long as there are fewer than pieces.
        starts = numpy.unique(numpy.r_[starts, gaps[:_PIECES] + 1])
        values = values.astype("f8") if values.dtype.kind == "b" else values
        low = numpy.minimum.reduceat(values, starts)
        high = numpy.maximum.reduceat(values, starts)
        # The least and the greatest of each piece, where they are drawn one after another, fill
        # what the line would fill.
        x = numpy.repeat(seconds[starts], 2)
        y = numpy.column_stack([low, high]).ravel().astype("f8")
        broken = 2 * numpy.searchsorted(starts, gaps + 1)
    else:
        x, y, broken = seconds, values.astype("f8"), gaps + 1
    broken = numpy.unique(broken[broken < len(x)])
    # At the time before the gap: a step would go on to it.
    x = numpy.insert(x, broken, x[broken - 1])
    y = numpy.insert(y, broken, numpy.nan)
    few = len(values) <= 60
    axes.plot(
        x, y, color=colour, label=label, linewidth=1.1, marker="." if few else "", markersize=4,
        drawstyle="steps-post" if steps else "default", solid_joinstyle="round",
    )  # fmt: skip


def _draw_gaps(axes: Axes, seconds: Array, gaps: tuple[Array, Array]) -> None:
    import numpy

    before, _ = gaps
    if not len(before):
        return
    begin, end = seconds[before], seconds[before + 1]
    # Those that are nearer to each other than the eye can tell are one.
    near = (seconds[-1] - seconds[0]) / _PIECES
    (apart,) = numpy.nonzero(begin[1:] - end[:-1] > near)
    first, last = numpy.r_[0, apart + 1], numpy.r_[apart, len(begin) - 1]
    spans = numpy.column_stack([begin[first], end[last] - begin[first]])
    axes.broken_barh(
        [tuple(span) for span in spans], (0, 1), transform=axes.get_xaxis_transform(),
        facecolor=GAP + "30", edgecolor=GAP, linewidth=0.6, zorder=0.5, gid="gaps",
    )  # fmt: skip


def _label_gaps(axes: Axes, recording: Recording) -> None:
    before, lost = _gaps(recording)
    if len(before):
        where = "at one place" if len(before) == 1 else f"at {len(before):,} places"
        axes.text(
            1, 1.04, f"▮ {int(lost.sum()):,} samples lost {where}", transform=axes.transAxes,
            ha="right", va="bottom", color=GAP, fontsize=8.5,
        )  # fmt: skip


def _draw_histogram(axes: Axes, recording: Recording) -> None:
    import numpy
    from matplotlib.ticker import FuncFormatter, NullFormatter

    lateness = Lateness.of(recording)
    axes.set_xlabel("lateness of a tick")
    axes.set_ylabel("ticks")
    if lateness is None:
        axes.text(0.5, 0.5, "no samples", transform=axes.transAxes, ha="center", color=_GREY)
        axes.set_xticks([])
        axes.set_yticks([])
        return
    # A logarithm has no place for 0.
    values = numpy.maximum(recording.array["lateness_ns"], 1)
    low, high = max(lateness.min_ns, 1) / 1.15, max(lateness.max_ns, 1) * 1.15
    axes.hist(values, numpy.geomspace(low, high, 100).tolist(), color=_COLOURS[0], alpha=0.85)
    axes.set_xscale("log")
    axes.set_yscale("log")
    axes.set_ylim(0.7, max(axes.get_ylim()[1], 12))
    axes.set_xlim(low, high)
    axes.xaxis.set_major_formatter(FuncFormatter(lambda ns, _: time_text(ns)))
    axes.xaxis.set_minor_formatter(
        FuncFormatter(lambda ns, _: time_text(ns)) if high / low < 20 else NullFormatter()
    )
    axes.yaxis.set_minor_formatter(NullFormatter())
    axes.yaxis.set_major_formatter(FuncFormatter(lambda count, _: f"{count:,.0f}"))
    for name, ns in lateness.named():
        if name not in ("min", "max"):
            axes.axvline(max(ns, 1), color=_GREY, linewidth=0.9, linestyle=(0, (4, 2)))
    axes.set_title(
        "     ".join(f"{name}  {time_text(ns)}" for name, ns in lateness.named()),
        fontsize=9.5, loc="left", pad=16,
    )  # fmt: skip
    _label_percentiles(axes, lateness, low, high)


def _label_percentiles(axes: Axes, lateness: Lateness, low: float, high: float) -> None:
    """Names on top of their lines; those too near to each other share a place."""
    import numpy

    labels: list[tuple[float, str]] = []
    for name, ns in lateness.named()[1:-1]:
        at = float(numpy.log(max(ns, 1) / low) / numpy.log(high / low))
        if labels and at - labels[-1][0] < 0.06:
            labels[-1] = (labels[-1][0], f"{labels[-1][1]}, {name}")
        else:
            labels.append((at, name))
    for at, text in labels:
        axes.text(
            at, 1.01, text, transform=axes.transAxes, ha="center", va="bottom", fontsize=8,
            color=_GREY,
        )  # fmt: skip


def time_text(ns: float) -> str:
    """A time with three digits: 512 ns, 12.3 us."""
    for unit, size in (("s", 1e9), ("ms", 1e6), ("us", 1e3)):
        if ns >= size:
            return f"{ns / size:.3g} {unit}"
    return f"{ns:.3g} ns"


def _facts(conditions: Conditions) -> list[tuple[str, str]]:
    """The conditions, for people."""
    started = datetime.fromtimestamp(conditions.started_ns / 1e9, UTC)
    return [
        ("region", conditions.region),
        ("started", f"{started:%Y-%m-%d %H:%M:%S} UTC"),
        ("period", f"{time_text(conditions.period_ns)} ({1e9 / conditions.period_ns:.6g} ticks/s)"),
        ("samples", f"{conditions.samples:,}"),
        ("lost", f"{conditions.lost:,}"),
        ("periods missed", f"{conditions.missed:,}"),
        ("ended", conditions.ended or "cut off"),
        ("kernel", conditions.kernel),
        ("preemption", conditions.preemption),
        ("clock source", conditions.clocksource),
        ("virtual machine", conditions.virtualization),
        ("cpu governor", conditions.governor),
        ("layout", conditions.layout or "none"),
        ("rtshm", conditions.version),
    ]


def _caption(conditions: Conditions, left_out: list[str]) -> list[str]:
    facts = dict(_facts(conditions))
    lines = [
        f"{facts['started']}  ·  period {facts['period']}  ·  ended: {facts['ended']}  ·  "
        f"rtshm {facts['rtshm']}",
        f"kernel {facts['kernel']}  ·  preemption {facts['preemption']}  ·  clock source "
        f"{facts['clock source']}  ·  virtual machine: {facts['virtual machine']}  ·  "
        f"cpu governor {facts['cpu governor']}",
    ]
    wrapped = [part for line in lines for part in textwrap.wrap(line, 160)]
    wrapped += textwrap.wrap(f"layout {facts['layout']}", 160, max_lines=3, placeholder=" ...")
    if left_out:
        wrapped += textwrap.wrap(f"not drawn: {', '.join(left_out)}", 160, max_lines=2)
    return wrapped


def _page(recording: Recording, drawn: Figure) -> str:
    picture = io.StringIO()
    drawn.savefig(picture, format="svg", metadata={"Date": None})
    # Without the XML declaration, which has no place inside a page.
    svg = picture.getvalue()
    svg = svg[svg.index("<svg") :]
    lateness = Lateness.of(recording)
    tables = _table("Conditions", _facts(recording.conditions))
    if lateness:
        rows = [(name, f"{time_text(ns)} ({ns:,} ns)") for name, ns in lateness.named()]
        tables = _table("Lateness", rows) + tables
    title = html.escape(f"{recording.conditions.region}: {_count(recording)}")
    return _PAGE.substitute(title=title, picture=svg, tables=tables)


def _table(caption: str, rows: Sequence[tuple[str, str]]) -> str:
    lines = (f"<tr><th>{html.escape(a)}<td>{html.escape(b)}" for a, b in rows)
    return f"<table><caption>{html.escape(caption)}</caption>\n" + "\n".join(lines) + "\n</table>\n"
