"""The history of a region: /dev/rtshm/<name>.samples, a sample a tick."""

from __future__ import annotations

import asyncio
import errno
import fcntl
import os
import select
import struct
from collections import deque
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Self

from rtshm.abi import LAYOUT_OFFSET, WORD
from rtshm.errors import ClosedError, add_remedy, samples_remedy
from rtshm.layout import Layout
from rtshm.paths import DEVICES

if TYPE_CHECKING:
    import numpy
    from _typeshed import WriteableBuffer

# struct rtshm_sample of <linux/rtshm.h>, without the record, which is at the end.
HEADER = struct.Struct("=QQQII")
ANNOUNCED = 1

# struct rtshm_watermark, and _IOW('r', 0x80, struct rtshm_watermark).
_WATERMARK = struct.Struct("=IIQ")
_IOC_WATERMARK = 1 << 30 | _WATERMARK.size << 16 | ord("r") << 8 | 0x80

_READ_BYTES = 1 << 16


@dataclass(frozen=True, slots=True)
class Sample:
    """What one tick saw of a region."""

    tick: int
    """From 1."""
    time_ns: int
    """CLOCK_MONOTONIC when the tick ran, in ns."""
    lateness_ns: int
    """From when the tick was due until it ran, in ns."""
    announced: bool
    """Whether the tick took an announcement."""
    missed: int
    """Periods without a tick of their own since the tick before."""
    record: bytes
    """The first bytes of the region, the word first; RegionInfo.record_bytes of them."""

    @property
    def some_int(self) -> int:
        """The value of the word in the record, a C int."""
        value: int = WORD.unpack_from(self.record)[0]
        return value


class Samples:
    """A reader of a region's history: an iterator, an async iterator, a context manager.

    Begins with the next sample, or with the oldest that is kept. Each reader
    has a position of its own. One that is too slow goes on with the oldest
    kept, and `lost` counts what it has not seen: the gaps in `tick`. Iteration
    ends when the region is deleted, after the last sample.

    It is woken when `watermark` samples are there, half of the depth at most,
    or at the first tick `wait` later (seconds or a timedelta; None: however
    long it takes).

    Raises OSError: FileNotFoundError if there is no such region or it records
    nothing, with a note that says what to do; ClosedError after close().
    """

    def __init__(
        self,
        name: str = "default",
        *,
        oldest: bool = False,
        watermark: int = 1,
        wait: float | timedelta | None = None,
    ) -> None:
        from rtshm.control import Control

        self.closed = True
        self.path = DEVICES / f"{name}.samples"
        if isinstance(wait, timedelta):
            wait = wait.total_seconds()
        try:
            self._fd = os.open(self.path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        except OSError as error:
            add_remedy(error, self.path, samples_remedy(error.errno, name))
            raise
        self.closed = False
        try:
            # It is open: neither depth nor record change any more.
            with Control() as control:
                info = control.get(name)
            # The number of the node is not another's for as long as it is open here.
            gone = os.stat(self.path).st_rdev != os.fstat(self._fd).st_rdev
            if gone or info.sample_bytes is None:
                raise OSError(errno.ENODEV, "the region was deleted meanwhile", str(self.path))
            self.sample_bytes = info.sample_bytes
            """Bytes of a sample, the header's included."""
            self.record_bytes = info.record_bytes
            self.info = info
            """The region as it was when the samples were opened."""
            if oldest:
                os.lseek(self._fd, 0, os.SEEK_SET)
            wait_ns = round((wait or 0) * 1e9)
            fcntl.ioctl(self._fd, _IOC_WATERMARK, _WATERMARK.pack(watermark, 0, wait_ns))
        except BaseException:
            self.close()
            raise
        self.lost = 0
        """Samples that were overwritten before this reader came to them."""
        self._last: int | None = None
        self._read: deque[Sample] = deque()
        self._dtype: numpy.dtype[numpy.void] | None = None

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> Sample:
        if not self._read:
            room = bytearray(self._room())
            self._split(memoryview(room)[: self._wait_read(room)])
        if not self._read:
            raise StopIteration
        return self._read.popleft()

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Sample:
        if not self._read:
            room = bytearray(self._room())
            while (done := self._try_read(room)) is None:
                await _readable(self.fileno())
            self._split(memoryview(room)[:done])
        if not self._read:
            raise StopAsyncIteration
        return self._read.popleft()

    def read_array(
        self, most: int, *, wait: bool = True
    ) -> numpy.ndarray[Any, numpy.dtype[numpy.void]]:
        """Up to `most` samples, at least one but at the end, as a numpy structured array.

        Its shape is (n,), with n no more than `most`. Its fields are those of
        Sample, `flags` (1: announced) among them, then some_int and ready of
        the word, then the fields of the region's layout that lie wholly within
        the record. Waits as an iteration does; without `wait`, it is what is
        there, maybe nothing, whatever the watermark.
        Raises ImportError if there is no numpy, ClosedError after close().
        """
        dtype = self.dtype
        import numpy

        array = numpy.empty(most, dtype)
        room = array.view(numpy.uint8).data
        done = (self._wait_read(room) if wait else self._read_now(room)) // self.sample_bytes
        if done:
            self._count(int(array["tick"][0]), int(array["tick"][done - 1]))
        return array[:done]

    @property
    def dtype(self) -> numpy.dtype[numpy.void]:
        """Of an element of read_array(): sample_bytes large, the fields at their offsets."""
        if self._dtype is None:
            layout = None
            if self.info.layout and self.record_bytes > LAYOUT_OFFSET:
                layout = Layout.from_text(self.info.layout)
            self._dtype = sample_dtype(self.sample_bytes, self.record_bytes, layout)
        return self._dtype

    def fileno(self) -> int:
        """The descriptor, which does not block, for select and poll.

        Readable as the watermark says, or at the end.
        """
        if self.closed:
            raise ClosedError(f"{self.path}: the samples are closed; open them again")
        return self._fd

    def close(self) -> None:
        """Let the history go; twice is as good. A thread that waits is not woken."""
        if not self.closed:
            self.closed = True
            os.close(self._fd)

    def __enter__(self) -> Self:
        self.fileno()
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    def __del__(self) -> None:
        self.close()

    def _room(self) -> int:
        return max(_READ_BYTES // self.sample_bytes, 1) * self.sample_bytes

    def _try_read(self, room: WriteableBuffer, wait_ms: int | None = 0) -> int | None:
        """Bytes read, 0 at the end; None if the watermark is not reached in that time."""
        poll = select.poll()
        poll.register(self.fileno(), select.POLLIN)
        if not poll.poll(wait_ms):
            return None
        try:
            # Another thread may have closed it, and the number be another file's.
            return os.readv(self.fileno(), [room])
        except BlockingIOError:
            return None

    def _read_now(self, room: WriteableBuffer) -> int:
        try:
            return os.readv(self.fileno(), [room])
        except BlockingIOError:
            return 0

    def _wait_read(self, room: WriteableBuffer) -> int:
        while (done := self._try_read(room, wait_ms=None)) is None:
            pass
        return done

    def _split(self, data: memoryview) -> None:
        samples = []
        begin = self.sample_bytes - self.record_bytes
        for at in range(0, len(data), self.sample_bytes):
            tick, time_ns, lateness_ns, flags, missed = HEADER.unpack_from(data, at)
            record = bytes(data[at + begin : at + self.sample_bytes])
            announced = bool(flags & ANNOUNCED)
            samples.append(Sample(tick, time_ns, lateness_ns, announced, missed, record))
        if samples:
            self._count(samples[0].tick, samples[-1].tick)
            self._read.extend(samples)

    def _count(self, first: int, last: int) -> None:
        """What was lost lies between two reads: the kernel ends one where it begins."""
        if self._last is not None:
            self.lost += first - self._last - 1
        self._last = last


def sample_dtype(
    sample_bytes: int, record_bytes: int, layout: Layout | None
) -> numpy.dtype[numpy.void]:
    """A sample as an element of an array: see Samples.read_array()."""
    try:
        import numpy
    except ImportError as error:
        raise ImportError("an array takes numpy: pip install 'rtshm[numpy]'") from error

    record = sample_bytes - record_bytes
    fields: dict[str, tuple[Any, int]] = {
        "tick": ("u8", 0),
        "time_ns": ("u8", 8),
        "lateness_ns": ("u8", 16),
        "flags": ("u4", 24),
        "missed": ("u4", 28),
        "some_int": ("i4", record),
        "ready": ("u1", record + 4),
    }
    if layout is not None:
        header = set(fields)
        taken = header | {field.name for field in layout.fields}
        for field in layout.fields:
            if LAYOUT_OFFSET + field.offset + field.size <= record_bytes:
                # A field of one of these names has an underscore behind it, or more.
                name = field.name
                while name in (taken if field.name in header else ()):
                    name += "_"
                inner = layout.dtype.fields
                assert inner is not None
                fields[name] = (inner[field.name][0], record + LAYOUT_OFFSET + field.offset)
    made: numpy.dtype[numpy.void] = numpy.dtype(
        {
            "names": list(fields),
            "formats": [format for format, _ in fields.values()],
            "offsets": [offset for _, offset in fields.values()],
            "itemsize": sample_bytes,
        }
    )
    return made


async def _readable(fd: int) -> None:
    loop = asyncio.get_running_loop()
    waiter: asyncio.Future[None] = loop.create_future()

    def wake() -> None:
        if not waiter.done():
            waiter.set_result(None)

    loop.add_reader(fd, wake)
    try:
        await waiter
    finally:
        loop.remove_reader(fd)
