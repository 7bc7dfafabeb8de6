"""rtshm write, read, kick: the word of a region; get, put, header, queue: its fields."""

from __future__ import annotations

import io
import json
import re
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, TextIO

import click

import rtshm
from rtshm.abi import INT_MAX, INT_MIN
from rtshm.cli.parameters import json_option, name_argument, names_or_paths
from rtshm.device import node_path

if TYPE_CHECKING:
    from rtshm.cli.values import Place


PROMPT = "enter # or <quit> "
# More than any int needs; the old example's buffer had as many.
LINE_MAX = 40


def parse_int(text: str) -> int:
    """A C int from decimal or hexadecimal text.

    Raises ValueError that says what is wrong and what is right.
    """
    limits = f"give a number from {INT_MIN} to {INT_MAX}"
    if len(text) > LINE_MAX:
        raise ValueError(f"{text[:10]!r}... ({len(text)} characters) is too long; {limits}")
    hexadecimal = re.fullmatch(r"[+-]?0[xX][0-9a-fA-F]+", text)
    if not hexadecimal and not re.fullmatch(r"[+-]?[0-9]+", text):
        raise ValueError(f"{text!r} is not a number; {limits}")
    value = int(text, 16 if hexadecimal else 10)
    if not INT_MIN <= value <= INT_MAX:
        raise ValueError(f"{value} is out of range; {limits}")
    return value


class NumberCommand(click.Command):
    """A command for which -5 is a number and not an option."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        for index, argument in enumerate(args):
            if argument == "--":
                break
            if re.match(r"-[0-9]", argument):
                args = [*args[:index], *args[index + 1 :], "--", argument]
                break
        return super().parse_args(ctx, args)


@click.command(cls=NumberCommand)
@click.argument("name", required=False, shell_complete=names_or_paths)
@click.argument("value", required=False)
def write(name: str | None, value: str | None) -> None:
    """Write VALUE to a region and announce it.

    NAME is a region, or the path of its device node; default: "default". A
    number alone is the VALUE, in decimal or as 0x10. Without VALUE, ask for
    one after another, until quit or the end of input.
    """
    if name is not None and value is None and _is_number(name):
        name, value = None, name
    number = None
    if value is not None:
        try:
            number = parse_int(value)
        except ValueError as error:
            raise click.BadParameter(str(error), param_hint="VALUE") from None
    with rtshm.open(name or "default") as region:
        if number is not None:
            region.publish(number)
        else:
            _prompt(region)


def _is_number(text: str) -> bool:
    """Whether it can be meant as a VALUE: no name begins so, or there is no such region."""
    return bool(re.match(r"[+-]?[0-9]", text)) and not node_path(text).exists()


def _prompt(region: rtshm.Region) -> None:
    # Bytes that are not text are not a number either: the same answer.
    if isinstance(sys.stdin, io.TextIOWrapper):
        sys.stdin.reconfigure(errors="backslashreplace")
    while sys.stdin:
        try:
            line = input(PROMPT).strip()
        except EOFError:
            click.echo()
            return
        if line == "quit":
            return
        if not line:
            continue
        try:
            region.publish(parse_int(line))
        except ValueError as error:
            click.echo(str(error))


@click.command()
@click.argument("name", shell_complete=names_or_paths)
@click.option("--count", metavar="N", type=click.IntRange(1), default=1, show_default=True,
              help="Number of ticks, one after another.")  # fmt: skip
def kick(name: str, count: int) -> None:
    """Make a region without a period tick.

    NAME is a region, or the path of its device node. Each kick is one tick.
    """
    with rtshm.open(name) as region:
        for _ in range(count):
            region.kick()


@click.command()
@click.argument("name", default="default", shell_complete=names_or_paths)
@json_option("An object with some_int and ready.")
def read(name: str, as_json: bool) -> None:
    """Print the value of a region.

    NAME is a region, or the path of its device node; default: "default".
    """
    with rtshm.open(name, readonly=True) as region:
        word = region.word
    if as_json:
        click.echo(json.dumps({"some_int": word.some_int, "ready": bool(word.ready)}))
    else:
        click.echo(word.some_int)


def field_names(context: click.Context, _param: click.Parameter, incomplete: str) -> list[str]:
    """The fields that begin as typed, of regions that may be opened."""
    given = context.params
    if "names" in given:
        regions = given["names"] or context.args
    else:
        # The option --name of a command that has a REGION is the name of a task.
        name = given["region"] if "region" in given else given.get("name")
        # While an option waits for its value, click keeps all arguments in args.
        regions = [name] if name else context.args[:1]
    # In a sweep of several regions a field is called motor.speed.
    others = given.get("others") or ()
    try:
        names = []
        for each in (*regions, *others):
            before = f"{each}." if others else ""
            with rtshm.open(each, readonly=True) as region:
                names += [before + field.name for field in region.layout.fields]
    except (OSError, TypeError, rtshm.LayoutError):
        return []
    return [name for name in dict.fromkeys(names) if name.startswith(incomplete)]


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
        region._update(values, announce=announce)


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
@click.option("--layout", "text", metavar="TEXT",
              help="Take this layout, and no region: 'speed:f64 gain:f32'.")  # fmt: skip
def header(name: str, bpf: bool, text: str | None) -> None:
    """Print a C header that declares the fields of a region.

    The struct is region_NAME and begins right after struct rtshm_word.
    """
    if text is None:
        with rtshm.open(name, readonly=True) as region:
            layout = region.layout
    else:
        layout = rtshm.Layout(text)
    click.echo(layout.declaration(f"region_{name.replace('-', '_')}", bpf=bpf), nl=False)


@contextmanager
def usage() -> Iterator[None]:
    """What was typed is not a value of its field, or no name: a usage error."""
    try:
        yield
    except (rtshm.LayoutError, rtshm.ProgramError):
        raise
    except (ValueError, OverflowError, TypeError) as error:
        raise click.UsageError(str(error)) from error


@click.command()
@name_argument
@click.argument("field", shell_complete=field_names)
@click.argument("file", type=click.File(errors="backslashreplace"), default="-")
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
        signal.signal(ends, signal.default_int_handler)
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
