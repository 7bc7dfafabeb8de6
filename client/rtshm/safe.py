"""Safe values in the tick: what a region has when its writer is silent for too long."""

from __future__ import annotations

import struct
import sys
import time
from typing import TYPE_CHECKING, Any

from rtshm import bpf
from rtshm.durations import U64_MAX, nanoseconds, seconds
from rtshm.errors import LayoutError, deleted
from rtshm.handle import deadline
from rtshm.layout.fields import Kind
from rtshm.region import open as open_region
from rtshm.samples import Samples
from rtshm.task import Task, region_name

if TYPE_CHECKING:
    from rtshm.durations import Duration, Timeout
    from rtshm.layout import Field, Layout
    from rtshm.region import Region
    from rtshm.samples import Sample

MARK = "safe"

# `given` of tasks/safe.bpf.c.
_HEAD = struct.Struct("=QIIIIIIQ")
_STORE = struct.Struct("=IIQ")
_STORES_MAX = 64
_NOWHERE = (2**32 - 1, 0)


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
        _place(opened.layout, mark, (Kind.I32,), "mark")
        times = getattr(opened.view, mark)
        if times > 0:
            opened.update(**{mark: -times})
        return bool(times > 0)


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
    numbers = tuple(kind for kind in Kind if kind not in (Kind.BYTES, Kind.STRUCT))
    places = (
        _place(layout, mark, (Kind.I32,), "mark"),
        _place(layout, alive, numbers, "alive"),
        _place(layout, age, (Kind.U64,), "age"),
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


def _place(layout: Layout, name: str | None, kinds: tuple[Kind, ...], use: str) -> tuple[int, int]:
    """Return where a field of one of these kinds is, and its bytes."""
    if name is None:
        return _NOWHERE
    found: dict[str, Field] = {field.name: field for field in layout.fields}
    wanted = kinds[0] if len(kinds) == 1 else "number"
    if name not in found:
        raise LayoutError(
            f"{use}: there is no field {name!r}; give the region a layout with one, for "
            f"example {name}:{kinds[0]}, or name another"
        )
    field = found[name]
    if field.kind not in kinds or field.shape or (field.enum and len(kinds) == 1):
        raise LayoutError(f"{use}: the field {name!r} has to be one {wanted}")
    return field.offset, field.element


def _pieces(offset: int, data: bytes) -> list[tuple[int, bytes]]:
    """Cut what lies at an offset into aligned pieces of 8, 4, 2 or 1 bytes, one store each."""
    pieces = []
    while data:
        size = next(size for size in (8, 4, 2, 1) if not offset % size and size <= len(data))
        pieces.append((offset, data[:size]))
        offset, data = offset + size, data[size:]
    return pieces
