"""A region without the kernel module, for the unit tests of programs that use one::

    import rtshm.testing

    def test_controller_follows_the_target() -> None:
        def plant(view):                        # in place of the task in the kernel
            view.speed += (view.target - view.speed) / 4

        with rtshm.testing.region(Motor, task=plant, ticking=False) as motor:
            motor.update(target=8.0, announce=True)
            motor.tick(20)
            assert motor.view.speed > 7.9

The memory is a memfd, and a thread of this process makes the ticks, or `tick()`
does. The objects are a Region and a Samples, so a program that is given a Region
works on it as it is: fields, publish(), wait_taken(), history, asyncio, closing and
errors are the library's own.

What it is not: a test of timing, since a thread of Python ticks late and misses
periods; atomic for other processes, since a store through the mapping and a tick are
ordered by Python alone; open to other processes, or to open(), Control and the
command, which know regions of the module only. Nothing is printed in the kernel log.
"""

from __future__ import annotations

import errno
import itertools
import mmap
import os
import socket
import threading
import time
import weakref
from collections import deque
from collections.abc import Callable, Mapping
from contextlib import suppress
from functools import partial
from io import FileIO
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

from rtshm.abi import LAYOUT_OFFSET
from rtshm.device import KICKLESS, NodeInfo
from rtshm.durations import period_nanoseconds, with_unit
from rtshm.errors import RefusedError, RegionNotFoundError, deleted, refused, replaced
from rtshm.layout import as_layout, check_fits
from rtshm.region import Region, T, Word
from rtshm.samples import ANNOUNCED, HEADER, Reader, Samples, wait_ns_of, watermark_of

if TYPE_CHECKING:
    from typing import SupportsIndex

    from rtshm.control import RegionInfo
    from rtshm.durations import Duration, Timeout
    from rtshm.layout import Declared, Layout

_ids = itertools.count(1)


def region(
    layout: Declared | type[T] | None = None,
    *,
    name: str = "test",
    size: int = mmap.PAGESIZE,
    period: Duration = "1ms",
    history: int = 0,
    task: Callable[[T], object] | None = None,
    ticking: bool = True,
) -> LocalRegion[T]:
    """Make a region in this process: see the module's own help for what it is not.

    `layout`, `size`, `period` and `history` are those of rtshm.create(). Each
    tick calls `task` with the live view, after it took the announcement and
    before it keeps the sample. A task that raises deletes the region. Without
    `ticking`, LocalRegion.tick() makes the ticks and no time passes between.

    >>> with region("speed:f64", history=8, ticking=False) as motor:
    ...     motor.write({"speed": 3.0}, announce=True)
    ...     samples = motor.samples()
    ...     motor.tick()
    ...     motor.ready, next(samples)["speed"]
    ...     samples.close()
    1
    (False, 3.0)
    """
    declared = None if layout is None else as_layout(layout)
    with_unit("period", period)
    return LocalRegion(
        _Ticker(name, declared, size, period_nanoseconds(period), history, task), ticking
    )


class LocalRegion(Region[T]):
    """A Region in this process: what region() returns."""

    __slots__ = ("_ticker",)
    _kept_by_fork = False

    def __init__(self, ticker: _Ticker, ticking: bool) -> None:
        self._ticker = ticker
        super().__init__(f"/proc/self/fd/{ticker.file.fileno()}")
        if ticker.layout:
            self._declare(ticker.layout, by_name=False)
        if ticking and ticker.node.period_ns:
            ticker.start()

    def _open(self, path: Path) -> tuple[FileIO, NodeInfo]:
        return self._ticker.file, self._ticker.node

    def _map(self, fd: int, size: int, offset: int = 0) -> None:
        super()._map(fd, size, offset)
        ticker, store = self._ticker, self.publish

        def publish(value: SupportsIndex) -> None:
            with ticker.lock:
                store(value)

        self.publish = publish

    def tick(self, count: int = 1) -> None:
        """Tick so often, a period after one another, of a region made without `ticking`."""
        self._check_open()
        self._ticker.tick(count)

    def kick(self) -> None:
        """Tick once, of a region made with the period "none": see Region.kick()."""
        self._check_writable()
        if self.deleted:
            raise deleted(self.path, "nothing ticks it any more")
        if self._ticker.node.period_ns:
            raise refused(OSError(errno.EINVAL, os.strerror(errno.EINVAL)), self.path, KICKLESS)
        self._ticker.tick(1)

    def delete(self) -> None:
        """Delete the region, as Control.delete() does."""
        self._ticker.stop()

    @property
    def info(self) -> RegionInfo:
        """The region's settings and counters as of now."""
        self._check_open()
        return self._ticker.info()

    def write(self, values: T | Mapping[str, Any], *, announce: bool = False) -> int | None:
        """Store all fields at once: see Region.write()."""
        with self._ticker.lock:
            return super().write(values, announce=announce)

    def update(self, /, *, announce: bool = False, **values: Any) -> int | None:
        """Store several fields at once: see Region.update()."""
        with self._ticker.lock:
            return super().update(announce=announce, **values)

    def samples(self, *, oldest: bool = False, watermark: int = 1, wait: Timeout = None) -> Samples:
        """Open the history of the region: see Samples."""
        self._check_open()
        return LocalSamples(self._ticker, oldest, watermark, wait)

    def _pollable(self) -> int:
        self._ticker.show()
        return self._ticker.waited_for.fileno()

    def _release(self) -> None:
        self._ticker.stop()
        super()._release()
        self._ticker.waited_for.close()

    def __reduce__(self) -> NoReturn:
        raise TypeError(f"{self!r} cannot be copied or pickled: it is of this process only")

    def __repr__(self) -> str:
        name = self._ticker.node.name
        return f"<rtshm.testing.LocalRegion {name}{' closed' if self.closed else ''}>"


class LocalSamples(Samples):
    """A Samples of a LocalRegion: what its samples() returns."""

    __slots__ = (
        *("_far_end", "_position", "_shown", "_since_ns", "_ticker", "_wait_ns", "_watermark"),
    )

    def __init__(self, ticker: _Ticker, oldest: bool, watermark: int, wait: Timeout) -> None:
        Reader.__init__(self)
        node, history = ticker.node, ticker.ring.maxlen or 0
        if not history or ticker.stopped:
            why = "the region was deleted" if ticker.stopped else "the region keeps no history"
            raise RegionNotFoundError(errno.ENOENT, why, node.name, "give region() a history")
        self._watermark, self._wait_ns = watermark_of(watermark), wait_ns_of(wait)
        if watermark > max(history // 2, 1):
            why = f"the watermark of {watermark} is more than half of the history"
            raise RefusedError(errno.ERANGE, why, node.name)
        self.path, self.name, self.id = Path(node.name), node.name, node.id
        self.period_ns = node.period_ns
        self._ticker = ticker
        self._since_ns = time.monotonic_ns()
        # What select() and poll() see: a byte is there when there is enough to read.
        own, self._far_end = socket.socketpair()
        self._begin(FileIO(own.detach(), "rb"), node.sample_bytes, ticker.layout)
        self._shown = False
        with ticker.lock:
            self._position = ticker.ticks - (len(ticker.ring) if oldest else 0)
            ticker.readers.add(self)
            self._show()
        self._opened()

    @property
    def info(self) -> RegionInfo:
        """The region's settings and counters as of now."""
        self._check_open()
        return self._ticker.info()

    def _show(self) -> None:
        """Become readable when there is as much as this reader is woken for. The lock is held."""
        if self._ticker.stopped:
            self._far_end.close()
        elif (enough := self._is_enough()) is not self._shown:
            self._shown = enough
            if enough:
                self._far_end.send(b"\0")
            else:
                os.read(self._descriptor(), 1)

    def _is_enough(self) -> bool:
        there = self._ticker.ticks - self._position
        overdue = self._wait_ns and time.monotonic_ns() >= self._since_ns + self._wait_ns
        return there >= self._watermark or bool(there and overdue)

    def _read_now(self, room: memoryview, *, whole: bool) -> int | None:
        with self._in_use(), self._ticker.lock:
            ticker = self._ticker
            if not (whole or ticker.stopped or self._is_enough()):
                return None
            there = min(ticker.ticks - self._position, len(ticker.ring))
            count = min(there, len(room) // self.sample_bytes)
            if not count:
                return 0 if ticker.stopped else None
            first = len(ticker.ring) - there
            data = b"".join(itertools.islice(ticker.ring, first, first + count))
            room[: len(data)] = data
            self._position = ticker.ticks - there + count
            self._since_ns = time.monotonic_ns()
            self._show()
            return len(data)

    def _release(self) -> None:
        with self._ticker.lock:
            self._ticker.readers.discard(self)
            super()._release()
            self._far_end.close()


class _Ticker:
    """The memory of a region and its history, and what a tick does."""

    def __init__(
        self,
        name: str,
        layout: Layout | None,
        size: int,
        period_ns: int,
        history: int,
        task: Callable[[Any], object] | None,
    ) -> None:
        if size <= 0 or size % mmap.PAGESIZE or period_ns < 0 or history < 0:
            raise ValueError(
                f"{name}: size {size}, period {period_ns} ns, history {history}; give a multiple "
                f"of {mmap.PAGESIZE} bytes, no negative period and a history of 0 samples or more"
            )
        if layout:
            check_fits(name, layout, size)
        self.layout = layout
        self.file = FileIO(os.memfd_create(name), "r+b")
        self.file.truncate(size)
        self._memory = mmap.mmap(self.file.fileno(), size)
        self._word: Any = Word.from_buffer(self._memory)
        text, whole = (layout.text, LAYOUT_OFFSET + layout.size) if layout else ("", LAYOUT_OFFSET)
        self._record_bytes = min(-(-whole // 8) * 8, mmap.PAGESIZE)
        sample_bytes = HEADER.size + self._record_bytes if history else 0
        self.node = NodeInfo(name, next(_ids), sample_bytes, size, period_ns, text)
        view = layout.ctypes.from_buffer(self._memory, LAYOUT_OFFSET) if layout else None
        self._task = partial(task, view) if task else None
        # Reentrant: a task may publish, and close what it was made for.
        self.lock = threading.RLock()
        self.ring: deque[bytes] = deque(maxlen=history)
        self.readers: weakref.WeakSet[LocalSamples] = weakref.WeakSet()
        self.ticks = self._missed = self._published = self._lateness_sum = 0
        self._lateness_min = self._lateness_max = 0
        self._histogram = [0] * 32
        self._time_ns = time.monotonic_ns()
        self._thread: threading.Thread | None = None
        self._end = threading.Event()
        # What select() and poll() see: writable while no announcement waits, then hung up.
        self.waited_for, self._far_end = socket.socketpair()
        self.waited_for.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1)
        for each in (self.waited_for, self._far_end):
            each.setblocking(False)
        self._is_full = False

    @property
    def stopped(self) -> bool:
        return self._end.is_set()

    def start(self) -> None:
        self._thread = threading.Thread(
            target=self._run, name=f"rtshm/{self.node.name}", daemon=True
        )
        self._thread.start()

    def stop(self) -> None:
        """Delete the region. It does not wait for the thread, which may be the caller's own."""
        with self.lock:
            self._end.set()
            self._far_end.close()
            for reader in list(self.readers):
                reader._show()

    def tick(self, count: int) -> None:
        if self._thread:
            raise RuntimeError(f"{self.node.name}: a thread ticks; give region() ticking=False")
        for _ in range(count):
            period_ns = self.node.period_ns
            self._time_ns = self._time_ns + period_ns if period_ns else time.monotonic_ns()
            self._tick(self._time_ns, 0, 0)

    def show(self) -> None:
        """Be writable for poll(2) while no announcement waits."""
        with self.lock:
            waits = bool(self._word.ready)
            if self.stopped or waits is self._is_full:
                return
            self._is_full = waits
            with suppress(BlockingIOError):
                while True:
                    if waits:
                        self.waited_for.send(bytes(4096))
                    else:
                        self._far_end.recv(1 << 16)

    def info(self) -> RegionInfo:
        from rtshm.control import Counters, PrintMode, RegionInfo

        node = self.node
        if self.stopped:
            raise replaced(node.name)
        with self.lock:
            counters = Counters(
                ticks=self.ticks, missed=self._missed, published=self._published,
                lateness_min_ns=self._lateness_min, lateness_max_ns=self._lateness_max,
                lateness_sum_ns=self._lateness_sum, lateness_histogram=tuple(self._histogram),
            )  # fmt: skip
            return RegionInfo(
                name=node.name, id=node.id, size=node.size, period_ns=node.period_ns,
                print=PrintMode.OFF, history=self.ring.maxlen or 0,
                record_bytes=self._record_bytes, layout=node.layout, mode=0o600,
                uid=os.getuid(), gid=os.getgid(), cpu=None, users=1, counters=counters,
                sample_bytes=node.sample_bytes or None,
            )  # fmt: skip

    def _run(self) -> None:
        period, due = self.node.period_ns, time.monotonic_ns()
        try:
            while not self._end.wait(max(due - time.monotonic_ns(), 0) / 1e9):
                now = time.monotonic_ns()
                missed = max(now - due, 0) // period
                due += missed * period
                self._tick(now, max(now - due, 0), missed)
                due += period
        finally:
            # A task raised.
            self.stop()

    def _tick(self, time_ns: int, lateness_ns: int, missed: int) -> None:
        with self.lock:
            if self.stopped:
                return
            announced = bool(self._word.ready)
            if announced:
                self._word.ready = 0
            if self._task:
                self._task()
            self._lateness_min = min(self._lateness_min if self.ticks else lateness_ns, lateness_ns)
            self._lateness_max = max(self._lateness_max, lateness_ns)
            self._lateness_sum += lateness_ns
            self._histogram[min(max(lateness_ns.bit_length() - 1, 0), 31)] += 1
            self.ticks += 1
            self._missed += missed
            self._published += announced
            flags = ANNOUNCED if announced else 0
            header = HEADER.pack(self.ticks, time_ns, lateness_ns, flags, missed)
            self.ring.append(header + self._memory[: self._record_bytes])
            self.show()
            for reader in list(self.readers):
                reader._show()
