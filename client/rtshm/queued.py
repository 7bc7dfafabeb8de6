"""A queue of values for a field, one in each tick."""

from __future__ import annotations

import os
import struct
import sys
import time
from io import FileIO
from typing import TYPE_CHECKING, Any, NamedTuple, NoReturn

from rtshm import bpf
from rtshm.durations import seconds
from rtshm.handle import deadline
from rtshm.layout.codec import field_codec
from rtshm.task import Task, number_field, region_name

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from rtshm.durations import Timeout
    from rtshm.region import Region

DEPTH = 1 << 16
"""Values that a queue holds: `values` of tasks/queue.bpf.c."""

# `given` and `counts` of it.
_GIVEN = struct.Struct("=II")
_COUNTS = struct.Struct("=QQQ")
# Seconds between two looks at a queue that is full, or is to become empty.
_LOOK = 0.05


class Counts(NamedTuple):
    """What became of the values of a queue."""

    taken: int
    """Values that ticks have stored."""
    underruns: int
    """Ticks without a value, between two ticks with one."""
    empty: int
    """Ticks without a value since the last one with a value."""


class Queue(Task):
    """A queue of values: each tick stores the next one in a field of a region. A Task.

    ::

        with rtshm.Queue(motor, "setpoint") as setpoints:
            setpoints.put(math.sin(n / 100) for n in range(100_000))
            setpoints.drain()

    A tick that finds the queue empty leaves the field as it is. It is the queue of
    this object: no other process can put values into it, and they go with the task. One
    thread at a time may use it.

    Raises as Task, and LayoutError for a field that is not one number.
    """

    __slots__ = ("_bytes", "_counts", "_given", "_values")

    def __init__(self, region: Region[Any] | str, field: str, /, *, name: str = "queue") -> None:
        self._region = region_name(region)
        self._name = name
        place = number_field(self._layout(), field)
        self._bytes: Callable[[Any], bytes] = field_codec(place, {})
        self._given = 0
        given = _GIVEN.pack(place.offset, place.element)
        with bpf.loaded(*bpf.ready_made("queue"), "queue", given) as loaded:
            self._add(loaded.fd)
            self._values = FileIO(os.dup(loaded.map_fd("values")))
            self._counts = FileIO(os.dup(loaded.map_fd(".bss")))

    @classmethod
    def of(cls, region: Region[Any] | str, name: str) -> NoReturn:
        """Raise TypeError: only the object that made a queue can fill it. See Task.of()."""
        raise TypeError(
            f"{region_name(region)}: only the rtshm.Queue that made {name!r} can put values "
            f"into it; rtshm.Task.of() can look at it and remove it"
        )

    def put(self, values: Iterable[Any], timeout: Timeout = None) -> None:
        """Put values at the end, and wait for room while the queue is full.

        Raises TimeoutError if that takes longer than `timeout`, which is for all values;
        the message has how many were put. What the field does not take raises as
        Region.update() does; the values before it are in the queue then. Raises OSError if
        the task was removed while it waits.
        """
        until = deadline(seconds(timeout))
        before = self._given
        push = bpf.pusher(self._values.fileno())
        for value in values:
            number = int.from_bytes(self._bytes(value), sys.byteorder)
            while not push(number):
                if until is not None and time.monotonic() >= until:
                    raise TimeoutError(
                        f"{self!r}: full with {DEPTH} values; {self._given - before} were put, "
                        "put the others later"
                    )
                self._look()
            self._given += 1

    def drain(self, timeout: Timeout = None) -> None:
        """Wait until a tick has stored the last value.

        Raises TimeoutError after `timeout`, OSError if the task was removed.
        """
        until = deadline(seconds(timeout))
        while self.counts.taken < self._given:
            if until is not None and time.monotonic() >= until:
                raise TimeoutError(f"{self!r}: there are values in it")
            self._look()

    @property
    def counts(self) -> Counts:
        """The numbers of values taken and of underruns so far."""
        return Counts(*_COUNTS.unpack(bpf.map_value(self._counts.fileno(), _COUNTS.size)))

    def remove(self) -> None:
        """Remove the task, and the queue with the values that are in it."""
        super().remove()
        self._values.close()
        self._counts.close()

    def _look(self) -> None:
        """Wait a little. Raises OSError if there is no task any more that could take a value."""
        time.sleep(_LOOK)
        # No assertion: Python leaves these out with -O.
        _ = self.info
