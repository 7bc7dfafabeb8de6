"""rtshm get, put, header: the fields of a region, by the layout stored with it."""

from __future__ import annotations

import json
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import click
from click.shell_completion import CompletionItem

import rtshm
from rtshm.cli.parameters import json_option, name_argument

if TYPE_CHECKING:
    from collections.abc import Iterator

    from rtshm.cli.values import Place


def field_names(
    context: click.Context, _param: click.Parameter, incomplete: str
) -> list[CompletionItem]:
    """The fields that begin as typed, of a region that may be opened."""
    try:
        with rtshm.open(context.params["name"], readonly=True) as region:
            names = [field.name for field in region.layout.fields]
    except (OSError, KeyError, TypeError, rtshm.LayoutError):
        return []
    return [CompletionItem(name) for name in names if name.startswith(incomplete)]


@click.command()
@name_argument
@click.argument("fields", metavar="[FIELD]...", nargs=-1, shell_complete=field_names)
@json_option("An object with the values by the names of the fields.")
def get(name: str, fields: tuple[str, ...], as_json: bool) -> None:
    """Print fields of a region.

    It prints a line for each field, or for each FIELD, all from one moment. A
    FIELD may be a part: axes[1], pos.x.
    """
    from rtshm.cli.values import find, plain_value, value_text

    with rtshm.open(name, readonly=True) as region, usage():
        known = region.layout.fields
        places = [find(known, field) for field in fields]
        values = region.read()
    found = {text: place.get(values) for text, place in zip(fields, places, strict=True)} or values
    if as_json:
        click.echo(json.dumps({text: plain_value(value) for text, value in found.items()}))
        return
    for text, value in found.items():
        click.echo(f"{text} {value_text(value)}")


@click.command()
@name_argument
@click.argument(
    "assignments", metavar="FIELD=VALUE...", nargs=-1, required=True, shell_complete=field_names
)
@click.option("--announce", is_flag=True, help="Announce the record: the value becomes its number.")
def put(name: str, assignments: tuple[str, ...], announce: bool) -> None:
    """Store fields of a region.

    They are stored at once: no tick sees only some of them. A VALUE is as get prints it:
    speed=3.0 mode=on flags='run|fault' axes='[1, 2]' axes[1]=2. Numbers may be
    written as .5, 1e-3 or 0x10; infinity is inf. To store a part of a field, the
    field is read and written back.
    """
    from rtshm.cli.values import find, parse_value

    with rtshm.open(name) as region, usage():
        known = region.layout.fields
        values: dict[str, Any] = {}
        given: list[Place] = []
        record: dict[str, Any] = {}
        for assignment in assignments:
            field, text = assigned(assignment)
            place = find(known, field)
            if any(_overlap(place, other) for other in given):
                raise click.UsageError(f"{field}: given twice")
            given.append(place)
            value = parse_value(place.field, text)
            if place.steps:
                record = record or region.read()
                values.setdefault(place.name, record[place.name])
            place.put(values, value)
        region.update(announce=announce, **values)


def assigned(assignment: str) -> tuple[str, str]:
    """Return the field and the text of FIELD=VALUE."""
    field, equals, text = assignment.partition("=")
    if not equals:
        raise click.UsageError(f"{assignment!r}: expected FIELD=VALUE, for example speed=3.0")
    return field, text


def _overlap(one: Place, other: Place) -> bool:
    """Whether one is the other, or a part of it."""
    both = ((one.name, *one.steps), (other.name, *other.steps))
    return all(a == b for a, b in zip(*both, strict=False))


@click.command()
@name_argument
@click.option("--bpf", is_flag=True, help="For BPF programs that run in its ticks: see task.")
def header(name: str, bpf: bool) -> None:
    """Print a C header that declares the fields of a region.

    The struct is region_NAME and begins right after struct rtshm_word.
    """
    with usage():
        layout = _stored(name)
    click.echo(layout.declaration(f"region_{name.replace('-', '_')}", bpf=bpf), nl=False)


def _stored(name: str) -> rtshm.Layout:
    """Return the layout of a region."""
    with rtshm.open(name, readonly=True) as region:
        return region.layout


@contextmanager
def usage() -> Iterator[None]:
    """What was typed is not a value of its field, or no name: a usage error."""
    try:
        yield
    except (rtshm.LayoutError, rtshm.ProgramError):
        raise
    except (ValueError, OverflowError, TypeError) as error:
        raise click.UsageError(str(error)) from error
