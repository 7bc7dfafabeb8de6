"""What commands take: values with their units, and names of regions to complete."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar

import click
from click.shell_completion import CompletionItem

from rtshm.device import once
from rtshm.paths import CLASS

if TYPE_CHECKING:
    Decorator = Callable[[Callable[..., Any]], Callable[..., Any]]

T = TypeVar("T")


def parsed(
    parse: Callable[[Any], T],
) -> Callable[[click.Context, click.Parameter, Any], T | None]:
    """A callback that makes a value of the text, and a usage error of parse()'s ValueError."""

    def callback(_context: click.Context, _param: click.Parameter, text: Any) -> T | None:
        try:
            return None if text is None else parse(text)
        except ValueError as error:
            raise click.BadParameter(str(error)) from None

    return callback


def region_names(_context: click.Context, _param: click.Parameter, incomplete: str) -> list[str]:
    """The names of the regions that begin as typed; none where there is no module."""
    try:
        # Not by netlink, which takes seconds in an emulated guest.
        names = os.listdir(CLASS)
    except OSError:
        return []
    # A region may have more devices than its own; their names have a dot.
    regions = sorted(name for name in names if "." not in name)
    return [name for name in regions if name.startswith(incomplete)]


def names_or_paths(
    context: click.Context, param: click.Parameter, incomplete: str
) -> list[CompletionItem] | list[str]:
    if "/" in incomplete:
        return [CompletionItem(incomplete, type="file")]
    return region_names(context, param, incomplete)


name_argument = click.argument("name", shell_complete=region_names)
names_argument = click.argument(
    "names",
    metavar="NAME...",
    nargs=-1,
    required=True,
    callback=parsed(once),
    shell_complete=region_names,
)


def json_option(help: str) -> Decorator:
    return click.option("--json", "as_json", is_flag=True, help=help)
