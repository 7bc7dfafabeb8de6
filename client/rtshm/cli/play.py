"""rtshm play: a recording written back into regions."""

from __future__ import annotations

import sys
from contextlib import ExitStack

import click

import rtshm
from rtshm.cli.parameters import parsed, region_names
from rtshm.cli.stop import Stop
from rtshm.cli.units import measured


def _speed(text: str) -> float:
    from rtshm.recording.play import check_speed

    speed = float(text)
    check_speed(speed)
    return speed


@click.command()
@click.argument("names", metavar="NAME...", nargs=-1, required=True, shell_complete=region_names)
@click.argument("file", type=click.Path(dir_okay=False))
@click.option("--speed", metavar="FACTOR", default="1", show_default=True, callback=parsed(_speed),
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
        for name, recorded in zip(names, recording.regions, strict=True):
            check_layout(name, file, recording[recorded])
        if lost := sum(recording[name].conditions.lost for name in recording.regions):
            click.echo(
                f"rtshm: {file}: {lost} samples were lost; the values before them are held",
                err=True,
            )
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


def check_layout(name: str, file: str, recording: rtshm.Recording) -> None:
    """LayoutError, with both, if the region has another layout than was recorded."""
    from rtshm.control.stored import text

    stored, recorded = text(name), recording.conditions.layout
    if stored != recorded:
        raise rtshm.LayoutError(
            f"{name}: its layout is {stored!r}, and that of {file} is {recorded!r}"
        )


def loaded(file: str) -> rtshm.Recording:
    """A recording; what is none ends the command."""
    try:
        return rtshm.load(file)
    except ValueError as error:
        sys.exit(f"rtshm: {error}")
