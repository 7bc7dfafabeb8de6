"""The figures of a run of `make bench` in Markdown: a table a group, a column a machine."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bench.figures import plain

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from bench.figures import Figure, Run

TITLES = {
    "publish": "A value into the kernel, from Python",
    "lateness": "How late a tick is",
    "wakes": "From the tick to who waits for it",
    "tick": "What a tick costs",
    "history": "The history, into numpy",
    "growth": "Growth",
    "control": "The control plane",
    "linuxcnc": "LinuxCNC",
    "loop": "From a changed line of C to a verdict",
}


def column(run: Run) -> str:
    return f"{run.kernel}, {run.accelerator}"


def cell(figure: Figure | None) -> str:
    if figure is None:
        return ""
    if figure.value is None:
        return "not taken"
    text = f"{plain(figure.value)} {figure.unit}".strip()
    return text if figure.kept else f"**{text}**"


def markdown(runs: Sequence[Run]) -> str:
    """All groups. What is beyond its limit is bold."""
    return "\n\n".join(
        f"### {title}\n\n{group_table(group, runs)}"
        for group, title in TITLES.items()
        if any(figure.group == group for run in runs for figure in run.figures)
    )


def limits(runs: Sequence[Run]) -> str:
    """Every figure that has a limit."""
    lines = ["| | machine | found | limit | |", "|---|---|---|---|---|"]
    for run in runs:
        for figure in run.figures:
            if figure.limit and figure.value is not None:
                cells = [figure.name.strip(), column(run), cell(figure), figure.limit]
                lines.append(f"| {' | '.join(cells)} | {figure.verdict} |")
    return "\n".join(lines)


def group_table(group: str, runs: Sequence[Run]) -> str:
    columns: dict[str, dict[str, Figure]] = {}
    for run in runs:
        for figure in run.figures:
            if figure.group == group:
                columns.setdefault(column(run), {})[figure.name] = figure
    # In the order of the first machine; what only a later one has comes behind.
    rows = list(dict.fromkeys(name for figures in columns.values() for name in figures))
    lines = ["| | " + " | ".join(columns) + " | limit |", "|---" * (len(columns) + 2) + "|"]
    notes = []
    for name in rows:
        found = [figures.get(name) for figures in columns.values()]
        limit = next((figure.limit for figure in found if figure and figure.limit), "")
        cells = " | ".join(cell(figure) for figure in found)
        lines.append(f"| {name.strip()} | {cells} | {limit} |")
        whys = [figure.why for figure in found if figure and figure.why]
        notes += [f"- {name.strip()}: {why}." for why in dict.fromkeys(whys)]
    return "\n".join([*lines, *(["", *notes] if notes else [])])


def conditions(facts: Mapping[str, str], runs: Sequence[Run]) -> str:
    """`facts` of the machine that ran them all, and what each column was."""
    lines = [f"- {name}: {text}" for name, text in facts.items()]
    lines += [
        f"- {column(run)}: Linux {run.release}, Python {run.python}"
        for run in {column(run): run for run in runs}.values()
    ]
    return "\n".join(lines)
