"""rtshm list, show, events, create, set, delete: the control plane."""

from __future__ import annotations

import json
import os
from typing import Any

import click

from rtshm.cli import render
from rtshm.cli.attributes import create_options, set_options
from rtshm.cli.opened import opened, told
from rtshm.cli.parameters import json_option, name_argument, names_argument
from rtshm.cli.screen import terminal_width
from rtshm.kernel_files import deleted_regions, more_than


@click.command("list")
@json_option("A list of objects with every field, named as in the netlink spec.")
def list_(as_json: bool) -> None:
    """List the regions.

    As root, it also prints on standard error which processes have deleted
    regions open.
    """
    with opened() as control:
        regions = [told(control, region) for region in control.list()]
    if os.geteuid() == 0 and more_than(sum(region.users for region in regions)):
        for holder in deleted_regions()[0]:
            click.echo(f"rtshm: deleted and still open: {holder}", err=True)
    if as_json:
        click.echo(json.dumps([render.region_json(region) for region in regions], indent=2))
    else:
        click.echo("\n".join(render.region_list(regions, terminal_width())))


@click.command()
@name_argument
@json_option("An object with every field, named as in the netlink spec.")
def show(name: str, as_json: bool) -> None:
    """Show a region: settings, counters and lateness.

    The histogram shows how late its ticks were.
    """
    with opened() as control:
        region = control.get(name)
    if as_json:
        click.echo(json.dumps(render.region_json(region), indent=2))
    else:
        safe = {}
        if region.readable and region.tasks:
            from rtshm.safe import states

            safe = states(region.tasks)
        click.echo("\n".join(render.region_page(region, terminal_width(), safe)))


@click.command()
@json_option("One object per line: the event, and the region with every field.")
def events(as_json: bool) -> None:
    """Print what happens to regions.

    It prints a line for each event as it comes: created, changed or deleted. The
    event overrun means that events came too fast and some are lost; its line has
    the regions as they are now.
    """
    with opened() as control, control.watch() as watch:
        for event in watch:
            # Each echo flushes.
            click.echo(
                json.dumps(render.event_json(event)) if as_json else render.event_line(event)
            )


@click.command()
@click.argument("name")
@create_options
def create(name: str, **settings: Any) -> None:
    """Create a region.

    An option that is left out has the module's default. A layout is padded as C
    pads a struct; if padding was added, the layout is printed.
    """
    with opened() as control:
        made = control.create(name, **settings)
    if settings["layout"] and made.layout != settings["layout"]:
        click.echo(f"{name}: layout {made.layout}")


@click.command("set")
@name_argument
@set_options
def set_(name: str, **settings: Any) -> None:
    """Change a region.

    All options apply from its next tick on. If one is refused, nothing changes.
    """
    if all(value is None or value is False for value in settings.values()):
        raise click.UsageError(
            "nothing to set: give what is to be changed; `rtshm set --help` lists the options",
            click.get_current_context(),
        )
    with opened() as control:
        control.set(name, **settings)


@click.command()
@names_argument
def delete(names: tuple[str, ...]) -> None:
    """Delete regions.

    They are deleted in this order, until one is refused. A program that has a
    region open or mapped keeps its memory.
    """
    with opened() as control:
        for name in names:
            control.delete(name)
