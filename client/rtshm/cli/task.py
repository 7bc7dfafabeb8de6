"""rtshm task: BPF programs in the tick of a region."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import click

from rtshm.cli import render
from rtshm.cli.fields import field_names
from rtshm.cli.opened import opened, told
from rtshm.cli.parameters import json_option, parsed, region_names
from rtshm.cli.screen import terminal_width
from rtshm.durations import parse_time

if TYPE_CHECKING:
    from collections.abc import Callable

    from rtshm.control import RegionInfo

region_argument = click.argument("region", shell_complete=region_names)


def task_names(context: click.Context, _param: click.Parameter, incomplete: str) -> list[str]:
    """The tasks that begin as typed, of the region before it."""
    try:
        with opened() as control:
            tasks = control.get(context.params["region"]).tasks
    except (OSError, KeyError):
        return []
    return [task.name for task in tasks if task.name.startswith(incomplete)]


task_argument = click.argument("task", shell_complete=task_names)


def program_options(command: Callable[..., Any]) -> Callable[..., Any]:
    for option in (
        click.argument("program", type=click.Path(exists=True, dir_okay=False)),
        click.option(
            "--name",
            metavar="TASK",
            help="Its name; that of the file, to its first dot, if not given.",
        ),
        click.option(
            "--unbounded",
            is_flag=True,
            help="Run it although nothing bounds its instructions; the region needs a "
            "--task-long-max.",
        ),
    ):
        command = option(command)
    return command


def of_file(program: str) -> dict[str, str]:
    """The argument of Task() for a file: a source that clang compiles, or a program."""
    return {"source" if program.endswith(".c") else "program": program}


@click.group(subcommand_metavar="COMMAND...")
def task() -> None:
    """Run a BPF program in each tick of a region.

    It runs in the hard interrupt, and cannot crash the kernel. A C source includes
    <rtshm_region.h>, which is what `rtshm header --bpf` prints. Loading a program
    takes CAP_BPF and CAP_PERFMON.
    """


@task.command()
@region_argument
@program_options
def add(region: str, program: str, name: str | None, unbounded: bool) -> None:
    """Add a task.

    PROGRAM is a C source, which is compiled by clang, an object file, or a
    program that is pinned in the BPF file system. It runs after the tasks that
    the region has, until it is removed or the region is deleted.
    """
    from rtshm.task import Task

    Task(region, **of_file(program), name=name, unbounded=unbounded)


@task.command()
@region_argument
@program_options
def replace(region: str, program: str, name: str | None, unbounded: bool) -> None:
    """Replace the program of a task.

    Each tick runs the old program or the new one. If the new one is refused,
    the old one runs on.
    """
    from rtshm.task import Task, file_name

    Task.of(region, name or file_name(program)).replace(**of_file(program), unbounded=unbounded)


@task.command()
@region_argument
@click.argument("tasks", metavar="TASK...", nargs=-1, required=True, shell_complete=task_names)
def remove(region: str, tasks: tuple[str, ...]) -> None:
    """Remove tasks.

    They are removed in this order, until one is refused.
    """
    with opened() as control:
        for name in tasks:
            control.remove_task(region, name)


@task.command()
@region_argument
@click.argument(
    "assignments", metavar="FIELD=VALUE...", nargs=-1, required=True, shell_complete=field_names
)
@click.option("--after", metavar="TIME", required=True, callback=parsed(parse_time),
              help="How long the writer may be silent, for example 50ms.")  # fmt: skip
@click.option("--mark", metavar="FIELD", default="safe", show_default=True,
              shell_complete=field_names,
              help="An i32: it has n during the nth time, and -n afterwards.")  # fmt: skip
@click.option("--alive", metavar="FIELD", shell_complete=field_names,
              help="A number that the writer changes, if it does not announce.")  # fmt: skip
@click.option("--age", metavar="FIELD", shell_complete=field_names,
              help="A u64 for the time since the writer's last sign of life, in ns.")  # fmt: skip
@click.option("--name", metavar="TASK", default="safe", show_default=True, help="Its name.")
def safe(
    region: str,
    assignments: tuple[str, ...],
    after: int,
    mark: str,
    alive: str | None,
    age: str | None,
    name: str,
) -> None:
    """Store safe values when the writer is silent.

    When the last announcement is older than the time of --after, each tick stores
    the values, until `rtshm task rearm`. A VALUE is as get prints it. The task runs
    after the tasks that the region has: add it before those that use the values.
    """
    import rtshm
    from rtshm.cli.fields import assigned, usage
    from rtshm.cli.values import find, parse_value

    with rtshm.open(region, readonly=True) as opened:
        fields = opened.layout.fields
    with usage():
        values = {}
        for assignment in assignments:
            field, text = assigned(assignment)
            place = find(fields, field)
            if place.steps:
                raise click.UsageError(f"{field}: give the whole field {place.name}")
            values[field] = parse_value(place.field, text)
        rtshm.SafeValues(region, after=after, mark=mark, alive=alive, age=age, name=name, **values)


@task.command()
@region_argument
@click.option("--mark", metavar="FIELD", default="safe", show_default=True,
              shell_complete=field_names,
              help="The field that `rtshm task safe` was given.")  # fmt: skip
def rearm(region: str, mark: str) -> None:
    """Let the writer's values stand again after safe values."""
    from rtshm.safe import rearm

    if not rearm(region, mark):
        raise click.ClickException(f"{region}: the safe values are not in place")


@task.command("list")
@click.argument("region", required=False, shell_complete=region_names)
@json_option("A list of objects with every field, named as in the netlink spec.")
def list_(region: str | None, as_json: bool) -> None:
    """List the tasks of a region, or of all that you may read."""
    with opened() as control:
        if region:
            regions = [control.get(region)]
        else:
            every = [told(control, each) for each in control.list()]
            regions = [each for each in every if each.readable]
    if as_json:
        tasks = [render.task_json(found, task) for found in regions for task in found.tasks]
        click.echo(json.dumps(tasks, indent=2))
        return
    click.echo("\n".join(render.all_tasks(regions, terminal_width())))


@task.command()
@region_argument
@task_argument
@json_option("An object with every field, named as in the netlink spec.")
def show(region: str, task: str, as_json: bool) -> None:
    """Show all of a task."""
    with opened() as control:
        found = control.get(region)
    (shown,) = [each for each in found.tasks if each.name == task] or [_missing(found, task)]
    if as_json:
        click.echo(json.dumps(render.task_json(found, shown), indent=2))
    else:
        from rtshm.safe import states

        click.echo("\n".join(render.task_page(found, shown, states([shown]))))


def _missing(region: RegionInfo, task: str) -> Any:
    names = ", ".join(each.name for each in region.tasks) or "none"
    raise click.ClickException(f"{region.name}: there is no task {task}; there are: {names}")
