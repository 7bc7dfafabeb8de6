"""Regions as text and as JSON."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from rtshm.cli.units import (
    address_text,
    group_text,
    measured,
    mode_text,
    size_text,
    time_text,
    user_text,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from rtshm.control import Event, RegionInfo

# A bar is never narrower: a line too long is easier to read than no bar.
BAR_MIN = 10


def table(columns: Sequence[str], rows: Iterable[Sequence[str]]) -> list[str]:
    """Aligned lines, the first with the headings; a column is `<LEFT` or `>RIGHT`."""
    lines = [[column[1:] for column in columns], *rows]
    widths = [max(map(len, cells)) for cells in zip(*lines, strict=True)]
    forms = [f"{column[0]}{width}" for column, width in zip(columns, widths, strict=True)]
    return ["  ".join(map(format, line, forms)).rstrip() for line in lines]


def region_list(regions: Iterable[RegionInfo]) -> list[str]:
    columns = "<NAME >SIZE >PERIOD <PRINT >USERS >TICKS >MISSED".split()
    rows = [
        [
            region.name,
            size_text(region.size),
            time_text(region.period_ns),
            region.print,
            str(region.users),
            str(region.counters.ticks),
            str(region.counters.missed),
            measured(region.counters.lateness_max_ns) if region.counters.ticks else "-",
        ]
        for region in regions
    ]
    return table([*columns, ">LATENESS MAX"], rows)


def region_page(region: RegionInfo, width: int) -> list[str]:
    """All that is known of a region, its histogram `width` columns wide."""
    counters = region.counters
    lateness = "no tick yet"
    if counters.ticks:
        lateness = (
            f"min {measured(counters.lateness_min_ns)}, "
            f"mean {measured(counters.lateness_mean_ns)}, "
            f"max {measured(counters.lateness_max_ns)}"
        )
    facts = {
        "id": region.id,
        "size": f"{size_text(region.size)} ({region.size} bytes)",
        **({} if region.phys is None else {"memory": _raw_memory(region)}),
        "period": f"{time_text(region.period_ns)} ({1e9 / region.period_ns:.6g} ticks/s)",
        "print": region.print,
        "depth": f"{region.record_depth} samples" if region.record_depth else "0 (no history)",
        "record bytes": region.record_bytes,
        # As a word of Python where it could do something to the terminal.
        "layout": (region.layout if region.layout.isprintable() else repr(region.layout)) or "-",
        "node": f"{region.path} {mode_text(region.mode)} "
        f"{user_text(region.uid)}:{group_text(region.gid)}",
        "cpu": _cpu(region),
        "grid": _grid(region),
        "users": region.users,
        "ticks": counters.ticks,
        "missed": counters.missed,
        "published": counters.published,
        "lateness": lateness,
    }
    lines = [region.name, *(f"  {name:<14}{value}" for name, value in facts.items())]
    if region.tasks:
        lines += ["", *(f"  {line}" for line in task_list(region))]
    if counters.ticks:
        lines += ["", *(f"  {line}" for line in histogram(counters.lateness_histogram, width - 2))]
    return lines


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
    lead = f", waited for {time_text(region.lead_ns)}" if region.lead_ns else ""
    return f"{region.clock}, {since}{lead}"


def task_list(region: RegionInfo) -> list[str]:
    columns = "<TASK >TICKS >LONGEST >OVERRUNS <STATE".split()
    budget = f"of {time_text(region.task_budget_ns)}" if region.task_budget_ns else "no budget"
    rows = [
        [
            task.name,
            str(task.ticks),
            measured(task.time_max_ns) if task.ticks else "-",
            f"{task.overruns} ({budget})",
            "stopped" if task.stopped else "runs",
        ]
        for task in region.tasks
    ]
    return table(columns, rows)


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
        counters = region.counters
        return f"{kind} {region.name}: ticks={counters.ticks} missed={counters.missed}"
    return (
        f"{kind} {region.name}: size={size_text(region.size)} period={time_text(region.period_ns)} "
        f"print={region.print} depth={region.record_depth} record-bytes={region.record_bytes}"
    )


def event_json(event: Event) -> dict[str, Any]:
    """The event, and the region or regions with every field."""
    from rtshm.control import Overrun

    kind = type(event).__name__.lower()
    if isinstance(event, Overrun):
        return {"event": kind, "regions": [region_json(region) for region in event.regions]}
    return {"event": kind, "region": region_json(event.region)}


def region_json(region: RegionInfo) -> dict[str, Any]:
    """Every field, by its name in the netlink spec."""
    return _dashes(asdict(region))


def _dashes(fields: dict[str, Any]) -> dict[str, Any]:
    return {name.replace("_", "-"): _dashed(value) for name, value in fields.items()}


def _dashed(value: Any) -> Any:
    if isinstance(value, dict):
        return _dashes(value)
    # The histogram is a tuple too, of numbers.
    return [_dashed(item) for item in value] if isinstance(value, tuple) else value
