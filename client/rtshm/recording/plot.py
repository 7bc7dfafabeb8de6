"""A recording as a picture: its fields over time, and how late its ticks were.

figure() returns the picture, save() writes a file.
"""

from __future__ import annotations

import dataclasses
import html
import itertools
import os
import textwrap
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from string import Template
from typing import TYPE_CHECKING, Any

import numpy

from rtshm.durations import measured, rate_text
from rtshm.errors import need
from rtshm.recording import check_picture
from rtshm.recording.columns import Array, Column, chosen, groups, names_of
from rtshm.samples import HEADER_NAMES

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from rtshm.recording import Recording
    from rtshm.recording.conditions import Conditions


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
PIECES = 1500
"""A line is drawn as so many pieces at most, each from its least to its greatest value."""
# And of one in which one can zoom.
_ZOOM_PIECES = 50_000
_NAMES_MAX, _SPANS_MAX = 32, 200
_WIDTH_IN, _HISTOGRAM_IN, _DPI = 11.0, 2.3, 120

time_text = partial(measured, form=".3g")

_STYLE: Any = {
    "font.size": 9,
    "axes.edgecolor": "#999999",
    "axes.grid": True,
    "axes.spines.right": False,
    "axes.spines.top": False,
    "axes.ymargin": 0.12,
    "axes.axisbelow": True,
    "grid.color": "#e6e6e6",
    # A dollar of a name is a dollar.
    "text.parse_math": False,
}

_PAGE = Template("""<!doctype html>
<html lang="en">
<meta charset="utf-8">
<title>$title</title>
<style>
body { font: 15px/1.5 system-ui, sans-serif; max-width: 1100px; margin: 2em auto; }
caption { text-align: left; font-weight: bold; padding-top: 1em; }
th, td { text-align: left; padding-right: 1.5em; vertical-align: top; overflow-wrap: anywhere; }
th { font-weight: normal; color: #555; white-space: nowrap; }
</style>
<h1>$title</h1>
$picture
$tables
</html>
""")


@dataclasses.dataclass(frozen=True, slots=True)
class Lateness:
    """Lateness of ticks in ns: each figure is the lateness of one tick."""

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
        """None for a recording without a sample. ValueError if it has several regions."""
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
) -> str:
    """Draw it into a file: .png, or .html, a page of its own in which one can zoom.

    Returns a line that says what it has. Raises as figure() does, ValueError
    for another suffix, and OSError.
    """
    suffix, drawn = Path(check_picture(path)).suffix, Drawn(recording, fields)
    if suffix == ".png":
        _figure(drawn).savefig(path, format="png", dpi=_DPI)
    else:
        Path(path).write_text(_page(drawn), encoding="utf-8")
    return f"{drawn.count()}; fields {' | '.join(map(drawn.name, drawn.panels))}"


class Drawn:
    """What pictures of a recording have in common: panels of lines on one time line."""

    def __init__(self, recording: Recording, fields: Sequence[str] | None) -> None:
        self.regions = [recording[name] for name in recording.regions]
        self.begun = [each.conditions for each in self.regions]
        self.left_out: list[str] = []
        if fields:
            self.panels = chosen(self.begun, fields)
        else:
            known = groups(self.begun)
            shown = {
                name: headings
                for name, headings in known.items()
                if headings[0].root not in HEADER_NAMES
                or (headings[0].root == "some_int" and self._changes(headings[0]))
            }
            self.panels = list(shown.values())[:PANELS_MAX] or [known["some_int"]]
            self.left_out = list(shown)[PANELS_MAX:]
        times = [each.array["time_ns"] for each in self.regions]
        firsts = [each[0] for each in times if len(each)]
        self.zero = "the first sample"
        begin = min(firsts, default=0)
        for each, conditions, time in zip(self.regions, self.begun, times, strict=True):
            if len(edge := time[each.array["tick"] == (conditions.edge_tick or 0)]):
                begin, self.zero = edge[0], "the edge"
        self.seconds = [(each - begin) / 1e9 for each in times]
        self.gaps = [gaps(each.array["tick"]) for each in self.regions]
        whole = numpy.concatenate(self.seconds)
        self.low = float(whole.min()) if len(whole) else 0.0
        self.high = float(whole.max()) if len(whole) else 0.0

    def _changes(self, heading: Column) -> bool:
        values = self.values(heading)
        return bool((values != values[:1]).any())

    def values(self, heading: Column) -> Array:
        return heading.of(self.regions[heading.region or 0].array)

    def lateness(self) -> list[Column]:
        """A column for each region."""
        found = [each for (each, *_) in groups(self.begun).values()]
        return [each for each in found if each.root == "lateness_ns"]

    def shown(self) -> Iterator[Column]:
        """The columns that zoomable() draws, in the order of its traces."""
        for headings in [*self.panels, self.lateness()]:
            yield from headings[:LINES_MAX]

    def line(self, heading: Column, pieces: int = PIECES) -> tuple[Array, Array]:
        """Seconds and values, as pieces if there are very many."""
        region = heading.region or 0
        return line(self.seconds[region], self.values(heading), self.gaps[region][0], pieces)

    def name(self, headings: Sequence[Column]) -> str:
        """The name of a panel: those of its fields."""
        fields: dict[str, list[str]] = {}
        for each in headings:
            field = each.name.removesuffix(each.field) + each.root
            fields.setdefault(field, []).append(each.name)
        return ", ".join(each[0] if len(each) == 1 else field for field, each in fields.items())

    def title(self, headings: Sequence[Column]) -> str:
        """The name of a panel, and how many of its values are not drawn."""
        name = self.name(headings)
        if len(headings) > LINES_MAX:
            name += f" ({LINES_MAX} of {len(headings)})"
        not_finite = sum(
            int(numpy.count_nonzero(~numpy.isfinite(self.values(each))))
            for each in headings[:LINES_MAX]
        )
        return name + (f" ({not_finite:,} not finite)" if not_finite else "")

    def names(self, headings: Sequence[Column]) -> dict[int, str]:
        """Of the values of an enum or bool, flags that are set together too; {} for numbers."""
        if all(each.dtype.kind == "b" for each in headings):
            return {0: "false", 1: "true"}
        enum = headings[0].enum
        if enum is None or any(each.enum is not enum for each in headings):
            return {}
        there = numpy.unique(numpy.concatenate([self.values(each) for each in headings]))
        members = numpy.array([int(member) for member in enum.__members__.values()])
        if len(members) <= LINES_MAX and numpy.isin(there, members).all():
            there = members
        there = there[:_NAMES_MAX]
        return dict(zip(there.tolist(), names_of(enum, there), strict=True))

    def spans(self, headings: Sequence[Column]) -> Iterator[tuple[float, float]]:
        """Begin and end of what was lost; what is nearer than the eye can tell is one."""
        for region in {each.region or 0 for each in headings}:
            yield from self._spans(region).tolist()

    def _spans(self, region: int) -> Array:
        before, _ = self.gaps[region]
        if not len(before):
            return numpy.zeros((0, 2))
        begin, end = self.seconds[region][before], self.seconds[region][before + 1]
        near = (self.high - self.low) / PIECES
        (apart,) = numpy.nonzero(begin[1:] - end[:-1] > near)
        first, last = numpy.r_[0, apart + 1], numpy.r_[apart, len(begin) - 1]
        return numpy.column_stack([begin[first], end[last]])

    def count(self) -> str:
        samples = sum(len(each.array) for each in self.regions)
        lost, missed = (sum(getattr(each, of) for each in self.begun) for of in ("lost", "missed"))
        seconds = self.high - self.low
        span = f"{seconds:,.1f}" if seconds >= 100 else f"{seconds:.3g}"
        return (
            f"{', '.join(each.region for each in self.begun)}: {samples:,} "
            f"sample{'' if samples == 1 else 's'} in {span} s, {lost:,} lost, "
            f"{missed:,} period{'' if missed == 1 else 's'} missed"
        )


def figure(recording: Recording, fields: Sequence[str] | None = None) -> Figure:
    """Draw each field over time, the histogram of lateness, and the conditions as caption.

    The elements of an array share a panel, unless one is named: `axes[3]`.
    Fields with commas between them share one, too: `target,speed`. In a
    recording of several regions the fields are named `motor.speed`. Without
    `fields` those that are numbers, PANELS_MAX of them; some_int only if it
    changes, or is alone. Values that are not finite are gaps, and are counted.
    The time of a sweep is counted from its edge. Raises ValueError for a field
    that is unknown or not a number, and ExtraError if matplotlib is not
    installed.
    """
    return _figure(Drawn(recording, fields))


def _figure(drawn: Drawn) -> Figure:
    need("matplotlib", "a picture", "plot")
    import matplotlib
    from matplotlib.figure import Figure
    from matplotlib.ticker import EngFormatter

    caption = _caption(drawn)
    rows = [1.05 if len(drawn.panels) > 6 else 1.35] * len(drawn.panels)
    with matplotlib.rc_context(_STYLE):
        # Titles and labels need as much as a panel of the fields has, in inches.
        height = sum(rows) * 1.25 + _HISTOGRAM_IN + 1.2 + 0.17 * len(caption)
        picture = Figure(figsize=(_WIDTH_IN, height), layout="constrained")
        grid = picture.add_gridspec(len(rows) + 1, 1, height_ratios=[*rows, _HISTOGRAM_IN])
        first: Axes | None = None
        for index, headings in enumerate(drawn.panels):
            axes = picture.add_subplot(grid[index], sharex=first)
            first = first or axes
            _draw_panel(axes, drawn, headings)
            last = index == len(drawn.panels) - 1
            axes.tick_params(labelbottom=last, length=3 if last else 0, axis="x")
            axes.set_xlabel(f"time since {drawn.zero}" if last else "")
        assert first is not None
        room = drawn.begun[0].period_ns / 1e9 if drawn.high == drawn.low else 0
        first.set_xlim(drawn.low, drawn.high + room)
        # Shared: of all panels. Nobody counts in ks.
        first.xaxis.set_major_formatter(
            EngFormatter(unit="s") if drawn.high < 1000 else lambda at, _: f"{at:,.0f} s"
        )
        lost = [int(each) for _, counts in drawn.gaps for each in counts]
        if lost:
            where = "at one place" if len(lost) == 1 else f"at {len(lost):,} places"
            first.text(
                1, 1.04, f"▮ {sum(lost):,} samples lost {where}", transform=first.transAxes,
                ha="right", va="bottom", color=GAP, fontsize=8.5,
            )  # fmt: skip
        _draw_histogram(picture.add_subplot(grid[len(rows)]), drawn)
        picture.suptitle(drawn.count(), x=0.01, ha="left", fontsize=13, fontweight="bold")
        picture.supxlabel("\n".join(caption), x=0.01, ha="left", fontsize=8, color=_GREY)
    return picture


def _draw_panel(axes: Axes, drawn: Drawn, headings: list[Column]) -> None:
    from matplotlib.ticker import MaxNLocator

    names, one = drawn.names(headings), len({each.root for each in headings}) == 1
    for heading, colour in zip(headings, _COLOURS, strict=False):
        few = len(drawn.values(heading)) <= 60
        axes.plot(
            *drawn.line(heading), color=colour, linewidth=1.1, marker="." if few else "",
            markersize=4, drawstyle="steps-post" if names else "default",
            label=heading.field.removeprefix(heading.root) if one else heading.name,
            solid_joinstyle="round",
        )  # fmt: skip
    # Above its panel, where no number of the axis is in its way.
    axes.set_title(drawn.title(headings), loc="left", fontsize=9.5, pad=3)
    whole = all(each.dtype.kind in "iu" for each in headings)
    if names and len(names) <= LINES_MAX:
        axes.set_yticks([*names], [*names.values()])
    else:
        axes.yaxis.set_major_locator(MaxNLocator(4, integer=whole))
    if len(headings) > 1:
        axes.legend(
            loc="upper left", bbox_to_anchor=(1.005, 1.05), fontsize=8, frameon=False,
            handlelength=1.2, labelspacing=0.25, borderaxespad=0,
        )  # fmt: skip
    spans = [(begin, end - begin) for begin, end in drawn.spans(headings)]
    if spans:
        axes.broken_barh(
            spans, (0, 1),
            transform=axes.get_xaxis_transform(),
            facecolor=GAP + "30", edgecolor=GAP, linewidth=0.6, zorder=0.5, gid="gaps",
        )  # fmt: skip
    if drawn.low < 0:
        axes.axvline(0, color=_GREY, linewidth=0.9, linestyle=(0, (4, 2)), gid="edge")


def gaps(ticks: Array) -> tuple[Array, Array]:
    """Where samples are lost: the indices of those before, and how many are."""
    lost = numpy.diff(ticks) - 1
    (before,) = numpy.nonzero(lost > 0)
    return before, lost[before]


def line(seconds: Array, values: Array, gaps: Array, pieces: int) -> tuple[Array, Array]:
    """A line that is broken behind the samples `gaps`; of very many, what they span by pieces."""
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


def _draw_histogram(axes: Axes, drawn: Drawn) -> None:
    from matplotlib.ticker import FuncFormatter, NullFormatter

    found = [(each, lateness) for each in drawn.regions if (lateness := Lateness.of(each))]
    axes.set_xlabel("lateness of a tick")
    axes.set_ylabel("ticks")
    if not found:
        axes.text(0.5, 0.5, "no samples", transform=axes.transAxes, ha="center", color=_GREY)
        axes.set_xticks([])
        axes.set_yticks([])
        return
    low = max(min(each.min_ns for _, each in found), 1) / 1.15
    high = max(*(each.max_ns for _, each in found), 1) * 1.15
    bins = numpy.geomspace(low, high, 100).tolist()
    titles = []
    for (each, lateness), colour in zip(found, _COLOURS, strict=False):
        # A logarithm has no place for 0.
        axes.hist(numpy.maximum(each.array["lateness_ns"], 1), bins, color=colour, alpha=0.8)
        for name, ns in lateness.named()[1:-1]:
            axes.axvline(max(ns, 1), color=colour, linewidth=0.9, linestyle=(0, (4, 2)), label=name)
        name = f"{each.conditions.region}:  " if len(found) > 1 else ""
        titles.append(name + "     ".join(f"{of}  {time_text(ns)}" for of, ns in lateness.named()))
    axes.set(xscale="log", yscale="log", xlim=(low, high))
    axes.set_ylim(0.7, max(axes.get_ylim()[1], 12))
    times = FuncFormatter(lambda ns, _: time_text(ns))
    axes.xaxis.set_major_formatter(times)
    axes.xaxis.set_minor_formatter(times if high / low < 20 else NullFormatter())
    axes.yaxis.set_minor_formatter(NullFormatter())
    axes.yaxis.set_major_formatter(lambda count, _: f"{count:,.0f}")
    axes.set_title("\n".join(titles), fontsize=9.5, loc="left", pad=6)


def _facts(conditions: Conditions) -> dict[str, str]:
    """The conditions, for people."""
    started = datetime.fromtimestamp(conditions.started_ns / 1e9, UTC)
    return {
        "region": conditions.region,
        "started": f"{started:%Y-%m-%d %H:%M:%S} UTC",
        "period": rate_text(conditions.period_ns, time_text),
        "samples": f"{conditions.samples:,}",
        "lost": f"{conditions.lost:,}",
        "periods missed": f"{conditions.missed:,}",
        "ended": conditions.ended or "cut off",
        "kernel": conditions.kernel,
        "preemption": conditions.preemption,
        "clock source": conditions.clocksource,
        "virtual machine": conditions.virtualization,
        "cpu governor": conditions.governor,
        "layout": conditions.layout or "none",
        "rtshm": conditions.version,
    }


def _caption(drawn: Drawn) -> list[str]:
    facts = [_facts(each) for each in drawn.begun]
    names = ("started", "ended", "rtshm", "kernel", "preemption", "clock source", "cpu governor")
    said = [f"{name} {facts[0][name]}" for name in names]
    said.insert(-1, f"virtual machine: {facts[0]['virtual machine']}")
    # A fact stays in one line.
    text = "  ·  ".join(each.replace(" ", "\xa0") for each in said)
    lines = [each.replace("\xa0", " ") for each in textwrap.wrap(text, 160)]
    for each in facts:
        region = f"{each['region']}: " if len(facts) > 1 else ""
        text = f"{region}period {each['period']}  ·  layout {each['layout']}"
        lines += textwrap.wrap(text, 160, max_lines=3, placeholder=" ...")
    if drawn.left_out:
        lines += textwrap.wrap(f"not drawn: {', '.join(drawn.left_out)}", 160, max_lines=2)
    return lines


def _page(drawn: Drawn) -> str:
    need("plotly", "a page", "plot")
    tables = ""
    for each in drawn.regions:
        lateness, name = Lateness.of(each), each.conditions.region
        if lateness:
            rows = {of: f"{time_text(ns)} ({ns:,} ns)" for of, ns in lateness.named()}
            tables += _table(f"Lateness of {name}", rows)
        tables += _table(f"Conditions of {name}", _facts(each.conditions))
    picture = zoomable(drawn).to_html(full_html=False)
    return _PAGE.substitute(title=html.escape(drawn.count()), picture=picture, tables=tables)


def zoomable(drawn: Drawn, kind: str = "scattergl") -> Any:
    """The panels of figure(), as plotly draws them: by WebGL, or as "scatter" by SVG."""
    from plotly.subplots import make_subplots

    panels = [*drawn.panels, drawn.lateness()]
    titles = [*map(drawn.title, drawn.panels), "lateness of a tick, ns"]
    picture = make_subplots(
        rows=len(panels), cols=1, subplot_titles=titles,
        shared_xaxes=True, vertical_spacing=0.3 / len(panels),
    )  # fmt: skip
    for row, headings in enumerate(panels, 1):
        names = drawn.names(headings)
        for each in headings[:LINES_MAX]:
            x, y = drawn.line(each, _ZOOM_PIECES)
            shape = "hv" if names else "linear"
            trace = {"type": kind, "x": x, "y": y, "name": each.name, "line_shape": shape}
            picture.add_trace(trace, row=row, col=1)
        if names:
            picture.update_yaxes(tickvals=[*names], ticktext=[*names.values()], row=row)
        for begin, end in itertools.islice(drawn.spans(headings), _SPANS_MAX):
            look = {"fillcolor": GAP, "opacity": 0.2, "line_color": GAP}
            picture.add_vrect(x0=begin, x1=end, row=row, col=1, **look)
    picture.update_xaxes(title_text=f"time since {drawn.zero}, s", row=len(panels))
    note = f"not drawn: {', '.join(drawn.left_out)}" if drawn.left_out else None
    picture.update_layout(height=220 * len(panels), template="plotly_white", title_text=note)
    return picture


def _table(caption: str, rows: dict[str, str]) -> str:
    lines = (f"<tr><th>{html.escape(a)}<td>{html.escape(b)}" for a, b in rows.items())
    return f"<table><caption>{html.escape(caption)}</caption>\n" + "\n".join(lines) + "\n</table>\n"
