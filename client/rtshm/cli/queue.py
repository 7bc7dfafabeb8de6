"""rtshm queue: values for a field, one in each tick."""

from __future__ import annotations

import signal
from typing import TYPE_CHECKING, NoReturn

import click

import rtshm
from rtshm.cli.fields import field_names
from rtshm.cli.parameters import name_argument

if TYPE_CHECKING:
    from typing import TextIO


@click.command()
@name_argument
@click.argument("field", shell_complete=field_names)
@click.argument("file", type=click.File(), default="-")
def queue(name: str, field: str, file: TextIO) -> None:
    """Store the values of a file in a field, one in each tick.

    FILE has one value a line, as get prints it; standard input if it is not given. A
    tick that finds no value leaves the field as it is: between two values that is an
    underrun. It ends after the last value, and on Control-C, SIGTERM or SIGHUP.
    Standard error has how many values ticks have stored, and the underruns.
    """
    from rtshm.cli.values import parse_value

    with rtshm.open(name, readonly=True) as region:
        fields = {each.name: each for each in region.layout.fields}
    for ends in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(ends, _interrupt)
    ended = ""
    with rtshm.Queue(name, field) as values:
        try:
            for number, line in enumerate(file, 1):
                if line.strip():
                    try:
                        values.put([parse_value(fields[field], line)])
                    except (ValueError, OverflowError, TypeError) as error:
                        raise click.ClickException(f"{file.name}:{number}: {error}") from None
            values.drain()
        except KeyboardInterrupt:
            ended = "; interrupted"
        counts = values.counts
    what = f"{counts.taken} values, {counts.underruns} underruns{ended}"
    click.echo(f"rtshm: {name}: {field}: {what}", err=True)


def _interrupt(_number: int, _frame: object) -> NoReturn:
    raise KeyboardInterrupt
