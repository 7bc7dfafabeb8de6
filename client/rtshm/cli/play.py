"""rtshm play: a recording written back into a region."""

from __future__ import annotations

import sys

import click

import rtshm
from rtshm.cli.parameters import name_argument
from rtshm.cli.stop import Stop
from rtshm.cli.units import measured


@click.command()
@name_argument
@click.argument("file", type=click.Path(dir_okay=False))
@click.option(
    "--speed",
    metavar="FACTOR",
    type=click.FloatRange(0, min_open=True),
    default=1.0,
    show_default=True,
    help="2 is twice as fast, 0.5 half as fast.",
)
@click.option("--loop", is_flag=True, help="Begin again after the end, until Control-C.")
def play(name: str, file: str, speed: float, loop: bool) -> None:
    """Write a recording into a region.

    Each sample at its time, counted from the first. The region must have the
    layout that was recorded. It ends with the recording or the region, and on
    Control-C or SIGTERM; how many samples were written, and the latest of
    them by how much, is on standard error.
    """
    from rtshm.recording.play import play as play_recording

    recording = loaded(file)
    with rtshm.open(name) as region, Stop() as stop:
        check_layout(name, file, recording)
        played = play_recording(
            recording, region, speed=speed, loop=loop, stopped=lambda: bool(stop.why)
        )
    ended = "; the region was deleted" if played.deleted else f"; {stop.why}" if stop.why else ""
    latest = measured(played.lateness_max_ns) if played.written else "-"
    click.echo(
        f"rtshm: {name}: {played.written} samples written, at most {latest} late{ended}", err=True
    )


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
