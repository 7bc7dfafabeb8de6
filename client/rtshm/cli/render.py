"""Regions as text and as JSON."""

from __future__ import annotations

import textwrap
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import fields, is_dataclass
from typing import TYPE_CHECKING, Any

from rtshm.cli.units import address_text, mode_text, size_text, user_text
from rtshm.durations import measured, period_text, rate_text, time_text
from rtshm.errors import group_text

if TYPE_CHECKING:
    from rtshm.control import Event, RegionInfo, TaskInfo
    from rtshm.safe import State

# A bar is never narrower: a line too long is easier to read than no bar.
BAR_MIN = 10
# Characters of a name that stay in a narrow terminal.
NAME_MIN = 16


def table(
    columns: Sequence[str],
    rows: Iterable[Sequence[str]],
    width: int | None = None,
    least: Sequence[str] = (),
) -> list[str]:
    """Aligned lines, the first with the headings; a column is `<LEFT` or `>RIGHT`.

    Where they are wider than `width`, columns are left out, the first of `least`
    first, and a last line names them. Then the first column is cut.
    """
    columns, lines, left_out = fit(columns, list(rows), width, least)
    heads = [column[1:] for column in columns]
    widths = _widths(columns, lines)
    forms = [f"{column[0]}{size}" for column, size in zip(columns, widths, strict=True)]
    drawn = ["  ".join(map(format, line, forms)).rstrip() for line in [heads, *lines]]
    return drawn + left_out_text(left_out, width)


def fit(
    columns: Sequence[str], rows: Sequence[Sequence[str]], width: int | None, least: Sequence[str]
) -> tuple[Sequence[str], Sequence[Sequence[str]], list[str]]:
    """Return the columns and rows that fit, and the headings of those that do not.

    Names are cut before a column is left out, down to NAME_MIN characters.
    """
    left_out: list[str] = []
    widths = _widths(columns, rows)
    if width is None or _total(widths) <= width:
        return columns, rows, left_out
    for heading in least:
        if _total([min(widths[0], NAME_MIN), *widths[1:]]) <= width:
            break
        at = [column[1:] for column in columns].index(heading)
        columns = [*columns[:at], *columns[at + 1 :]]
        rows = [[*row[:at], *row[at + 1 :]] for row in rows]
        widths = [*widths[:at], *widths[at + 1 :]]
        left_out.append(heading)
    most = max(width - _total(widths) + widths[0], NAME_MIN // 2)
    return columns, [[_cut(row[0], most), *row[1:]] for row in rows], left_out


def left_out_text(left_out: Sequence[str], width: int | None) -> list[str]:
    """Return the lines that name what there was no room for."""
    return textwrap.wrap(f"(no room for {', '.join(left_out)})", width or 80) if left_out else []


def _total(widths: Sequence[int]) -> int:
    return sum(widths) + 2 * (len(widths) - 1)


def _widths(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> list[int]:
    lines = [[column[1:] for column in columns], *rows]
    return [max(map(len, cells)) for cells in zip(*lines, strict=True)]


TASK_COLUMNS = "<TASK >TICKS >LONGEST >OVERRUNS >MOST <STATE".split()
TASK_LEAST = ("TICKS", "OVERRUNS", "MOST", "LONGEST")


def _cut(text: str, most: int) -> str:
    return text if len(text) <= most else f"{text[: most - 2]}.."


def region_list(regions: Iterable[RegionInfo], width: int | None = None) -> list[str]:
    columns = "<NAME >SIZE >PERIOD <PRINT <CREATOR >USERS >TICKS >MISSED".split()
    rows = [
        [
            region.name,
            size_text(region.size),
            period_text(region.period_ns),
            region.print,
            _creator(region),
            str(region.users),
            *_counted(region),
        ]
        for region in regions
    ]
    least = ("PRINT", "CREATOR", "USERS", "SIZE", "TICKS", "LATENESS MAX", "MISSED", "PERIOD")
    return table([*columns, ">LATENESS MAX"], rows, width, least)


def _creator(region: RegionInfo) -> str:
    return "-" if region.creator is None else str(user_text(region.creator))


def _counted(region: RegionInfo) -> list[str]:
    """Ticks, missed periods and the largest lateness."""
    if not region.readable:
        return ["-", "-", "-"]
    counters = region.counters
    lateness = measured(counters.lateness_max_ns) if counters.ticks else "-"
    return [str(counters.ticks), str(counters.missed), lateness]


def region_page(
    region: RegionInfo, width: int | None = None, safe: Mapping[str, State] | None = None
) -> list[str]:
    """All that is known of a region, in lines of `width` columns at most."""
    facts = {
        "id": region.id,
        "size": f"{size_text(region.size)} ({region.size} bytes)",
        **({} if region.phys is None else {"memory": _raw_memory(region)}),
        "period": rate_text(region.period_ns),
        "print": region.print,
        "history": f"{region.history} samples" if region.history else "none",
        "record bytes": region.record_bytes,
        "node": f"{region.path} {mode_text(region.mode)} "
        f"{user_text(region.uid)}:{group_text(region.gid)}",
        "cpu": _cpu(region),
        "grid": _grid(region),
        "creator": _creator(region),
        "users": region.users,
        **(_inside(region) if region.readable else {"inside": "for those who may read the node"}),
    }
    lines = [region.name]
    for name, value in facts.items():
        lines += _folded(f"  {name:<14}", str(value), width)
    if not region.readable:
        return lines
    counters = region.counters
    if region.tasks:
        lines += ["", *(f"  {line}" for line in task_list(region, width and width - 2))]
    for name, state in (safe or {}).items():
        lines += _folded(f"  {name + ':':<14}", safe_text(state), width)
    if counters.ticks:
        lines += [
            "",
            *(f"  {line}" for line in histogram(counters.lateness_histogram, (width or 80) - 2)),
        ]
    return lines


def _folded(name: str, value: str, width: int | None) -> list[str]:
    """A line, or several where it is wider; the value is below itself."""
    if width is None:
        return [f"{name}{value}"]
    room, below = max(width, len(name) + BAR_MIN), " " * len(name)
    return textwrap.wrap(value, room, initial_indent=name, subsequent_indent=below) or [name]


def _inside(region: RegionInfo) -> dict[str, object]:
    """What is sent only to those who may read the region."""
    counters = region.counters
    lateness = "no tick yet"
    if counters.ticks:
        lateness = (
            f"min {measured(counters.lateness_min_ns)}, "
            f"mean {measured(counters.lateness_mean_ns)}, "
            f"max {measured(counters.lateness_max_ns)}"
        )
    return {
        # As a word of Python where it could do something to the terminal.
        "layout": (region.layout if region.layout.isprintable() else repr(region.layout)) or "-",
        "ticks": counters.ticks,
        "missed": counters.missed,
        "published": counters.published,
        "lateness": lateness,
    }


def _raw_memory(region: RegionInfo) -> str:
    where = address_text(region.phys) if region.phys else "an address for CAP_SYS_RAWIO to see"
    return f"raw, at {where}, {'kept' if region.keep else 'zeroed'}"


def _cpu(region: RegionInfo) -> str:
    """The cpu that the timer is on, and how it came there."""
    notes = []
    if region.cpu is None:
        notes.append("chosen by the kernel")
    elif region.timer_cpu != region.cpu:
        notes.append(f"until {region.cpu} is online")
    if region.cpu_latency_ns:
        notes.append(f"idle states of {time_text(region.cpu_latency_ns)} at most")
    return f"{region.timer_cpu} ({', '.join(notes)})" if notes else str(region.timer_cpu)


def _grid(region: RegionInfo) -> str:
    """When the ticks are due."""
    since = "from the first tick on"
    if region.phase_ns is not None:
        since = f"phase {time_text(region.phase_ns)}"
    elif region.start_ns is not None:
        since = f"from {region.start_ns} ns on"
    lead = f", lead {time_text(region.lead_ns)}" if region.lead_ns else ""
    return f"{region.clock}, {since}{lead}"


def task_list(region: RegionInfo, width: int | None = None) -> list[str]:
    rows = [_task_cells(region, task) for task in region.tasks]
    return table(TASK_COLUMNS, rows, width, TASK_LEAST)


def all_tasks(regions: Iterable[RegionInfo], width: int | None = None) -> list[str]:
    rows = [
        [region.name, *_task_cells(region, task)] for region in regions for task in region.tasks
    ]
    return table(["<REGION", *TASK_COLUMNS], rows, width, TASK_LEAST)


def _task_cells(region: RegionInfo, task: TaskInfo) -> list[str]:
    budget = f"of {time_text(region.task_budget_ns)}" if region.task_budget_ns else "no budget"
    return [
        task.name,
        str(task.ticks),
        measured(task.time_max_ns) if task.ticks else "-",
        f"{task.overruns} ({budget})",
        _most(task),
        "stopped" if task.stopped else "runs",
    ]


def _most(task: TaskInfo) -> str:
    """What a BPF program runs in a tick at most."""
    if task.prog_id is None:
        return "-"
    return "no bound" if task.insns_max is None else f"{task.insns_max} instructions"


def safe_text(state: State) -> str:
    """Whether safe values are in place, and since when the writer has been silent."""
    now = "in place" if state.in_place else "not in place"
    silent = measured(state.silent_ns)
    return f"safe values {now}, {state.times} so far; writer silent for {silent}"


def task_page(
    region: RegionInfo, task: TaskInfo, safe: Mapping[str, State] | None = None
) -> list[str]:
    """All that is known of a task."""
    headings = (column[1:].lower() for column in TASK_COLUMNS)
    facts = dict(zip(headings, _task_cells(region, task), strict=True))
    facts["record"] = f"its first {task.record_bytes} bytes"
    facts["program"] = "of a module" if task.prog_id is None else f"BPF, id {task.prog_id}"
    if safe and task.name in safe:
        facts["writer"] = safe_text(safe[task.name])
    name = facts.pop("task")
    lines = [f"{region.name}: {name}", *(f"  {key:<14}{value}" for key, value in facts.items())]
    return lines


def task_json(region: RegionInfo, task: TaskInfo) -> dict[str, Any]:
    """Every field, and the name of the region."""
    return {"region": region.name, **dashed(task)}


def histogram(bins: Sequence[int], width: int) -> list[str]:
    """Bins 2**i <= ns < 2**(i+1): from the first to the last that has any, one a line."""
    used = [i for i, count in enumerate(bins) if count]
    if not used:
        return []
    rows = [
        (
            measured(2**i if i else 0),
            "" if i == len(bins) - 1 else measured(2 ** (i + 1)),
            str(bins[i]),
        )
        for i in range(used[0], used[-1] + 1)
    ]
    low, high, count = (max(map(len, cells)) for cells in zip(*rows, strict=True))
    heading = f"{'LATENESS':<{low + 4 + high}}  {'TICKS':>{max(count, 5)}}"
    space = max(width - len(heading) - 2, BAR_MIN)
    lines = [heading]
    for i, (lower, upper, ticks) in enumerate(rows, used[0]):
        bar = "#" * (max(1, round(bins[i] * space / max(bins))) if bins[i] else 0)
        edges = f"{lower:>{low}} .. {upper:>{high}}"
        lines.append(f"{edges}  {ticks:>{max(count, 5)}}  {bar}".rstrip())
    return lines


def event_line(event: Event) -> str:
    """An event, with the options' names for what it says of the region."""
    from rtshm.control import Deleted, Overrun

    kind = type(event).__name__.lower()
    if isinstance(event, Overrun):
        names = ", ".join(region.name for region in event.regions)
        return f"{kind}: events were lost; there are now: {names or 'none'}"
    region = event.region
    if isinstance(event, Deleted):
        ticks, missed, _ = _counted(region)
        return f"{kind} {region.name}: ticks={ticks} missed={missed}"
    return (
        f"{kind} {region.name}: size={size_text(region.size)} "
        f"period={period_text(region.period_ns)} "
        f"print={region.print} history={region.history} record-bytes={region.record_bytes}"
    )


def event_json(event: Event) -> dict[str, Any]:
    """The event, and the region or regions with every field."""
    from rtshm.control import Overrun

    kind = type(event).__name__.lower()
    if isinstance(event, Overrun):
        return {"event": kind, "regions": [region_json(region) for region in event.regions]}
    return {"event": kind, "region": region_json(event.region)}


def region_json(region: RegionInfo) -> dict[str, Any]:
    """Every field that is known, by its name in the netlink spec."""
    from rtshm.control import INSIDE

    names = [field.name for field in fields(region)]
    if not region.readable:
        names = [name for name in names if name not in INSIDE]
    return {name.replace("_", "-"): dashed(getattr(region, name)) for name in names}


def dashed(value: Any) -> Any:
    """What JSON has of a dataclass, or of a tuple: names with dashes."""
    if is_dataclass(value) and not isinstance(value, type):
        names = (field.name for field in fields(value))
        return {name.replace("_", "-"): dashed(getattr(value, name)) for name in names}
    return [dashed(item) for item in value] if isinstance(value, tuple) else value
