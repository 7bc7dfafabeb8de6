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
    help="Where to: FILE.png or .html.",
)
@click.option("--field", "fields", metavar="NAME", multiple=True, help="Only it; may be repeated.")
def plot(file: str, output: str, fields: tuple[str, ...]) -> None:
    """Draw a recording.

    Its fields over time, what was lost, how late the ticks were, and the
    conditions. A .html is a page that needs no other file.
    """
    from rtshm.recording.plot import save

    need("matplotlib", "a picture", "plot")
    recording = loaded(file)
    try:
        save(recording, output, fields or None)
    except ValueError as error:
        raise click.UsageError(str(error)) from error
