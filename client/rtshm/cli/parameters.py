"""What commands take: values with their units, and names of regions to complete."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any, TypeVar

import click
from click.shell_completion import CompletionItem

from rtshm.cli.units import (
    parse_group,
    parse_mode,
    parse_number,
    parse_size,
    parse_time,
    parse_user,
)
from rtshm.paths import CLASS

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from rtshm.control import Clock, PrintMode

    Decorator = Callable[[Callable[..., Any]], Callable[..., Any]]

T = TypeVar("T")

# rtshm.PrintMode's and rtshm.Clock's, which only those commands import that use them.
PRINT_MODES = ("off", "every-tick", "changes")
CLOCKS = ("monotonic", "realtime", "tai")


def parsed(
    parse: Callable[[str], T],
) -> Callable[[click.Context, click.Parameter, str | None], T | None]:
    """A callback that makes a value of the text, and a usage error of parse()'s ValueError."""

    def callback(_context: click.Context, _param: click.Parameter, text: str | None) -> T | None:
        try:
            return None if text is None else parse(text)
        except ValueError as error:
            raise click.BadParameter(str(error)) from None

    return callback


def region_names(
    _context: click.Context, _param: click.Parameter, incomplete: str
) -> list[CompletionItem]:
    """The names of the regions that begin as typed; none where there is no module."""
    try:
        # Not by netlink, which takes seconds in an emulated guest.
        names = os.listdir(CLASS)
    except OSError:
        return []
    # A region may have more devices than its own; their names have a dot.
    regions = sorted(name for name in names if "." not in name)
    return [CompletionItem(name) for name in regions if name.startswith(incomplete)]


def names_or_paths(
    context: click.Context, param: click.Parameter, incomplete: str
) -> list[CompletionItem]:
    if "/" in incomplete:
        return [CompletionItem(incomplete, type="file")]
    return region_names(context, param, incomplete)


def name_argument(command: Callable[..., Any]) -> Callable[..., Any]:
    return click.argument("name", shell_complete=region_names)(command)


def number_option(*names: str, help: str) -> Decorator:
    return click.option(*names, metavar="N", callback=parsed(parse_number), help=help)


def time_option(*names: str, help: str) -> Decorator:
    return click.option(*names, metavar="TIME", callback=parsed(parse_time), help=help)


def json_option(help: str) -> Decorator:
    return click.option("--json", "as_json", is_flag=True, help=help)


def size_option(command: Callable[..., Any]) -> Callable[..., Any]:
    return click.option(
        "--size",
        metavar="BYTES",
        callback=parsed(parse_size),
        help="4096, 64K, 1M, 1G: a multiple of the page size; one page if not given.",
    )(command)


def _clock(text: str) -> Clock:
    from rtshm.control import Clock

    return Clock(text)


def _print_mode(text: str) -> PrintMode:
    from rtshm.control import PrintMode

    return PrintMode(text)


def clock_option(command: Callable[..., Any]) -> Callable[..., Any]:
    return click.option(
        "--clock",
        type=click.Choice(CLOCKS),
        callback=parsed(_clock),
        help="The clock of --phase and --start-ns; monotonic if not given.",
    )(command)


def settings(command: Callable[..., Any]) -> Callable[..., Any]:
    """The options for what can be changed of a region, as Control.set() names it."""
    options: Sequence[Decorator] = (
        time_option("--period", help="Period of the tick: 2s, 500ms, 100us, 1500000ns."),
        click.option(
            "--print",
            type=click.Choice(PRINT_MODES),
            callback=parsed(_print_mode),
            help="When a tick prints the value in the kernel log.",
        ),
        number_option("--depth", "record_depth", help="Samples kept of the history; 0 for none."),
        number_option(
            "--record-bytes", help="Bytes from the beginning that a sample keeps, a multiple of 8."
        ),
        time_option("--task-budget", help="A task that takes longer in a tick has an overrun."),
        number_option(
            "--task-long-max",
            help="Stop a task that takes longer than half the period so many ticks in a row.",
        ),
        click.option(
            "--mode",
            metavar="MODE",
            callback=parsed(parse_mode),
            help="Access mode of the device node, as 0660; 0600 if never given.",
        ),
        click.option(
            "--owner",
            "uid",
            metavar="USER",
            callback=parsed(parse_user),
            help="Owner of the device node, a name or a number; root if never given.",
        ),
        click.option(
            "--group",
            "gid",
            metavar="GROUP",
            callback=parsed(parse_group),
            help="Group of the device node, a name or a number; root if never given.",
        ),
        number_option(
            "--cpu",
            help="The cpu that its timer runs on; if never given, the kernel chooses one of "
            "those that are not isolated.",
        ),
        time_option(
            "--phase", help="Tick at the multiples of the period on the clock, and so much later."
        ),
        time_option(
            "--lead",
            help="Have the cpu wait so long for each tick to be due, so that less makes it late; "
            "0ns if never given.",
        ),
        time_option(
            "--cpu-latency",
            help="Keep the timer's cpu out of idle states that take longer to leave; 0ns, for "
            "any, if never given.",
        ),
    )
    for option in reversed(options):
        command = option(command)
    return command
