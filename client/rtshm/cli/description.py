"""A description of regions in TOML, which can be loaded again.

A table a region, with the names and the forms of the options of `rtshm create`::

    [motor]
    size = "64K"
    period = "1ms"
    mode = "0660"
    group = "rtshm"

A key that is left out keeps the kernel's default for a new region, and the present value for
an existing one. `[motor.values]` has values of fields, as `rtshm get` prints them. A
table of BPF programs, in the order in which they run::

    [motor.tasks]
    filter = "filter.bpf.o"
    follow = { program = "follow.bpf.o", unbounded = true }

A path that is not absolute starts from the directory of the description. A task that the
region has already stays as it is.
"""

from __future__ import annotations

import tomllib
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import tomli_w

import rtshm
from rtshm.cli.attributes import KEYS, shown
from rtshm.cli.attributes import parse as parse_setting
from rtshm.cli.task import of_file
from rtshm.cli.values import find, parse_value, value_text
from rtshm.errors import hidden_address
from rtshm.layout import Layout
from rtshm.settings import Changes
from rtshm.task import Task

if TYPE_CHECKING:
    from rtshm.control import Control, RegionInfo

HEADING = "# rtshm load makes these regions, or sets those that are there.\n\n"


class DescriptionError(ValueError):
    """What cannot be loaded, a line for each reason, each with region and key."""


ACCESS = ("mode", "owner", "group")
RING = ("history", "record_bytes")
"""A change of these gives the region another ring, at which open readers end."""
VALUES = "values"
TASKS = "tasks"


def save(regions: Sequence[RegionInfo], *, values: bool = False) -> str:
    """The description of `regions`, with the values of their fields if asked.

    Raises PermissionError if not all of it may be known, and LayoutError for a
    layout that is none. What cannot be described is said in a comment.
    """
    notes = []
    tables: dict[str, dict[str, Any]] = {}
    for region in regions:
        if region.phys == 0:
            raise hidden_address(region.name)
        table = tables[region.name] = {
            name: shown(setting, getattr(region, setting.field))
            for name, setting in KEYS.items()
            # Given, they would keep the udev rule from the region that is made of it.
            if not (region.access_default and name in ACCESS)
        }
        if region.phys is not None:
            # What is in raw memory stays there, and is to be there again.
            table["keep"] = True
        if region.start_ns is not None:
            notes.append(
                f"# {region.name}: start-ns {region.start_ns} is not described: it is a time of "
                "this boot. The region will tick at once.\n"
            )
        notes += [
            f"# {region.name}: task {task.name} is not described: the kernel does not know its "
            f'file. Add it: [{region.name}.{TASKS}] {task.name} = "PATH"\n'
            for task in region.tasks
            if task.prog_id is not None
        ]
        if values and region.layout:
            with rtshm.open(region.name, readonly=True) as memory:
                read = memory.read()
            table[VALUES] = {name: value_text(value) for name, value in read.items()}
    return HEADING + "".join(notes) + tomli_w.dumps(tables)


def parse(text: str, folder: Path = Path()) -> dict[str, dict[str, Any]]:
    """The values of each region, by its name and their keys. Raises DescriptionError.

    Paths of programs start from `folder`.
    """
    try:
        tables = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise DescriptionError(str(error)) from None
    wrong: list[str] = []
    regions: dict[str, dict[str, Any]] = {}
    for name, table in tables.items():
        if not isinstance(table, dict):
            wrong.append(f"{name}: a region is a table: begin it with [{name}]")
            continue
        regions[name] = {}
        for key, value in table.items():
            if key == VALUES:
                regions[name][VALUES] = value
                continue
            try:
                if key == TASKS:
                    regions[name][TASKS] = _parse_tasks(value, folder)
                    continue
                if key not in KEYS:
                    raise ValueError(f"there is no such key; there are {', '.join(KEYS)}")
                regions[name][key] = parse_setting(KEYS[key], value)
            except ValueError as error:
                wrong.append(f"{name}: {key}: {error}")
    if wrong:
        raise DescriptionError("\n".join(wrong))
    return regions


def _parse_tasks(tasks: object, folder: Path) -> dict[str, dict[str, Any]]:
    """The arguments of each task's Task(), by its name."""
    if not isinstance(tasks, dict):
        raise ValueError("it is not a table: begin it with [NAME.tasks]")
    parsed = {}
    for name, value in tasks.items():
        given = value if isinstance(value, dict) else {"program": value}
        path, unbounded = given.get("program"), given.get("unbounded", False)
        if given.keys() - {"program", "unbounded"} or not isinstance(unbounded, bool):
            raise ValueError(f"{name}: there is program, and unbounded, which is true or false")
        if not path or not isinstance(path, str):
            raise ValueError(f"{name}: {path!r} is not the path of a program")
        parsed[name] = {**of_file(str(folder / path)), "unbounded": unbounded}
    return parsed


@dataclass(frozen=True, slots=True)
class Step:
    """What loading does with one region."""

    name: str
    arguments: dict[str, Any]
    """Those of Control.create() or set()."""
    new: bool
    what: str
    """The line that says so."""
    before: dict[str, Any] = field(default_factory=dict)
    """What set() takes to have it as it was."""
    values: dict[str, Any] = field(default_factory=dict)
    """Of fields, as Region.update() takes them."""
    tasks: dict[str, dict[str, Any]] = field(default_factory=dict)
    """The arguments of Task() for those to add, by name."""

    def run(self, control: Control) -> None:
        if self.new:
            control.create(self.name, **self.arguments)
        else:
            self._set(control, self.arguments.keys() - RING)

    def record(self, control: Control) -> None:
        if not self.new:
            self._set(control, self.arguments.keys() & RING)

    def _set(self, control: Control, names: Iterable[str]) -> None:
        if arguments := {name: self.arguments[name] for name in names}:
            control.set(self.name, **arguments)

    def undo(self, control: Control) -> None:
        if self.new:
            control.delete(self.name)
        elif self.before:
            control.set(self.name, **self.before)


def run(control: Control, steps: Sequence[Step]) -> None:
    """Do all steps, or none: what was done is undone when one is refused."""
    undone: list[Callable[[], object]] = []
    try:
        for step in steps:
            step.run(control)
            undone.append(partial(step.undo, control))
        for step in steps:
            if step.values:
                before = _store(step.name, step.values)
                undone.append(partial(_store, step.name, before))
        # After the values: a task begins with the values that are described.
        for step in steps:
            for name, arguments in step.tasks.items():
                undone.append(Task(step.name, name=name, **arguments).remove)
        # Last: to undo it does not bring back the readers that it ended.
        for step in steps:
            step.record(control)
    except BaseException as error:
        for undo in reversed(undone):
            try:
                undo()
            except OSError as failed:
                error.add_note(f"and this could not be undone: {failed}")
        raise


def _store(name: str, values: Mapping[str, Any]) -> dict[str, Any]:
    """Store the values of fields. Return those that were there."""
    with rtshm.open(name) as region:
        read = region.read()
        region._update(values)
    return {name: read[name] for name in values}


def plan(
    description: Mapping[str, Mapping[str, Any]], there: Iterable[RegionInfo]
) -> Sequence[Step]:
    """What makes `there` as described. Raises DescriptionError for what no step can change,
    PermissionError where it may not be known."""
    regions = {region.name: region for region in there}
    wrong: list[str] = []
    steps: list[Step] = []
    for name, values in description.items():
        values = dict(values)
        fields = _fields(name, values, regions.get(name), wrong)
        running = {task.name for task in regions[name].tasks} if name in regions else ()
        tasks = {task: of for task, of in values.pop(TASKS, {}).items() if task not in running}
        changes = [f"task {task} added" for task in tasks]
        if name not in regions:
            arguments = {KEYS[key].name: value for key, value in values.items()}
            what = ", ".join(["created", *changes])
            steps.append(Step(name, arguments, True, f"{name}: {what}", {}, fields, tasks))
            continue
        arguments, before = {}, {}
        if "phys" in values and regions[name].phys == 0:
            raise hidden_address(name)
        for key, value in values.items():
            setting = KEYS[key]
            old = getattr(regions[name], setting.field)
            # What is in raw memory already is kept in any case.
            if value == old or key == "keep":
                continue
            texts = f"{shown(setting, old)!r}", f"{shown(setting, value)!r}"
            differs = f"{name}: {key} is {texts[0]}, described as {texts[1]}, and"
            if setting.name not in Changes.__annotations__ or value is None:
                wrong.append(
                    f"{differs} cannot be changed: "
                    f"`rtshm delete {name}` and load again, or take {key} out of the description"
                )
            # run() sets it back where a later step is refused.
            elif old is None or (key in ACCESS and regions[name].access_default):
                wrong.append(
                    f"{differs} load could not undo the change: "
                    f"`rtshm set {name} --{key} {shown(setting, value)}` and load again"
                )
            else:
                arguments[setting.name] = value
                before[setting.name] = old
                changes.append(f"{key} {texts[0]} -> {texts[1]}")
        what = f"changed: {', '.join(changes)}" if changes else "unchanged"
        steps.append(Step(name, arguments, False, f"{name}: {what}", before, fields, tasks))
    if wrong:
        raise DescriptionError("\n".join(wrong))
    return steps


def _fields(
    name: str, values: dict[str, Any], there: RegionInfo | None, wrong: list[str]
) -> dict[str, Any]:
    """Take the values of fields out of a region's table: as update() takes them."""
    texts = values.pop(VALUES, {})
    if there and not texts:
        return {}
    text = values.get("layout", there.layout if there else "")
    parsed: dict[str, Any] = {}
    try:
        layout = Layout(text) if text or texts else None
        if not isinstance(texts, dict):
            raise ValueError("it is not a table: begin it with [NAME.values]")
        for path, value in texts.items():
            assert layout
            place = find(layout.fields, path)
            if place.steps:
                raise ValueError(f"{path!r}: give the whole field")
            parsed[path] = parse_value(place.field, str(value))
        if layout:
            layout.build_fields(parsed)
    except (ValueError, TypeError, OverflowError) as error:
        wrong.append(f"{name}: {'values' if texts else 'layout'}: {error}")
    return parsed
