"""rtshm plot: a picture of a recording."""

from __future__ import annotations

import click

from rtshm.cli.parameters import parsed
from rtshm.cli.play import loaded
from rtshm.errors import need


def _known(file: str) -> str:
    """ValueError if it is of no format."""
    from rtshm.recording.plot import check_suffix

    check_suffix(file)
    return file


@click.command()
@click.argument("file", type=click.Path(dir_okay=False))
@click.option(
    "-o",
    "--output",
    metavar="FILE",
    required=True,
    type=click.Path(dir_okay=False),
    callback=parsed(_known),
    help="File to write: FILE.png or .html.",
)
@click.option("--field", "fields", metavar="NAME", multiple=True,
              help="Draw only this: speed, axes[3], motor.speed; may be repeated.")  # fmt: skip
@click.option("--region", metavar="NAME", help="Draw only this region.")
def plot(file: str, output: str, fields: tuple[str, ...], region: str | None) -> None:
    """Draw a recording.

    A picture has the fields over time, what was lost, how late the ticks were,
    and the conditions, of several regions on one time line. A .html is a page
    that needs no other file, in which one can zoom. The time of a sweep that
    scope saved is counted from its edge.
    """
    from rtshm.recording.plot import save

    need("matplotlib", "a picture", "plot")
    recording = loaded(file)
    try:
        if region is not None:
            recording = recording[region]
        save(recording, output, fields or None)
    except ValueError as error:
        raise click.UsageError(str(error)) from error
