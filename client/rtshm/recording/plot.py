"""A recording as a picture: its fields over time, and how late its ticks were.

figure() returns the picture, save() writes a file.
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
# And of one in which one can zoom.
_ZOOM_PIECES = 50_000
_NAMES_MAX, _SPANS_MAX = 32, 200
_WIDTH_IN, _HISTOGRAM_IN, _DPI = 11.0, 2.3, 120

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
table { border-collapse: collapse; margin: 1em 0; }
caption { text-align: left; font-weight: bold; padding: .3em 0; }
th, td { text-align: left; padding: .2em 1.5em .2em 0; border-bottom: 1px solid #e6e6e6; }
th { font-weight: normal; color: #555; white-space: nowrap; vertical-align: top; }
td { font-variant-numeric: tabular-nums; overflow-wrap: anywhere; }
</style>
<h1>$title</h1>
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
    """Draw it into a file: .png, or .html, a page of its own in which one can zoom.

    Raises as figure() does, ValueError for another suffix, and OSError.
    """
    if check_suffix(path) == ".png":
        picture = io.BytesIO()
        figure(recording, fields).savefig(picture, format="png", dpi=_DPI)
        data = picture.getvalue()
    else:
        data = _page(recording, fields).encode()
    Path(path).write_bytes(data)


def check_suffix(path: str | os.PathLike[str]) -> str:
    """ValueError if no picture has the suffix."""
    suffix = Path(path).suffix
    if suffix not in SUFFIXES:
        raise ValueError(
            f"{os.fspath(path)}: {suffix or 'no suffix'} is not a format of pictures; "
            f"use one of {', '.join(SUFFIXES)}"
        )
    return suffix


def figure(recording: Recording, fields: Sequence[str] | None = None) -> Figure:
    """Draw each field over time, the histogram of lateness, and the conditions as caption.

    The elements of an array share a panel, unless one is named: `axes[3]`.
    Without `fields` those that are numbers, PANELS_MAX of them; some_int only
    if it changes, or is alone. Values that are not finite are gaps, and are
    counted. Raises ValueError for a field that is unknown or not a number and
    for a recording of several regions, and ExtraError if matplotlib is not
    installed.
    """
    need("matplotlib", "a picture", "plot")
    need("numpy", "a picture", "plot")
    import matplotlib
    from matplotlib.figure import Figure
    from matplotlib.ticker import EngFormatter, FuncFormatter

    panels, left_out = _panels(recording, fields)
    seconds = _seconds(recording)
    caption = _caption(recording.conditions, left_out)
    rows = [1.05 if len(panels) > 6 else 1.35] * len(panels)
    with matplotlib.rc_context(_STYLE):
        # Titles and labels need as much as a panel of the fields has, in inches.
        height = sum(rows) * 1.25 + _HISTOGRAM_IN + 1.2 + 0.17 * len(caption)
        drawn = Figure(figsize=(_WIDTH_IN, height), layout="constrained")
        grid = drawn.add_gridspec(len(rows) + 1, 1, height_ratios=[*rows, _HISTOGRAM_IN])
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
        _draw_histogram(drawn.add_subplot(grid[len(panels)]), recording)
        title = f"{recording.conditions.region}: {_count(recording)}"
        drawn.suptitle(title, x=0.01, ha="left", fontsize=13, fontweight="bold")
        drawn.supxlabel("\n".join(caption), x=0.01, ha="left", fontsize=8, color=_GREY)
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
    if fields:
        by_name = {column.name: [column] for each in by_root.values() for column in each} | by_root
        if unknown := [name for name in fields if name not in by_name]:
            raise ValueError(
                f"there is no field {', '.join(unknown)} to draw; there are {', '.join(by_root)}"
            )
        return [by_name[name] for name in fields], []
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
    few = len(recording.array) <= 60
    for number, column in enumerate(shown):
        values = column.of(recording.array)
        discrete = column.enum is not None or column.dtype.kind == "b"
        label = column.name.removeprefix(column.root) if len(columns) > 1 else None
        x, y = _line(seconds, values, gaps[0], _PIECES)
        axes.plot(
            x, y, color=_COLOURS[number], label=label, linewidth=1.1, marker="." if few else "",
            markersize=4, drawstyle="steps-post" if discrete else "default",
            solid_joinstyle="round",
        )  # fmt: skip
    column = columns[0]
    # Above its panel, where no number of the axis is in its way.
    title = _title(recording, columns)
    axes.set_title(title, loc="left", fontsize=9.5, pad=3, color="#222222")
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


def _title(recording: Recording, columns: list[Column]) -> str:
    """The name of a panel, and how many of its values are not drawn."""
    import numpy

    name = columns[0].root if len(columns) > 1 else columns[0].name
    if len(columns) > LINES_MAX:
        name += f" ({LINES_MAX} of {len(columns)})"
    not_finite = sum(
        int(numpy.count_nonzero(~numpy.isfinite(column.of(recording.array))))
        for column in columns[:LINES_MAX]
    )
    return name + (f" ({not_finite:,} not finite)" if not_finite else "")


def _line(seconds: Array, values: Array, gaps: Array, pieces: int) -> tuple[Array, Array]:
    """A line that is broken at the gaps; of very many samples, what they span piece by piece."""
    import numpy

    # More than that has no axis.
    values = values.astype("f8")
    values = numpy.where(numpy.isfinite(values), values, numpy.nan).clip(-1e300, 1e300)
    if len(values) > 2 * pieces:
        starts = numpy.linspace(0, len(values), pieces, endpoint=False).astype(int)
        # No piece has samples of both sides of a gap, as long as there are fewer than pieces.
        starts = numpy.unique(numpy.r_[starts, gaps[:pieces] + 1])
        # The least and the greatest of each piece, where they are drawn one after another, fill
        # what the line would fill.
        x = numpy.repeat(seconds[starts], 2)
        low = numpy.fmin.reduceat(values, starts)
        y = numpy.column_stack([low, numpy.fmax.reduceat(values, starts)]).ravel()
        broken = 2 * numpy.searchsorted(starts, gaps + 1)
    else:
        x, y, broken = seconds, values, gaps + 1
    broken = numpy.unique(broken[broken < len(x)])
    # At the time before the gap: a step would go on to it.
    return numpy.insert(x, broken, x[broken - 1]), numpy.insert(y, broken, numpy.nan)


def _spans(seconds: Array, before: Array) -> Array:
    """Begin and end of what was lost; what is nearer than the eye can tell is one."""
    import numpy

    begin, end = seconds[before], seconds[before + 1]
    near = (seconds[-1] - seconds[0]) / _PIECES
    (apart,) = numpy.nonzero(begin[1:] - end[:-1] > near)
    first, last = numpy.r_[0, apart + 1], numpy.r_[apart, len(begin) - 1]
    return numpy.column_stack([begin[first], end[last]])


def _draw_gaps(axes: Axes, seconds: Array, gaps: tuple[Array, Array]) -> None:
    before, _ = gaps
    if not len(before):
        return
    axes.broken_barh(
        [(begin, end - begin) for begin, end in _spans(seconds, before)], (0, 1),
        transform=axes.get_xaxis_transform(),
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
        fontsize=9.5, loc="left", pad=6,
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


def _page(recording: Recording, fields: Sequence[str] | None) -> str:
    need("plotly", "a page", "plot")
    need("numpy", "a page", "plot")
    drawn = _zoomable(recording, fields)
    lateness = Lateness.of(recording)
    tables = _table("Conditions", _facts(recording.conditions))
    if lateness:
        rows = [(name, f"{time_text(ns)} ({ns:,} ns)") for name, ns in lateness.named()]
        tables = _table("Lateness", rows) + tables
    title = html.escape(f"{recording.conditions.region}: {_count(recording)}")
    return _PAGE.substitute(title=title, picture=drawn.to_html(full_html=False), tables=tables)


def _zoomable(recording: Recording, fields: Sequence[str] | None) -> Any:
    """The panels of figure(), as plotly draws them."""
    import numpy
    from plotly.graph_objects import Scattergl
    from plotly.subplots import make_subplots

    from rtshm.recording.columns import names_of

    panels, left_out = _panels(recording, fields)
    seconds, gaps = _seconds(recording), _gaps(recording)[0]
    titles = [_title(recording, columns) for columns in panels]
    drawn = make_subplots(
        rows=len(panels) + 1, cols=1, subplot_titles=[*titles, "lateness of a tick, us"],
        shared_xaxes=True, vertical_spacing=0.3 / (len(panels) + 1),
    )  # fmt: skip
    late = numpy.asarray(recording.array["lateness_ns"]) / 1e3
    lines = [(row, each.name, each.of(recording.array), each.enum, each.dtype.kind == "b")
             for row, columns in enumerate(panels, 1) for each in columns[:LINES_MAX]]  # fmt: skip
    for row, name, values, enum, flag in [*lines, (len(panels) + 1, "lateness", late, None, False)]:
        x, y = _line(seconds, values, gaps, _ZOOM_PIECES)
        shape = "hv" if enum or flag else "linear"
        drawn.add_trace(Scattergl(x=x, y=y, name=name, line_shape=shape), row=row, col=1)
        if enum:
            numbers = numpy.unique(values)[:_NAMES_MAX]
            drawn.update_yaxes(tickvals=numbers, ticktext=names_of(enum, numbers), row=row)
    if len(gaps):
        for begin, end in _spans(seconds, gaps)[:_SPANS_MAX]:
            drawn.add_vrect(x0=begin, x1=end, fillcolor=GAP, opacity=0.2, line_color=GAP)
    drawn.update_xaxes(title_text="time since the first sample, s", row=len(panels) + 1)
    note = f"not drawn: {', '.join(left_out)}" if left_out else None
    drawn.update_layout(height=220 * (len(panels) + 1), template="plotly_white", title_text=note)
    return drawn


def _table(caption: str, rows: Sequence[tuple[str, str]]) -> str:
    lines = (f"<tr><th>{html.escape(a)}<td>{html.escape(b)}" for a, b in rows)
    return f"<table><caption>{html.escape(caption)}</caption>\n" + "\n".join(lines) + "\n</table>\n"
