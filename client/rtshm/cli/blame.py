"""rtshm blame: who made a tick late."""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING

import click

from rtshm.cli.parameters import json_option, parsed, region_names
from rtshm.cli.render import dashed, table
from rtshm.cli.stop import Stop
from rtshm.durations import measured, parse_time, time_text

if TYPE_CHECKING:
    from rtshm.culprit import LateTick

# Lines of a timeline that are printed, the last ones.
LINES = 30
_BY = {
    "function": "{by}, which kept interrupts off",
    "interrupt": "the handler of {by}",
    "timer": "the timer function {by}",
    "idle": "the cpu, which slept in idle {by}",
    "none": "nobody: the interrupt of the tick came in time, and was most of the delay itself",
    "unknown": "nothing that the kernel traces: firmware (SMI), a hypervisor, or several in turn",
}


@click.command()
@click.argument("region", shell_complete=region_names)
@click.option("--above", "above_ns", metavar="TIME", required=True, callback=parsed(parse_time),
              help="Wait for a tick that is later than this: 20us.")  # fmt: skip
@click.option("-o", "--output", "files", metavar="FILE", multiple=True,
              type=click.Path(dir_okay=False), help="Save the trace of all cpus: FILE.dat for "
              "KernelShark, any other for Perfetto; may be repeated.")  # fmt: skip
@click.option("--duration", "duration_ns", metavar="TIME", callback=parsed(parse_time),
              help="Give up after this time: 10s, 5min.")  # fmt: skip
@json_option("An object with stack and timeline; times are in ns, with the tick at 0.")
def blame(
    region: str, above_ns: int, files: tuple[str, ...], duration_ns: int | None, as_json: bool
) -> None:
    """Say who makes the ticks of a region late.

    It waits for the first tick that is too late, stops tracing, and prints what
    delayed its interrupt: the function, interrupt or timer, the system call
    and the process, and what the cpu did since 10 ms before. Tracing takes
    root. It uses tracing instances of its own and removes them. The status is
    1 if no tick was late before the duration or SIGTERM, 130 on Control-C.
    """
    from rtshm.late import blame as wait

    above, duration = time_text(above_ns), None if duration_ns is None else time_text(duration_ns)
    with Stop() as stop:
        late = wait(region, above, files=files, timeout=duration, stopped=lambda: stop.why)
    if late is None:
        click.echo(f"rtshm: {region}: no tick later than {above}; {stop.why or duration}", err=True)
        sys.exit(130 if stop.why == "Control-C" else 1)
    if as_json:
        click.echo(json.dumps(dashed(late), indent=2))
    else:
        title, *lines = page(late)
        click.secho(title, bold=True)
        click.echo("\n".join(lines))


def page(late: LateTick) -> list[str]:
    """The late tick as text."""
    facts = (
        ("by", _BY[late.kind].format(by=late.by)),
        ("in", late.call),
        ("softirq", late.softirq),
        ("process", f"{late.process} ({late.pid})" if late.pid else "idle"),
        ("stack", f"\n{'':9}".join(late.stack)),
    )
    rows = [(late.lateness_ns, "", "the tick was due")]
    for span in late.timeline:
        long = _us(span.end_ns - span.begin_ns) if span.end_ns else "to the tick"
        rows.append((-span.begin_ns, long, f"{'  ' * span.depth}{span.kind} {span.name}"))
    rows.sort(key=lambda row: -row[0])
    left_out = f"({len(rows) - LINES} earlier left out: --json and -o have all)"
    return [
        f"{late.region}: tick {late.number} was {measured(late.lateness_ns)} late, cpu {late.cpu}",
        *(f"{name:9}{text}" for name, text in facts if text),
        "",
        *table(
            (">US BEFORE", ">US LONG", "<WHAT THE CPU DID"),
            [(_us(before_ns), long, what) for before_ns, long, what in rows[-LINES:]],
        ),
        *([left_out] if len(rows) > LINES else []),
    ]


def _us(ns: int) -> str:
    return f"{ns / 1000:.0f}"
