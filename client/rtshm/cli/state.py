"""rtshm write, rtshm read: the state of a region."""

from __future__ import annotations

import io
import re
import sys
from typing import TYPE_CHECKING, Any

import click

import rtshm
from rtshm.abi import INT_MAX, INT_MIN
from rtshm.cli.parameters import names_or_paths, parsed

if TYPE_CHECKING:
    from collections.abc import Callable

PROMPT = "enter # or <quit> "
# More than any int needs; the old example's buffer had as many.
LINE_MAX = 40


def device_option(command: Callable[..., Any]) -> Callable[..., Any]:
    return click.option(
        "--device",
        metavar="NAME",
        default="default",
        show_default=True,
        shell_complete=names_or_paths,
        help="Region, by its name or by the path of its device node.",
    )(command)


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
@click.argument("value", required=False, callback=parsed(parse_int))
@device_option
def write(value: int | None, device: str) -> None:
    """Write VALUE to the region and announce it.

    Without VALUE, ask for one after another, until quit or the end of input.
    """
    with rtshm.open(device) as region:
        if value is not None:
            region.publish(value)
        else:
            _prompt(region)


def _prompt(region: rtshm.Region) -> None:
    # What is no text is no number either, and gets the same answer.
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
@device_option
def read(device: str) -> None:
    """Print the region's value."""
    with rtshm.open(device, readonly=True) as region:
        click.echo(region.some_int)
