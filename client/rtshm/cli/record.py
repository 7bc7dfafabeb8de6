"""rtshm record: the history of regions in a file; rtshm recover: one that was cut off, whole."""

from __future__ import annotations

import importlib.util
import sys
from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import click

from rtshm.cli.parameters import parsed, region_names
from rtshm.cli.stop import Stop
from rtshm.cli.units import parse_time
from rtshm.recording import CUT_OFF, FORMATS, check_format, parts, suffix_of

if TYPE_CHECKING:
    from collections.abc import Callable
    from contextlib import AbstractContextManager

    from rtshm.recording import record as recording

F = TypeVar("F", bound="Callable[..., None]")

_NAMES = ", ".join(FORMATS)


def of_recording(file: str) -> str:
    """ValueError if it is of no format."""
    if file != "-":
        suffix_of(file)
    return file


def _output(help: str) -> Callable[[F], F]:
    return click.option(
        *("-o", "--output"),
        metavar="FILE",
        required=True,
        type=click.Path(dir_okay=False, allow_dash=True),
        callback=parsed(of_recording),
        help=f"{help}: FILE{_NAMES}.",
    )


_force = click.option("--force", is_flag=True, help="Replace FILE if it exists.")


@click.command()
@click.argument("names", metavar="NAME...", nargs=-1, required=True, shell_complete=region_names)
@_output("File to write, or - for standard output")
@click.option("--format", "suffix", type=click.Choice([known[1:] for known in FORMATS]),
              help="Format of standard output; csv if not given.")  # fmt: skip
@click.option("--field", "fields", metavar="FIELD", multiple=True,
              help="Record only this field; may be repeated.")  # fmt: skip
@click.option("--duration", "duration_ns", metavar="TIME", callback=parsed(parse_time),
              help="Stop after this time: 10s, 500ms.")  # fmt: skip
@click.option(
    "--samples", "most", metavar="N", type=click.IntRange(1), help="Stop after N samples."
)
@click.option("--oldest", is_flag=True, help="Begin with the oldest sample that is kept.")
@_force
@click.option("--progress/--no-progress", default=None,
              help="Show progress on standard error; default: if it is a terminal.")  # fmt: skip
def record(
    names: tuple[str, ...],
    output: str,
    suffix: str | None,
    fields: tuple[str, ...],
    duration_ns: int | None,
    most: int | None,
    oldest: bool,
    force: bool,
    progress: bool | None,
) -> None:
    """Record the history of regions in a file.

    The file has one sample per tick of each region, and the conditions it was
    recorded under. The recording ends after the duration or the number of
    samples, when the regions are deleted, or on Control-C, SIGTERM or SIGHUP.
    The file is readable at any time, up to its last second. A file that exists
    is not replaced. Samples that were lost are counted.
    """
    from rtshm.recording.record import ALL, DURATION
    from rtshm.recording.record import record as run

    known = f".{suffix or 'csv'}" if output == "-" else suffix_of(output)
    check_format(known)
    wanted = bool(sys.stderr and sys.stderr.isatty()) if progress is None else progress
    bar: AbstractContextManager[_Bar | None] = nullcontext()
    if wanted and _has_rich():
        bar = _Bar(", ".join(names), most, duration_ns)
    with Stop() as stop, bar as shown:
        done = run(
            names,
            output,
            duration=None if duration_ns is None else duration_ns / 1e9,
            samples=most,
            fields=fields,
            oldest=oldest,
            force=force,
            suffix=known,
            on_progress=shown.show if shown else lambda progress: None,
            stopped=lambda: stop.why,
        ).done
    why, lost = done[0].ended, sum(each.lost for each in done)
    if wanted or lost or why not in (ALL, DURATION):
        click.echo(
            f"rtshm: {output}: {sum(each.samples for each in done)} samples, {lost} lost, "
            f"{sum(each.missed for each in done)} periods missed; {why}",
            err=True,
        )


@click.command()
@click.argument("file", type=click.Path(dir_okay=False))
@_output("File to write")
@_force
def recover(file: str, output: str, force: bool) -> None:
    """Copy a recording that was cut off, or into another format.

    rtshm itself reads a recording that was cut off. The copy is complete, for
    other programs. FILE is not changed.
    """
    from rtshm.recording.recorder import Recorder

    try:
        read = parts(check_format(suffix_of(file)), Path(file))
    except ValueError as error:
        sys.exit(f"rtshm: {error}")
    with Recorder(output, next(read), force=force) as recorder:
        why, before = CUT_OFF, 0
        for part in read:
            if isinstance(part, list):
                why = part[0].ended
                continue
            number, array = part
            # With the first region the next chunk begins.
            if number <= before and recorder.due:
                recorder.flush()
            recorder.write(array, number)
            before = number
        done = recorder.finish(why)
    samples = sum(each.samples for each in done)
    click.echo(f"rtshm: {output}: {samples} samples; {why}", err=True)


def _has_rich() -> bool:
    if importlib.util.find_spec("rich"):
        return True
    click.echo("rtshm: progress needs rich: pip install 'rtshm[record]'", err=True)
    return False


class _Bar:
    """How far it is, how fast, and what was lost."""

    def __init__(self, name: str, most: int | None, duration_ns: int | None) -> None:
        from rich.console import Console
        from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

        self._progress = Progress(
            TextColumn("{task.description}", markup=False),
            BarColumn(),
            TextColumn("{task.fields[samples]:,} samples"),
            TextColumn("{task.fields[rate]:,.0f} samples/s"),
            TextColumn("{task.fields[lost]:,} lost"),
            TimeElapsedColumn(),
            console=Console(stderr=True),
            refresh_per_second=5,
        )
        self._by_samples = most is not None
        total = most if duration_ns is None else duration_ns / 1e9
        self._task = self._progress.add_task(name, total=most or total, samples=0, rate=0.0, lost=0)

    def show(self, progress: recording.Progress) -> None:
        self._progress.update(
            self._task,
            completed=progress.samples if self._by_samples else progress.seconds,
            samples=progress.samples,
            rate=progress.samples / max(progress.seconds, 1e-9),
            lost=progress.lost,
        )

    def __enter__(self) -> _Bar:
        self._progress.start()
        return self

    def __exit__(self, *exc: object) -> None:
        self._progress.stop()
