"""rtshm save, load: all regions as a file."""

from __future__ import annotations

import sys

import click

from rtshm.cli.opened import opened, told
from rtshm.cli.output import write_text


@click.command()
@click.argument("file", type=click.Path(allow_dash=True), default="-")
@click.option("--values", is_flag=True, help="Describe the values of the fields, too.")
def save(file: str, values: bool) -> None:
    """Describe all regions in a file, for load.

    In TOML, on standard output if FILE is not given. FILE is replaced when the
    description is complete.
    """
    from rtshm.cli import description

    with opened() as control:
        text = description.save([told(control, region) for region in control.list()], values=values)
    if file == "-":
        click.echo(text, nl=False)
    else:
        write_text(file, text)


@click.command()
@click.argument("file", type=click.Path(allow_dash=True))
def load(file: str) -> None:
    """Create the regions that a file describes.

    FILE is as save wrote it, - for standard input. A region that is there
    already is set to what can be set, which set --help lists, and the values
    of its fields are stored. If anything else differs, nothing is done at all.
    Regions that FILE does not describe stay as they are. If the kernel refuses
    a region, what was done for others is undone.
    """
    from rtshm.cli import description

    # Not sys.stdin, which is not there when it is closed; this says so.
    with open(0 if file == "-" else file, "rb") as stream:
        text = stream.read()
    with opened() as control:
        try:
            there = [told(control, region) for region in control.list()]
            steps = description.plan(description.parse(text.decode("utf-8-sig")), there)
        except ValueError as error:
            sys.exit("\n".join(f"rtshm: {file}: {line}" for line in str(error).splitlines()))
        description.run(control, steps)
    for step in steps:
        click.echo(step.what)
