"""rtshm list, show, events, create, set, delete: the control plane."""

from __future__ import annotations

import json
import shutil
from typing import Any

import click

from rtshm.cli import render
from rtshm.cli.opened import opened
from rtshm.cli.parameters import (
    clock_option,
    json_option,
    name_argument,
    number_option,
    parsed,
    region_names,
    settings,
    size_option,
    time_option,
)
from rtshm.cli.units import parse_address, parse_count, parse_group, parse_mode, parse_user


@click.command("list")
@json_option("A list of objects with every field, named as in the netlink spec.")
def list_(as_json: bool) -> None:
    """List the regions."""
    with opened() as control:
        regions = control.list()
    if as_json:
        click.echo(json.dumps([render.region_json(region) for region in regions], indent=2))
    else:
        click.echo("\n".join(render.region_list(regions)))


@click.command()
@name_argument
@json_option("An object with every field, named as in the netlink spec.")
def show(name: str, as_json: bool) -> None:
    """Show all of a region.

    Its settings, its counters, and how late its ticks were, as a histogram.
    """
    with opened() as control:
        region = control.get(name)
    if as_json:
        click.echo(json.dumps(render.region_json(region), indent=2))
    else:
        click.echo("\n".join(render.region_page(region, shutil.get_terminal_size().columns)))


@click.command()
@json_option("An object a line: the event, and the region with every field.")
def events(as_json: bool) -> None:
    """Print what happens to regions.

    A line for each event as it comes: created, changed, deleted; or overrun:
    there were more events than could be kept, some are lost, and the line has
    the regions that are there now.
    """
    with opened() as control, control.watch() as watch:
        for event in watch:
            # Each echo flushes.
            click.echo(
                json.dumps(render.event_json(event)) if as_json else render.event_line(event)
            )


@click.command()
@click.argument("name")
@size_option
@settings
@click.option("--layout", metavar="TEXT", help="The fields, for example 'speed:f64 gain:f32'.")
@click.option(
    "--mode",
    metavar="MODE",
    callback=parsed(parse_mode),
    help="Access mode of the device node, as 0660; 0600 if not given.",
)
@click.option(
    "--owner",
    "uid",
    metavar="USER",
    callback=parsed(parse_user),
    help="Owner of the device node, a name or a number; root if not given.",
)
@click.option(
    "--group",
    "gid",
    metavar="GROUP",
    callback=parsed(parse_group),
    help="Group of the device node, a name or a number; root if not given.",
)
@number_option("--cpu", help="The cpu that its timer runs on; any if not given.")
@clock_option
@time_option("--phase", help="Tick at the multiples of the period on the clock, and so much later.")
@click.option(
    "--start-ns",
    metavar="NS",
    callback=parsed(parse_count),
    help="When the first tick is due, on the clock; at once if not given.",
)
@time_option(
    "--lead",
    help="Have the cpu wait so long for each tick to be due, so that less makes it late; 0ns if "
    "not given.",
)
@click.option(
    "--phys",
    metavar="ADDRESS",
    callback=parsed(parse_address),
    help="Raw memory at this physical address, as 0x40000000, set aside at boot with memmap=.",
)
@click.option("--keep", is_flag=True, help="Keep what the raw memory has; zeroes if not given.")
def create(name: str, **settings: Any) -> None:
    """Make a region.

    Options you leave out get the module's defaults. A layout is padded as C
    does it, and printed if padding was put in.
    """
    with opened() as control:
        made = control.create(name, **settings)
    if settings["layout"] and made.layout != settings["layout"]:
        click.echo(f"{name}: layout {made.layout}")


@click.command("set")
@name_argument
@settings
@click.option(
    "--reset-counters",
    is_flag=True,
    help="Set the counters of the region and its tasks to 0. Sample numbers go on.",
)
def set_(name: str, **settings: Any) -> None:
    """Change a region.

    From its next tick on; all that is given or, when any is refused, nothing.
    """
    if all(value is None or value is False for value in settings.values()):
        raise click.UsageError(
            "nothing to set: give --period, --print, --depth, --record-bytes, --task-budget, "
            "--task-long-max or --reset-counters",
            click.get_current_context(),
        )
    with opened() as control:
        control.set(name, **settings)


@click.command()
@click.argument("names", metavar="NAME...", nargs=-1, required=True, shell_complete=region_names)
def delete(names: tuple[str, ...]) -> None:
    """Remove regions.

    One after the other, up to the first that is refused. Who has one open or
    mapped keeps its memory.
    """
    with opened() as control:
        for name in names:
            control.delete(name)
