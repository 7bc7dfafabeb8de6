"""Figures as tables of Markdown, a table a group, a column a machine."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from bench.figures import Figure, Run, plain

if TYPE_CHECKING:
    from collections.abc import Sequence

TITLES = {
    "publish": "A value into the kernel, from Python",
    "lateness": "How late a tick is",
    "tick": "What a tick costs",
    "history": "The history, into numpy",
    "growth": "Growth",
    "control": "The control plane",
    "linuxcnc": "LinuxCNC",
    "loop": "From a changed line of C to a verdict",
}

BEGIN = "<!-- what `make bench` found -->"
END = "<!-- end of what it found -->"


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
    """All groups. What is beyond its limit is bold; why follows the table."""
    return "\n\n".join(
        f"### {title}\n\n{group_table(group, runs)}"
        for group, title in TITLES.items()
        if any(figure.group == group for run in runs for figure in run.figures)
    )


def limits(runs: Sequence[Run]) -> str:
    """Every figure that repeats and has a limit."""
    lines = ["| | machine | found | limit | |", "|---|---|---|---|---|"]
    for run in runs:
        for figure in run.figures if run.repeats else ():
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
        limit = next((figure.limit for figure in found if figure), "")
        cells = " | ".join(cell(figure) for figure in found)
        lines.append(f"| {name.strip()} | {cells} | {limit} |")
        whys = [f.why for f in found if f and f.why and (not f.kept or f.value is None)]
        notes += [f"- {name.strip()}: {why}." for why in dict.fromkeys(whys)]
    return "\n".join([*lines, *(["", *notes] if notes else [])])


def inserted(document: str, results: dict[str, Any]) -> str:
    """The document with the tables of `results` in the place of those that it has."""
    runs = [Run.from_json(run) for run in results["runs"]]
    before, _, rest = document.partition(BEGIN)
    _, _, after = rest.partition(END)
    if not after:
        raise ValueError(f"the document has no {BEGIN} before an {END}")
    facts = [f"- {name}: {text}" for name, text in results["conditions"].items()]
    facts += [
        f"- {column(run)}: Linux {run.release}, Python {run.python}"
        for run in {column(run): run for run in runs}.values()
    ]
    found = f"### Limits\n\n{limits(runs)}\n\n{markdown(runs)}"
    return f"{before}{BEGIN}\n\n" + "\n".join(facts) + f"\n\n{found}\n\n{END}{after}"
