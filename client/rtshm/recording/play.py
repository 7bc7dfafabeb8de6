"""A recording written back into a region, each sample at its time."""

from __future__ import annotations

import os
import select
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from rtshm.abi import LAYOUT_OFFSET
from rtshm.atomic import ATOMIC_MAX
from rtshm.errors import LayoutError, need
from rtshm.samples import ANNOUNCED, HEADER

if TYPE_CHECKING:
    from collections.abc import Callable

    from rtshm.recording import Recording
    from rtshm.region import Region

# Samples whose bytes are made at a time.
_PART = 1 << 12
# Seconds between two looks whether it is to stop, or the region is gone.
_LOOK = 0.1


@dataclass(frozen=True, slots=True)
class Played:
    """What was played."""

    written: int
    """Samples."""
    lateness_max_ns: int
    """From when a sample was due until its write began, of the latest."""
    deleted: bool
    """Whether the region was deleted meanwhile, which ended it."""


def play(
    recording: Recording,
    region: Region,
    *,
    speed: float = 1.0,
    loop: bool = False,
    stopped: Callable[[], bool] = lambda: False,
) -> Played:
    """Write each sample's record into the region, as long after the first as it was recorded.

    One pwrite(2) a sample: of a sample that took an announcement the word,
    which announces, and the fields; of another the fields alone, and some_int
    by a store of its own if it is another than before. Late writes catch up.
    `speed` 2 is twice as fast; `loop` begins again, one period after the last
    sample; `stopped` is asked ten times a second.

    Raises LayoutError if the region has another layout than was recorded, or
    the record more than the page that is written in one step.
    """
    need("numpy", "a recording", "record")
    import numpy

    array, conditions = recording.array, recording.conditions
    if conditions.record_bytes > ATOMIC_MAX:
        raise LayoutError(
            f"{region.path}: the recording has {conditions.record_bytes} bytes of each tick, and "
            f"{ATOMIC_MAX} are written in one step"
        )
    assert array.dtype.fields
    begin = HEADER.size
    # The fields without the header, at their places in the region.
    fields = {
        name: (inner, offset - begin)
        for name, (inner, offset, *_) in array.dtype.fields.items()
        if offset >= begin
    }
    end = max(offset + inner.itemsize for inner, offset in fields.values())
    dtype = numpy.dtype(
        {
            "names": list(fields),
            "formats": [inner for inner, _ in fields.values()],
            "offsets": [offset for _, offset in fields.values()],
            "itemsize": max(end, LAYOUT_OFFSET),
        }
    )
    player = _Player(region, stopped)
    if not len(array):
        return player.played()
    first_ns = int(array["time_ns"][0])
    span_ns = int(array["time_ns"][-1]) - first_ns + conditions.period_ns
    start_ns = time.monotonic_ns()
    going = True
    while going:
        for at in range(0, len(array), _PART):
            part = array[at : at + _PART]
            records = numpy.zeros(len(part), dtype)
            for name in fields:
                records[name] = part[name]
            announced = part["flags"] & ANNOUNCED
            # What is announced is what its tick took, whoever cleared it since.
            records["ready"] = announced
            data = records.view(numpy.uint8).data
            size = dtype.itemsize
            times = (part["time_ns"] - numpy.uint64(first_ns)).tolist()
            for index, (time_ns, flag, value) in enumerate(
                zip(times, announced.tolist(), part["some_int"].tolist(), strict=True)
            ):
                due_ns = start_ns + round(time_ns / speed)
                going = player.write(
                    due_ns, data[index * size : (index + 1) * size], bool(flag), value
                )
                if not going:
                    return player.played()
        start_ns += round(span_ns / speed)
        going = loop
    return player.played()


class _Player:
    def __init__(self, region: Region, stopped: Callable[[], bool]) -> None:
        self._region = region
        self._fd = region.fileno()
        self._stopped = stopped
        self._poll = select.poll()
        # For no event: it says POLLHUP nevertheless.
        self._poll.register(self._fd, 0)
        self._look_ns = 0
        self._written = self._late_ns = 0
        self._deleted = False
        self._value: int | None = None

    def write(self, due_ns: int, record: memoryview, announce: bool, value: int) -> bool:
        """Write a record at its time; False if it is over before that."""
        while True:
            now_ns = time.monotonic_ns()
            if now_ns >= self._look_ns:
                self._deleted = bool(self._poll.poll(0))
                if self._deleted or self._stopped():
                    return False
                self._look_ns = now_ns + round(_LOOK * 1e9)
            if now_ns >= due_ns:
                break
            # To an absolute time, as time.sleep() makes it, so that nothing adds up.
            time.sleep(min((due_ns - now_ns) / 1e9, _LOOK))
        self._late_ns = max(self._late_ns, now_ns - due_ns)
        if announce:
            os.pwrite(self._fd, record, 0)
        else:
            if len(record) > LAYOUT_OFFSET:
                os.pwrite(self._fd, record[LAYOUT_OFFSET:], LAYOUT_OFFSET)
            # Not with the flag beside it: an announcement may wait to be taken.
            if value != self._value:
                self._region.some_int = value
        self._value = value
        self._written += 1
        return True

    def played(self) -> Played:
        return Played(self._written, self._late_ns, self._deleted)
