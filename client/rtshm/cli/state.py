"""rtshm write, rtshm read: the state of a region."""

from __future__ import annotations

import io
import json
import re
import sys

import click

import rtshm
from rtshm.abi import INT_MAX, INT_MIN
from rtshm.cli.parameters import json_option, names_or_paths
from rtshm.device import node_path

PROMPT = "enter # or <quit> "
# More than any int needs; the old example's buffer had as many.
LINE_MAX = 40


def parse_int(text: str) -> int:
    """A C int from decimal text. Raises ValueError that says what is wrong and what is right."""
    limits = f"give a number from {INT_MIN} to {INT_MAX}"
    if len(text) > LINE_MAX:
        raise ValueError(f"{text[:10]!r}... ({len(text)} characters) is too long; {limits}")
    if not re.fullmatch(r"[+-]?[0-9]+", text, re.ASCII):
        raise ValueError(f"{text!r} is not a number; {limits}")
    value = int(text)
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
    number alone is the VALUE. Without VALUE, ask for one after another, until
    quit or the end of input.
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
