"""rtshm get, put, header: the fields of a region, by the layout stored with it."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

import click

import rtshm
from rtshm.cli.parameters import name_argument

if TYPE_CHECKING:
    from collections.abc import Iterator

    from rtshm.layout import Field


@click.command()
@name_argument
@click.argument("fields", metavar="[FIELD]...", nargs=-1)
def get(name: str, fields: tuple[str, ...]) -> None:
    """Print fields of a region.

    All of them as of one moment, a line for each, or those that are given.
    """
    from rtshm.cli.values import value_text

    with rtshm.open(name, readonly=True) as region:
        for field in fields:
            _find(region, field)
        values = region.read()
    for field in fields or values:
        click.echo(f"{field} {value_text(values[field])}")


@click.command()
@name_argument
@click.argument("assignments", metavar="FIELD=VALUE...", nargs=-1, required=True)
@click.option("--announce", is_flag=True, help="Announce it, for a tick to take.")
def put(name: str, assignments: tuple[str, ...], announce: bool) -> None:
    """Store fields of a region.

    All at once: no tick sees some of them only. A VALUE is as get prints it:
    speed=3.0 mode=on flags='run|fault' axes='[1, 2]'.
    """
    from rtshm.cli.values import parse_value

    with rtshm.open(name) as region, _usage():
        values = {}
        for assignment in assignments:
            field, equals, text = assignment.partition("=")
            if not equals:
                raise click.UsageError(f"{assignment!r} is no FIELD=VALUE, as speed=3.0")
            values[field] = parse_value(_find(region, field), text)
        region.update(announce=announce, **values)


@click.command()
@name_argument
def header(name: str) -> None:
    """Print a C header that declares the fields of a region.

    As struct region_NAME, which begins right after struct rtshm_word.
    """
    from rtshm.control import stored

    with _usage():
        layout = stored.layout(name)
    click.echo(layout.declaration(f"region_{name.replace('-', '_')}"), nl=False)


@contextmanager
def _usage() -> Iterator[None]:
    """What was typed is no value of its field, or no name: a usage error."""
    try:
        yield
    except rtshm.LayoutError:
        raise
    except (ValueError, OverflowError, TypeError) as error:
        raise click.UsageError(str(error)) from error


def _find(region: rtshm.Region, name: str) -> Field:
    fields = {field.name: field for field in region.layout.fields}
    if name not in fields:
        raise click.UsageError(f"there is no field {name!r}; there are {', '.join(fields)}")
    return fields[name]
