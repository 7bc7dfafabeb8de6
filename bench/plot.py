"""The picture of what was found: bench/results.png."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import matplotlib

matplotlib.use("agg")

from matplotlib import pyplot

from bench.lateness import WAYS
from bench.table import column

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from bench.figures import Run

# Figures of `growth` by what grows.
GROWTH = {"regions": "regions", "processes": "processes that map it"}


def values(runs: Sequence[Run], group: str) -> dict[str, dict[str, float]]:
    """Of a group, by machine and name: what repeats."""
    found: dict[str, dict[str, float]] = {}
    for run in runs:
        for figure in run.figures if run.repeats else ():
            if figure.group == group and figure.value is not None:
                found.setdefault(column(run), {})[figure.name] = figure.value
    return found


def draw(runs: Sequence[Run], path: Path) -> None:
    figure, ((into, ticks), (late, growth)) = pyplot.subplots(2, 2, figsize=(14, 10))
    for axes, group, title in (
        (into, "publish", "A value into the kernel: instructions"),
        (ticks, "tick", "A tick: instructions"),
    ):
        for found in list(values(runs, group).values())[:1]:
            bars(axes, {name: value for name, value in found.items() if " / " not in name})
        axes.set_title(title)
    into.set_xscale("log")
    late.set_yscale("log")
    lateness(late, values(runs, "lateness"))
    late.set_title("Lateness at 1 kHz: p99.9 in us")
    for found in values(runs, "growth").values():
        lines(growth, found)
    growth.set_title("As it grows: instructions")
    growth.set_xscale("log")
    for axes, group in ((ticks, "tick"), (late, "lateness"), (growth, "growth")):
        axes.set_visible(bool(values(runs, group)))
    figure.tight_layout()
    figure.savefig(path, dpi=100)
    pyplot.close(figure)


def bars(axes: Any, found: dict[str, float]) -> None:
    colours = ["tab:orange" if name.startswith("publish") else "tab:blue" for name in found]
    axes.barh(list(found), list(found.values()), color=colours)
    axes.invert_yaxis()


def lateness(axes: Any, found: dict[str, dict[str, float]]) -> None:
    places = [(machine, when) for machine in found for when in ("idle", "loaded")]
    width = 0.8 / len(WAYS)
    for number, way in enumerate(WAYS):
        heights = [
            found[machine].get(f"1 kHz, {when}: {way}, p99.9", 0) / 1000 for machine, when in places
        ]
        axes.bar([x + number * width for x in range(len(places))], heights, width, label=way)
    middle = width * (len(WAYS) - 1) / 2
    # All of what repeats is by icount.
    labels = [f"{machine.partition(',')[0]}\n{when}" for machine, when in places]
    axes.set_xticks([x + middle for x in range(len(places))], labels)
    # Above the bars.
    _, highest = axes.get_ylim()
    axes.set_ylim(top=highest * 30)
    axes.legend(loc="upper left", fontsize="small")


def lines(axes: Any, found: dict[str, float]) -> None:
    for unit, label in GROWTH.items():
        for what in ("a tick", "publish"):
            points = [
                (int(name.split()[0]), value)
                for name, value in found.items()
                if name.endswith(f" {unit}: {what}")
            ]
            if points:
                axes.plot(*zip(*points, strict=True), marker="o", label=f"{what}, by {label}")
    axes.set_ylim(bottom=0)
    if axes.lines:
        axes.legend()
