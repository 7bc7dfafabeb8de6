"""rtshm record, recover, play, plot: recordings, from regions and into them, and pictures."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

import rtshm
from rtshm.cli.fields import field_names
from rtshm.cli.parameters import names_argument, parsed
from rtshm.cli.stop import Stop
from rtshm.durations import measured, parse_time
from rtshm.errors import need
from rtshm.recording import CUT_OFF, FORMATS, check_format, check_picture, parts, suffix_of
from rtshm.recording.play import check_speed

if TYPE_CHECKING:
    from rtshm.cli.parameters import Decorator
    from rtshm.recording.record import Progress


def of_file(file: str) -> str:
    """ValueError if it is of no format."""
    suffix_of(file)
    return file


def of_recording(file: str) -> str:
    return file if file == "-" else of_file(file)


def _output(check: Callable[[str], str], help: str) -> Decorator:
    return click.option("-o", "--output", metavar="FILE", required=True, callback=parsed(check),
                        type=click.Path(dir_okay=False, allow_dash=True), help=help)  # fmt: skip


_file = click.argument("file", type=click.Path(dir_okay=False))
_force = click.option("--force", is_flag=True, help="Replace FILE if it exists.")
_NAMES = ", ".join(FORMATS)


@click.command()
@names_argument
@_output(of_recording, f"File to write, or - for standard output: FILE{_NAMES}.")
@click.option("--format", "suffix", type=click.Choice([known[1:] for known in FORMATS]),
              help="Format of standard output; csv if not given.")  # fmt: skip
@click.option("--field", "fields", metavar="FIELD", multiple=True, shell_complete=field_names,
              help="Record only this field; may be repeated.")  # fmt: skip
@click.option("--duration", "duration_ns", metavar="TIME", callback=parsed(parse_time),
              help="Stop after this time: 10s, 500ms.")  # fmt: skip
@click.option("--samples", metavar="N", type=click.IntRange(1), help="Stop after N samples.")
@click.option("--oldest", is_flag=True, help="Begin with the oldest sample that is kept.")
@_force
@click.option("--progress/--no-progress", default=None,
              help="Show progress on standard error; default: if it is a terminal.")  # fmt: skip
def record(
    names: tuple[str, ...],
    output: str,
    suffix: str | None,
    duration_ns: int | None,
    samples: int | None,
    progress: bool | None,
    **options: Any,
) -> None:
    """Record the history of regions in a file.

    The file has one sample per tick of each region, and the conditions it was
    recorded under. The recording ends after the duration or the number of
    samples, when the regions are deleted, or on Control-C, SIGTERM or SIGHUP.
    The file is readable at any time, up to its last second. A file that exists
    is not replaced. Samples that were lost are counted.
    """
    known = f".{suffix or 'csv'}" if output == "-" else suffix_of(output)
    check_format(known)
    from rtshm.recording.record import ALL, DURATION

    wanted = bool(sys.stderr and sys.stderr.isatty()) if progress is None else progress
    seconds = None if duration_ns is None else duration_ns / 1e9
    bar: AbstractContextManager[Callable[[Progress], None]] = nullcontext(lambda progress: None)
    if wanted:
        bar = _shown(", ".join(names), samples, seconds)
    with Stop() as stop, bar as show:
        done = rtshm.record(
            names,
            output,
            duration=seconds,
            samples=samples,
            suffix=known,
            on_progress=show,
            stopped=lambda: stop.why,
            **options,
        ).done
    why, lost = done[0].ended, sum(each.lost for each in done)
    if wanted or lost or why not in (ALL, DURATION):
        click.echo(
            f"rtshm: {output}: {sum(each.samples for each in done)} samples, {lost} lost, "
            f"{sum(each.missed for each in done)} periods missed; {why}",
            err=True,
        )


@click.command()
@_file
@_output(of_file, f"File to write: FILE{_NAMES}.")
@_force
def recover(file: str, output: str, force: bool) -> None:
    """Copy a recording that was cut off, or into another format.

    rtshm itself reads a recording that was cut off. The copy is complete, for
    other programs. FILE is not changed.
    """
    if os.path.exists(file) and os.path.exists(output) and os.path.samefile(file, output):
        raise click.UsageError(f"{output}: the copy would replace FILE; name another one")
    try:
        read = parts(check_format(suffix_of(file)), Path(file))
    except ValueError as error:
        sys.exit(f"rtshm: {error}")
    with rtshm.Recorder(output, next(read), force=force) as recorder:
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


@contextmanager
def _shown(
    name: str, samples: int | None, seconds: float | None
) -> Iterator[Callable[[Progress], None]]:
    """How far it is, how fast, and what was lost."""
    from rich.console import Console
    from rich.progress import BarColumn, TextColumn, TimeElapsedColumn
    from rich.progress import Progress as Bar

    with Bar(
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        TextColumn("{task.fields[samples]:,} samples"),
        TextColumn("{task.fields[rate]:,.0f} samples/s"),
        TextColumn("{task.fields[lost]:,} lost"),
        TimeElapsedColumn(),
        console=Console(stderr=True),
        refresh_per_second=5,
    ) as bar:
        task = bar.add_task(name, total=samples or seconds, samples=0, rate=0.0, lost=0)
        yield lambda progress: bar.update(
            task,
            completed=progress.seconds if samples is None else progress.samples,
            samples=progress.samples,
            rate=progress.samples / max(progress.seconds, 1e-9),
            lost=progress.lost,
        )


@click.command()
@names_argument
@_file
@click.option("--speed", metavar="FACTOR", default="1", show_default=True,
              callback=parsed(check_speed),
              help="2 is twice as fast, 0.5 half as fast.")  # fmt: skip
@click.option("--loop", is_flag=True, help="Begin again after the end, until Control-C.")
def play(names: tuple[str, ...], file: str, speed: float, loop: bool) -> None:
    """Write a recording into regions.

    Each sample is written at its time, counted from the first. A region must
    have the layout that was recorded. A recording of several regions takes as
    many names, of the same regions or of others in the order of the recording.
    It ends with the recording or a region, and on Control-C, SIGTERM or
    SIGHUP. Standard error has how many samples were written and how late the
    latest was.
    """
    from rtshm.recording.play import play as play_recording

    recording = loaded(file)
    if len(names) != len(recording.regions):
        recorded = ", ".join(recording.regions)
        raise click.UsageError(f"{len(names)} names; {file} is of {recorded}: name one for each")
    if {*names} == {*recording.regions}:
        names = recording.regions
    with ExitStack() as stack, Stop() as stop:
        regions = [stack.enter_context(rtshm.open(name)) for name in names]
        with rtshm.Control() as control:
            for name, recorded in zip(names, recording.regions, strict=True):
                here, there = control.get(name).layout, recording[recorded].conditions.layout
                if here != there:
                    words = f"{name}: its layout is {here!r}, and that of {file} is {there!r}"
                    raise rtshm.LayoutError(words)
        if lost := sum(recording[name].conditions.lost for name in recording.regions):
            words = f"{lost} samples were lost; the values before them are held"
            click.echo(f"rtshm: {file}: {words}", err=True)
        try:
            played = play_recording(
                recording, regions, speed=speed, loop=loop, stopped=lambda: bool(stop.why)
            )
        except ValueError as error:
            sys.exit(f"rtshm: {file}: {error}")
    ended = "; a region was deleted" if played.deleted else f"; {stop.why}" if stop.why else ""
    latest = measured(played.lateness_max_ns) if played.written else "-"
    what = f"{played.written} samples written, at most {latest} late{ended}"
    click.echo(f"rtshm: {', '.join(names)}: {what}", err=True)


def loaded(file: str) -> rtshm.Recording:
    """A recording; what is none ends the command."""
    try:
        return rtshm.load(file)
    except ValueError as error:
        sys.exit(f"rtshm: {error}")


def _recorded_fields(context: click.Context, _param: click.Parameter, incomplete: str) -> list[str]:
    """The fields that begin as typed, of a recording."""
    try:
        # As for field_names(): in args while the option waits for its value.
        file = context.params["file"] or context.args[0]
        begun = next(parts(check_format(suffix_of(file)), Path(file)))
        from rtshm.recording.columns import groups
    except (OSError, ValueError, IndexError, ImportError):
        return []
    return [name for name in groups(begun) if name.startswith(incomplete)]


@click.command()
@_file
@_output(check_picture, "File to write: FILE.png or .html.")
@click.option("--field", "fields", metavar="NAME", multiple=True,
              shell_complete=_recorded_fields,
              help="Draw only this: speed, axes[3], motor.speed, or target,speed in one panel; "
              "may be repeated.")  # fmt: skip
@click.option("--region", metavar="NAME", help="Draw only this region.")
def plot(file: str, output: str, fields: tuple[str, ...], region: str | None) -> None:
    """Draw a recording.

    A picture has the fields over time, what was lost, how late the ticks were,
    and the conditions, of several regions on one time line. A .html is a page
    that needs no other file, in which one can zoom. The time of a sweep that
    scope saved is counted from its edge.
    """
    need("matplotlib", "a picture", "plot")
    from rtshm.recording.plot import save

    recording = loaded(file)
    try:
        if region is not None:
            recording = recording[region]
        click.echo(f"rtshm: {output}: {save(recording, output, fields or None)}", err=True)
    except ValueError as error:
        raise click.UsageError(str(error)) from error
