"""rtshm save, load: all regions as a file."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from rtshm.cli.opened import opened


@click.command()
@click.argument("file", type=click.Path(allow_dash=True), default="-")
def save(file: str) -> None:
    """Describe all regions in a file, for load.

    In TOML, on standard output if FILE is not given.
    """
    from rtshm.cli import description

    with opened() as control:
        text = description.save(control.list())
    if file == "-":
        click.echo(text, nl=False)
    else:
        Path(file).write_text(text, encoding="utf-8")


@click.command()
@click.argument("file", type=click.Path(allow_dash=True))
def load(file: str) -> None:
    """Make the regions that a file describes.

    FILE is as save wrote it, - for standard input. A region that is there
    already is set to what can be set: period, print, depth, record-bytes. If
    anything else differs, nothing is done at all. Regions that FILE does not
    describe stay as they are. Should the kernel refuse a region, those before
    it are done: load again when the cause is gone.
    """
    from rtshm.cli import description

    # Not sys.stdin, which is not there when it is closed; this says so.
    with open(0 if file == "-" else file, "rb") as stream:
        text = stream.read()
    with opened() as control:
        try:
            steps = description.plan(description.parse(text.decode()), control.list())
        except ValueError as error:
            sys.exit("\n".join(f"rtshm: {file}: {line}" for line in str(error).splitlines()))
        for step in steps:
            step.run(control)
            click.echo(step.what)
