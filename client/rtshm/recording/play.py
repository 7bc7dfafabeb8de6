"""A recording written back into regions, each sample at its time."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

from rtshm.abi import LAYOUT_OFFSET
from rtshm.errors import LayoutError, need
from rtshm.region import ATOMIC_MAX, Region
from rtshm.samples import ANNOUNCED, HEADER

if TYPE_CHECKING:
    from rtshm.recording import Array, Recording

    _Sample: TypeAlias = tuple[int, memoryview, bool, int]

# Samples whose bytes are made at a time.
_PART = 1 << 12
# Seconds between two looks whether it is to stop, or the region is gone.
_LOOK = 0.1


SPEED_MIN, SPEED_MAX = 1e-6, 1e6


@dataclass(frozen=True, slots=True)
class Played:
    """What was played."""

    written: int
    """Samples."""
    lateness_max_ns: int
    """Largest time from the deadline of a sample to its write, in ns."""
    deleted: bool
    """Whether a region was deleted meanwhile, which ended it."""


def check_speed(speed: float | str) -> float:
    """Return the number. ValueError unless one can play that fast."""
    number = float(speed)
    # Also of NaN.
    if not SPEED_MIN <= number <= SPEED_MAX:
        raise ValueError(f"speed {number}: must be between {SPEED_MIN:g} and {SPEED_MAX:g}")
    return number


def play(
    recording: Recording,
    region: Region | Sequence[Region],
    *,
    speed: float = 1.0,
    loop: bool = False,
    stopped: Callable[[], bool] = lambda: False,
) -> Played:
    """Write each sample's record into its region, as long after the first as it was recorded.

    `region` is a region, or of a recording of several one for each, in the
    order of recording.regions. One pwrite(2) a sample: of a sample that took
    an announcement the word, which announces, and the fields; of another the
    fields alone, and some_int by a store of its own if it is another than
    before. Late writes catch up; where samples are lost, the values before
    them are held. `speed` 2 is twice as fast; `loop` begins again, one period
    after the last sample; `stopped` is asked ten times a second.

    Raises ValueError for a speed or for times that one cannot play, and
    LayoutError if a record is more than the page that is written in one step
    or if not all fields were recorded.
    """
    need("numpy", "a recording", "numpy")
    import numpy

    from rtshm.layout.fixed import to_memory
    from rtshm.recording.columns import Rows, memory_dtype

    check_speed(speed)
    regions = list(region) if isinstance(region, Sequence) else [region]
    recordings = [recording[name] for name in recording.regions]
    if len(regions) != len(recordings):
        raise ValueError(f"{len(regions)} regions for {', '.join(recording.regions)}")
    for each in recordings:
        _check(each)
    players = [_Player(each, stopped) for each in regions]
    rows = Rows([(number, each.array) for number, each in enumerate(recordings)])
    if not len(rows.regions):
        return _played(players)
    first_ns = min(int(each.array["time_ns"][0]) for each in recordings if len(each.array))
    last_ns = max(int(each.array["time_ns"][-1]) for each in recordings if len(each.array))
    span_ns = last_ns - first_ns + min(each.conditions.period_ns for each in recordings)
    start_ns = time.monotonic_ns()
    going = True
    while going:
        # A region's samples are in the order of their times: those of a part are one slice.
        begins = [0] * len(recordings)
        for at in range(0, len(rows.regions), _PART):
            which = rows.regions[at : at + _PART]
            samples: list[Iterator[_Sample]] = []
            for number, each in enumerate(recordings):
                end = begins[number] + int(numpy.count_nonzero(which == number))
                part = each.array[begins[number] : end]
                samples.append(_samples(to_memory(part, memory_dtype(each.conditions))))
                begins[number] = end
            for number in which.tolist():
                time_ns, record, announce, value = next(samples[number])
                due_ns = start_ns + round((time_ns - first_ns) / speed)
                if not players[number].write(due_ns, record, announce, value):
                    return _played(players)
        start_ns += round(span_ns / speed)
        going = loop
    return _played(players)


def _check(recording: Recording) -> None:
    import numpy

    conditions, name = recording.conditions, recording.conditions.region
    if conditions.record_bytes > ATOMIC_MAX:
        raise LayoutError(
            f"{name}: the recording has {conditions.record_bytes} bytes of each tick, and "
            f"{ATOMIC_MAX} are written in one step"
        )
    if conditions.fields:
        raise LayoutError(
            f"{name}: only {', '.join(conditions.fields)} of the layout was recorded; "
            "record all fields to play it"
        )
    back = numpy.flatnonzero(numpy.diff(recording.array["time_ns"]) < 0)
    if len(back):
        raise ValueError(f"{name}: the time goes back after sample {back[0] + 1}")


def _samples(array: Array) -> Iterator[_Sample]:
    """Of each sample, as of memory, its time, its record, whether it announced, and some_int."""
    import numpy

    begin = HEADER.size
    # The fields without the header, at their places in the region.
    fields = {
        name: (inner, offset - begin)
        for name, (inner, offset, *_) in (array.dtype.fields or {}).items()
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
    records = numpy.zeros(len(array), dtype)
    for name in fields:
        records[name] = array[name]
    announced = array["flags"] & ANNOUNCED
    # Announce the value that its tick took, even if another tick cleared it since.
    records["ready"] = announced
    data, size = records.view(numpy.uint8).data, dtype.itemsize
    times, values = array["time_ns"].tolist(), array["some_int"].tolist()
    for index, (time_ns, flag, value) in enumerate(
        zip(times, announced.tolist(), values, strict=True)
    ):
        yield time_ns, data[index * size : (index + 1) * size], bool(flag), value


def _played(players: Sequence[_Player]) -> Played:
    return Played(
        sum(player.written for player in players),
        max(player.late_ns for player in players),
        any(player.deleted for player in players),
    )


class _Player:
    def __init__(self, region: Region, stopped: Callable[[], bool]) -> None:
        self._region = region
        self._fd = region.fileno()
        self._stopped = stopped
        self._look_ns = 0
        self.written = self.late_ns = 0
        self.deleted = False
        self._value: int | None = None

    def write(self, due_ns: int, record: memoryview, announce: bool, value: int) -> bool:
        """Write a record at its time; False if it is over before that."""
        while True:
            now_ns = time.monotonic_ns()
            if now_ns >= self._look_ns:
                self.deleted = self._region.deleted
                if self.deleted or self._stopped():
                    return False
                self._look_ns = now_ns + round(_LOOK * 1e9)
            if now_ns >= due_ns:
                break
            # To an absolute time, as time.sleep() makes it, so that nothing adds up.
            time.sleep(min((due_ns - now_ns) / 1e9, _LOOK))
        self.late_ns = max(self.late_ns, now_ns - due_ns)
        if announce:
            os.pwrite(self._fd, record, 0)
        else:
            if len(record) > LAYOUT_OFFSET:
                os.pwrite(self._fd, record[LAYOUT_OFFSET:], LAYOUT_OFFSET)
            # Without the flag next to it: an announcement may wait to be taken.
            if value != self._value:
                self._region.some_int = value
        self._value = value
        self.written += 1
        return True
