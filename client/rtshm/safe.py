"""Safe values in the tick: what a region has when its writer is silent for too long."""

from __future__ import annotations

import struct
import sys
import time
from contextlib import suppress
from typing import TYPE_CHECKING, Any, NamedTuple, Self

from rtshm import bpf
from rtshm.durations import U64_MAX, nanoseconds, seconds
from rtshm.errors import LayoutError, ProgramError, deleted
from rtshm.handle import deadline
from rtshm.layout.fields import Kind
from rtshm.region import open as open_region
from rtshm.samples import Samples
from rtshm.task import Task, number_field, region_name

if TYPE_CHECKING:
    from collections.abc import Iterable

    from rtshm.control import TaskInfo
    from rtshm.durations import Duration, Timeout
    from rtshm.layout import Layout
    from rtshm.region import Region
    from rtshm.samples import Sample

MARK = "safe"

# `given` and `state` of tasks/safe.bpf.c.
_HEAD = struct.Struct("=QIIIIIIQ")
_STORE = struct.Struct("=IIQ")
_STORES_MAX = 64
_NOWHERE = (2**32 - 1, 0)
_STATE = struct.Struct("=QQi??2x")


class State(NamedTuple):
    """What became of safe values, and of the writer that they stand in for."""

    in_place: bool
    """Whether the safe values are in place."""
    times: int
    """How often they were put in place."""
    silent_ns: int
    """Time since the tick with the writer's last sign of life."""


class SafeValues(Task):
    """Safe values for some fields of a region, in place when its writer is silent: a Task.

    ::

        with rtshm.SafeValues(motor, after="50ms", setpoint=0.0):
            while True:
                motor.update(setpoint=control(), announce=True)

    The writer has to announce, or to change the number in the field `alive`. In the first
    tick that is due `after` later than the tick with the last sign of life, a program in
    that tick stores the `values`, and does so in each tick until rearm(). It begins
    with the first tick.

    The field `mark`, an i32, has n during the nth time and -n afterwards, in the tick's
    sample too. With `age`, a u64, that field has the ns since the last sign of life. The
    tasks that are added later find the safe values in that tick; those that were there
    before run before it, and find them one tick later.

    A field that is called `after`, `mark`, `alive`, `age` or `name` can have no safe value.
    Raises as Task, LayoutError for a field that is not there or has another type, and
    what Region.update() raises for a value that a field does not take.
    """

    __slots__ = ("_mark",)

    def __init__(
        self,
        region: Region[Any] | str,
        /,
        *,
        after: Duration | int,
        mark: str = MARK,
        alive: str | None = None,
        age: str | None = None,
        name: str = "safe",
        **values: Any,
    ) -> None:
        self._region = region_name(region)
        self._name = name
        self._mark = mark
        constants = _constants(self._layout(), nanoseconds(after), mark, alive, age, values)
        with bpf.loaded(*bpf.ready_made("safe"), "safe", constants) as loaded:
            self._add(loaded.fd)

    @classmethod
    def of(cls, region: Region[Any] | str, name: str = "safe", mark: str = MARK) -> Self:
        """Return safe values that are there, by the name of their task and their mark."""
        found = super().of(region, name)
        found._mark = mark
        return found

    @property
    def state(self) -> State:
        """What the program in the tick knows: it needs no field `age`, but CAP_SYS_ADMIN.

        Raises OSError(EPERM) without it, OSError(ESRCH) if the task was removed, and
        LookupError if it has not run yet, or is no such program.
        """
        return _state(self.info)

    @property
    def in_place(self) -> bool:
        """Whether the safe values are in place, as of the last tick."""
        with open_region(self._region, readonly=True) as region:
            return bool(getattr(region.view, self._mark) > 0)

    def rearm(self) -> bool:
        """Let the writer's values stand again; False if the safe values were not in place.

        The next tick counts the time from its own. The safe values stay until the
        writer stores others.
        """
        return rearm(self._region, self._mark)

    def wait(self, timeout: Timeout = None) -> Sample:
        """Return the sample of the tick that put the safe values in place, or of a later one.

        Raises TimeoutError after `timeout`, RegionNotFoundError if the region records
        nothing, RegionDeletedError if it is deleted meanwhile.
        """
        until = deadline(seconds(timeout))
        with Samples(self._region) as samples:
            while sample := samples.read(until and until - time.monotonic()):
                if sample[self._mark] > 0:
                    return sample
                if until is not None and time.monotonic() >= until:
                    raise TimeoutError(f"{self!r}: the safe values are not in place")
        raise deleted(self._region, "no tick stores the safe values")


def rearm(region: str, mark: str = MARK) -> bool:
    """Let the values of a region's writer stand again: see SafeValues.rearm()."""
    with open_region(region) as opened:
        _place(opened.layout, mark, Kind.I32, "mark")
        times = getattr(opened.view, mark)
        if times > 0:
            opened.update(**{mark: -times})
        return bool(times > 0)


def states(tasks: Iterable[TaskInfo]) -> dict[str, State]:
    """Return the state of those of the tasks that are safe values, by the task's name.

    It is empty for a caller without CAP_SYS_ADMIN, and without libbpf.
    """
    found = {}
    for task in tasks:
        with suppress(LookupError, OSError, ProgramError):
            found[task.name] = _state(task)
    return found


def _state(task: TaskInfo) -> State:
    if task.prog_id is None:
        raise LookupError(f"{task.name}: not a BPF program")
    sections = bpf.sections(task.prog_id)
    sizes = {name: len(value) for name, value in sections.items()}
    if sizes != {".rodata": _HEAD.size + _STORES_MAX * _STORE.size, ".bss": _STATE.size}:
        raise LookupError(f"{task.name}: not safe values")
    alive_ns, _, times, begun, tripped = _STATE.unpack(sections[".bss"])
    if not begun:
        raise LookupError(f"{task.name}: no tick has run it yet")
    return State(tripped, times, max(0, time.monotonic_ns() - alive_ns))


def _constants(
    layout: Layout,
    after_ns: int,
    mark: str,
    alive: str | None,
    age: str | None,
    values: dict[str, Any],
) -> bytes:
    if not 0 < after_ns <= U64_MAX:
        raise ValueError(f"after: {after_ns} ns; give more than 0")
    if not values:
        raise ValueError("no safe values; give at least one, for example setpoint=0")
    places = (
        _place(layout, mark, Kind.I32, "mark"),
        _place(layout, alive, None, "alive"),
        _place(layout, age, Kind.U64, "age"),
    )
    if taken := values.keys() & {mark, alive, age}:
        raise ValueError(f"{taken.pop()}: the field has another use here; it has no safe value")
    stores = [
        _STORE.pack(offset, len(piece), int.from_bytes(piece, sys.byteorder))
        for field, data in layout.build_fields(values)
        for offset, piece in _pieces(field.offset, data)
    ]
    if len(stores) > _STORES_MAX:
        raise ValueError(
            f"the safe values are {len(stores)} stores of up to 8 bytes; {_STORES_MAX} are the most"
        )
    head = _HEAD.pack(after_ns, *places[0], *places[1], *places[2], len(stores))
    return head + b"".join(stores).ljust(_STORE.size * _STORES_MAX, b"\0")


def _place(layout: Layout, name: str | None, kind: Kind | None, use: str) -> tuple[int, int]:
    """Return where a field is, and its bytes."""
    if name is None:
        return _NOWHERE
    try:
        field = number_field(layout, name, kind)
    except LayoutError as error:
        remedy = f"give the region a layout with one, for example {use}:{kind or Kind.U32}"
        raise LayoutError(f"{use}: {error}; {remedy}") from None
    return field.offset, field.element


def _pieces(offset: int, data: bytes) -> list[tuple[int, bytes]]:
    """Cut what lies at an offset into aligned pieces of 8, 4, 2 or 1 bytes, one store each."""
    pieces = []
    while data:
        size = next(size for size in (8, 4, 2, 1) if not offset % size and size <= len(data))
        pieces.append((offset, data[:size]))
        offset, data = offset + size, data[size:]
    return pieces
