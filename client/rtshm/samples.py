"""The history of a region: /dev/rtshm/<name>.samples, a sample a tick."""

from __future__ import annotations

import asyncio
import errno
import fcntl
import os
import select
import struct
import threading
import time
from dataclasses import dataclass, field
from io import FileIO
from typing import TYPE_CHECKING, Any, Literal, Self

from rtshm.abi import LAYOUT_OFFSET, WORD
from rtshm.device import SAMPLES, node_info, node_path, open_node
from rtshm.durations import seconds
from rtshm.errors import IncompatibleError, need, refused
from rtshm.handle import Handle, deadline, polled
from rtshm.layout import Layout

if TYPE_CHECKING:
    import numpy

    from rtshm.control import RegionInfo
    from rtshm.durations import Timeout
    from rtshm.layout import Field

# struct rtshm_sample of <linux/rtshm.h>, without the record, which is at the end.
HEADER = struct.Struct("=QQQII")
ANNOUNCED = 1

# struct rtshm_watermark, and _IOW('r', 0x80, struct rtshm_watermark).
_WATERMARK = struct.Struct("=IIQ")
_IOC_WATERMARK = 1 << 30 | _WATERMARK.size << 16 | ord("r") << 8 | 0x80
_U32_MAX = 2**32 - 1

_READ_BYTES = 1 << 16
# For which a task reads on while other tasks wait.
_TURN_SECONDS = 0.001


@dataclass(frozen=True, slots=True)
class Sample:
    """What one tick saw of a region."""

    tick: int
    """Number of the tick, from 1."""
    time_ns: int
    """CLOCK_MONOTONIC when the tick ran, in ns."""
    lateness_ns: int
    """Time from the deadline to the tick, in ns."""
    announced: bool
    """Whether the tick took an announcement."""
    missed: int
    """Periods without a tick of their own since the tick before."""
    record: bytes
    """The first bytes of the region, the word first; RegionInfo.record_bytes of them."""
    _layout: Layout | None = field(default=None, repr=False, compare=False)

    @property
    def some_int(self) -> int:
        """The value of the word in the record, a C int."""
        value: int = WORD.unpack_from(self.record)[0]
        return value

    @property
    def fields(self) -> dict[str, Any]:
        """The fields of the region's layout that lie wholly within the record, by name."""
        if self._layout is None:
            return {}
        return self._layout.parse_part(memoryview(self.record)[LAYOUT_OFFSET:])

    def __getitem__(self, name: str) -> Any:
        """Return a field of the layout."""
        return self.fields[name]

    def __repr__(self) -> str:
        announced = ", announced" if self.announced else ""
        missed = f", {self.missed} missed" if self.missed else ""
        fields = f", {self.fields}" if self._layout else ""
        return (
            f"<rtshm.Sample {self.tick}: {self.lateness_ns} ns late{missed}{announced}, "
            f"some_int {self.some_int}{fields}>"
        )


class Reader(Handle):
    """What reads samples from a descriptor that does not block: each once, and in order.

    next(), read_array(), `async for`, threads and tasks share one buffer and
    one count.
    """

    __slots__ = {
        **dict.fromkeys("_buffer _dtype _file _last _layout _memory _reading _turn_at".split()),
        "lost": "Samples overwritten between those that this reader returned.",
        "record_bytes": "Bytes of the region that a sample keeps.",
        "sample_bytes": "Bytes of a sample, the header's included.",
    }

    lost: int
    record_bytes: int
    sample_bytes: int

    def __init__(self) -> None:
        super().__init__()
        self.lost = 0
        # Bytes of samples that were read and not given yet.
        self._buffer = memoryview(b"")
        self._reading = threading.Lock()
        self._last: int | None = None
        # When other tasks are to have their turn, though there is something in the buffer.
        self._turn_at = 0.0
        self._file: FileIO | None = None
        self._dtype: numpy.dtype[numpy.void] | None = None
        self._memory: numpy.dtype[numpy.void]
        self._layout: Layout | None = None

    def _begin(self, file: FileIO, sample_bytes: int, layout: Layout | None) -> None:
        self._file = file
        self.sample_bytes = sample_bytes
        self.record_bytes = sample_bytes - HEADER.size
        self._layout = layout

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> Sample:
        sample = self.read()
        if sample is None:
            raise StopIteration
        return sample

    def read(self, timeout: Timeout = None) -> Sample | None:
        """Return the next sample, None at the end. Raise TimeoutError after `timeout`."""
        until = deadline(seconds(timeout))
        while (sample := self._next()) is None:
            self._wait_for_more(until)
        return sample or None

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Sample:
        sample = await self.read_async()
        if sample is None:
            raise StopAsyncIteration
        return sample

    async def read_async(self, timeout: Timeout = None) -> Sample | None:
        """Await what read() returns. Any number of tasks may.

        Other tasks of the event loop run at least once in 1 ms of reading.
        """
        until = deadline(seconds(timeout))
        while True:
            if not self._buffer or time.monotonic() >= self._turn_at:
                # Also where there always is something: a whole buffer may take seconds.
                await asyncio.sleep(0)
                self._turn_at = time.monotonic() + _TURN_SECONDS
            sample = self._next()
            if sample is not None:
                return sample or None
            if not await self._wait_async(select.POLLIN, until):
                raise self._timed_out()

    def read_array(
        self, most: int = 65536, *, wait: bool = True, timeout: Timeout = None
    ) -> numpy.ndarray[Any, numpy.dtype[numpy.void]]:
        """Up to `most` samples, at least one but at the end, as a numpy structured array.

        Its shape is (n,), with n no more than `most`. Its fields are those of
        Sample, `flags` (1: announced) among them, then some_int and ready of
        the word, then the fields of the region's layout that lie wholly within
        the record, a q16 as an f8. `tick`, `time_ns` and `lateness_ns` are signed, as
        are their differences. Waits as an iteration does, for `timeout` at most; without
        `wait`, it is what is there, maybe nothing, whatever the watermark.
        Raises ExtraError if there is no numpy, TimeoutError, ClosedError.
        """
        dtype = self.dtype
        import numpy

        from rtshm.layout import fixed

        if not most:
            return numpy.empty(0, dtype)
        array = numpy.empty(most, self._memory)
        room = array.view(numpy.uint8).data
        until = deadline(seconds(timeout))
        while (done := self._take_into(room, whole=not wait)) is None:
            if not wait:
                done = 0
                break
            self._wait_for_more(until)
        array = array[: done // self.sample_bytes]
        return array if dtype is self._memory else fixed.to_floats(array, dtype)

    @property
    def dtype(self) -> numpy.dtype[numpy.void]:
        """Of an element of read_array(): sample_bytes large, the fields at their offsets.

        But if there is a q16 among them, which is an f8 here.
        """
        if self._dtype is None:
            layout = self._layout if self.record_bytes > LAYOUT_OFFSET else None
            self._memory = sample_dtype(self.sample_bytes, self.record_bytes, layout)
            from rtshm.layout import fixed

            self._dtype = fixed.floats(self._memory)
        return self._dtype

    def _next(self) -> Sample | Literal[False] | None:
        """Return the next sample; False at the end, None if nothing is there yet."""
        with self._reading:
            if not self._buffer:
                size = max(_READ_BYTES // self.sample_bytes, 1) * self.sample_bytes
                # Never read into again, since a sample may be taken from it by now.
                room = memoryview(bytearray(size))
                done = self._read_now(room, whole=False)
                if done is None:
                    return None
                if not done:
                    return False
                self._buffer = room[:done]
            data = self._buffer[: self.sample_bytes]
            self._buffer = self._buffer[self.sample_bytes :]
            self._count(data)
        tick, time_ns, lateness_ns, flags, missed = HEADER.unpack_from(data)
        record = bytes(data[self.sample_bytes - self.record_bytes :])
        announced = bool(flags & ANNOUNCED)
        return Sample(tick, time_ns, lateness_ns, announced, missed, record, self._layout)

    def _take_into(self, room: memoryview, *, whole: bool) -> int | None:
        """Fill in what is buffered, or else what one read gives. None if nothing is there yet."""
        with self._reading:
            if self._buffer:
                done = min(len(self._buffer), len(room))
                room[:done] = self._buffer[:done]
                self._buffer = self._buffer[done:]
            else:
                now = self._read_now(room, whole=whole)
                if not now:
                    return now
                done = now
            self._count(room[:done])
            return done

    def _read_now(self, room: memoryview, *, whole: bool) -> int | None:
        """Read once. None if there are fewer than the watermark says; with `whole`, if none."""
        with self._in_use():
            fd = self._descriptor()
            if not whole and not polled(fd, select.POLLIN):
                return None
            try:
                return os.readv(fd, [room])
            except BlockingIOError:
                return None

    def _count(self, data: memoryview) -> None:
        """Count what is lost before and between samples that are given out.

        Not those that are read: what an exception keeps from being given out is lost.
        """
        first: int = HEADER.unpack_from(data)[0]
        last: int = HEADER.unpack_from(data, len(data) - self.sample_bytes)[0]
        before = first - 1 if self._last is None else self._last
        self.lost += last - before - len(data) // self.sample_bytes
        self._last = last

    def _wait_for_more(self, until: float | None) -> None:
        if not self._wait(select.POLLIN, until):
            raise self._timed_out()

    def _timed_out(self) -> TimeoutError:
        return TimeoutError(f"{self!r}: no sample came in time")

    def _descriptor(self) -> int:
        if self._file is None or self._file.closed:
            self._check_open()
            raise AssertionError
        return self._file.fileno()

    def _release(self) -> None:
        if self._file:
            self._file.close()


class Samples(Reader):
    """A reader of a region's history: an iterator, an async iterator, a context manager.

    `name` is a region, or the path of its device node. The reader starts at the next
    sample or, with `oldest`, at the oldest sample still kept. Each reader has its own
    position. A reader that falls behind resumes at the oldest sample still kept, and
    `lost` counts the samples that it missed: the gaps in `tick`, not what was overwritten
    before its first sample. Iteration ends after the last sample of a deleted region.

    A reader that waits is woken when `watermark` samples are unread, at most half of
    the history, or by the first tick that comes `wait` later (seconds, a timedelta, or a
    text such as "50ms"; None: no limit).

    Threads and asyncio tasks may share a reader: each sample goes to one of them.
    close() wakes the waiting ones with ClosedError. In a forked child it is closed.

    Raises OSError: RegionNotFoundError if there is no such region or it has no
    history; ClosedError after close(); ValueError for a watermark or a wait outside of
    the limits.

    >>> with Samples("motor", oldest=True) as samples:
    ...     first = next(samples)
    ...     first["gain"] >= 0, samples.read_array().dtype.names[-2:]
    (True, ('speed', 'gain'))
    """

    __slots__ = {
        "id": "The number of the region.",
        "name": "The name of the region.",
        "path": "The device node.",
        "period_ns": "The period of the region when the samples were opened, in ns.",
    }

    def __init__(
        self,
        name: str | os.PathLike[str] = "default",
        *,
        oldest: bool = False,
        watermark: int = 1,
        wait: Timeout = None,
    ) -> None:
        super().__init__()
        path = node_path(name, SAMPLES)
        self.path = path if path.suffix == SAMPLES else path.with_name(f"{path.name}{SAMPLES}")
        wait_ns = wait_ns_of(wait)
        watermark_of(watermark)
        try:
            self._file = open_node(self.path, readonly=True)
            fd = self._file.fileno()
            os.set_blocking(fd, False)
            node = node_info(fd, self.path)
            self.name, self.id, self.period_ns = node.name, node.id, node.period_ns
            if node.sample_bytes < HEADER.size + WORD.size:
                raise IncompatibleError(errno.EPROTO, "the samples have another form", self.path)
            self._begin(self._file, node.sample_bytes, None)
            if node.layout and self.record_bytes > LAYOUT_OFFSET:
                self._layout = Layout(node.layout)
            if oldest:
                os.lseek(fd, 0, os.SEEK_SET)
            try:
                fcntl.ioctl(fd, _IOC_WATERMARK, _WATERMARK.pack(watermark, 0, wait_ns))
            except OSError as error:
                limit = f"the watermark of {watermark} is more than half of the history"
                remedy = limit if error.errno == errno.ERANGE else None
                raise refused(error, self.path, remedy) from None
        except BaseException:
            self.close()
            raise
        self._opened()

    @property
    def info(self) -> RegionInfo:
        """The region's settings and counters as of now, from the control plane.

        Raises RegionDeletedError if it was deleted.
        """
        from rtshm.control import info_of

        self._check_open()
        return info_of(self.name, self.id, self.path)


def watermark_of(watermark: int) -> int:
    """Return a watermark that a message can carry. Raise TypeError or ValueError for any other."""
    if not isinstance(watermark, int):
        raise TypeError(f"watermark: {watermark!r} is not a number of samples")
    if not 1 <= watermark <= _U32_MAX:
        raise ValueError(f"watermark: {watermark} samples; give 1 to half of the history")
    return watermark


def samples_every(info: RegionInfo, seconds: float) -> Samples:
    """Open the samples of a region, to be woken so often, if samples come as fast."""
    ticks = int(seconds * 1e9 / info.period_ns) if info.period_ns else 1
    watermark = min(max(ticks, 1), max(info.history // 2, 1))
    return Samples(info.name, watermark=watermark, wait=seconds)


def wait_ns_of(wait: Timeout) -> int:
    """Return the wait of a reader in ns. Raise ValueError for what no reader can wait."""
    limit = seconds(wait) or 0
    if not 0 <= limit < 2**63 / 1e9:
        raise ValueError(f"wait: {wait!r}; give 0 s to 292 years")
    return round(limit * 1e9)


# u64 in the kernel, but below 2**63: signed here, so that differences may be negative.
_HEADER = {
    "tick": ("i8", 0), "time_ns": ("i8", 8), "lateness_ns": ("i8", 16), "flags": ("u4", 24),
    "missed": ("u4", 28),
}  # fmt: skip
HEADER_NAMES = (*_HEADER, "some_int", "ready")
"""What samples of all regions have in an array; the fields of the layout follow."""


def shown(layout: Layout | None, record_bytes: int) -> dict[str, Field]:
    """Return the fields that lie wholly within the record by their names in an array.

    A field with a name of HEADER_NAMES has an underscore behind it, or more.
    """
    if layout is None:
        return {}
    taken = {*HEADER_NAMES, *(each.name for each in layout.fields)}
    found = {}
    for each in layout.fields:
        if LAYOUT_OFFSET + each.offset + each.size <= record_bytes:
            name = each.name
            while name in (taken if each.name in HEADER_NAMES else ()):
                name += "_"
            found[name] = each
    return found


def sample_dtype(
    sample_bytes: int, record_bytes: int, layout: Layout | None
) -> numpy.dtype[numpy.void]:
    """A sample as it is in memory, as an element of an array: see Samples.read_array()."""
    need("numpy", "an array", "numpy")
    import numpy

    record = sample_bytes - record_bytes
    word = {"some_int": ("i4", record), "ready": ("u1", record + 4)}
    fields: dict[str, tuple[Any, int]] = {**_HEADER, **word}
    for name, each in shown(layout, record_bytes).items():
        assert layout is not None
        fields[name] = (layout.dtype[each.name], record + LAYOUT_OFFSET + each.offset)
    made: numpy.dtype[numpy.void] = numpy.dtype(
        {
            "names": list(fields),
            "formats": [format for format, _ in fields.values()],
            "offsets": [offset for _, offset in fields.values()],
            "itemsize": sample_bytes,
        }
    )
    return made
