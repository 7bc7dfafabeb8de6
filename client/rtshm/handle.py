"""Lifetime of all that holds a descriptor: one way to close, to wait, to fork and to forget it.

Whatever holds the descriptor itself, io.FileIO, mmap or a socket, is an object of C that closes
it when its last reference goes: so an exception at any instant, Control-C too, leaks none.
"""

from __future__ import annotations

import asyncio
import os
import select
import socket
import sys
import threading
import time
import warnings
import weakref
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any, NoReturn, Self

from rtshm.errors import ClosedError

POLL_MAX_MS = 2**31 - 1


class Handle:
    """What holds a descriptor. A context manager; close() may be called twice.

    close() wakes the threads and tasks that wait, which get ClosedError. The
    descriptor itself is closed when the last of them has left. A handle that
    is forgotten is closed with a ResourceWarning.
    """

    __slots__ = ("__weakref__", "_is_open", "_lock", "_users", "_waiters", "_waker")

    _kept_by_fork = False
    """Whether a forked child may go on with its copy; otherwise the copy is closed."""

    def __init__(self) -> None:
        self._is_open = False
        # A signal handler may close what its own thread waits for.
        self._lock = threading.RLock()
        self._users = 0
        self._waker: socket.socket | None = None
        self._waiters: dict[tuple[asyncio.AbstractEventLoop, int], set[asyncio.Future[None]]] = {}

    # What a subclass has to say.

    def _release(self) -> None:
        """Close what there is, as far as it is there; may be called again."""
        raise NotImplementedError

    def _descriptor(self) -> int:
        """Return the descriptor that is read and written."""
        raise NotImplementedError

    def _pollable(self) -> int:
        """Return the descriptor that waits are for."""
        return self._descriptor()

    def _opened(self) -> None:
        """Note that all is there: the last step of __init__()."""
        _handles.add(self)
        self._is_open = True

    # For users.

    @property
    def closed(self) -> bool:
        """Whether close() was called."""
        return not getattr(self, "_is_open", False)

    def fileno(self) -> int:
        """Return the descriptor, for select, poll and event loops."""
        self._check_open()
        return self._pollable()

    def close(self) -> None:
        """Close it; a second call does nothing. Threads and tasks that wait get ClosedError."""
        self._is_open = False
        with self._lock:
            waited_for = self._users
            if waited_for:
                self._wake_up()
        if not waited_for:
            self._release_all()

    def __enter__(self) -> Self:
        self._check_open()
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    def __del__(self) -> None:
        # Without __init__(), or when the interpreter ends, there is nothing to do.
        if self.closed or sys is None or sys.is_finalizing():
            return
        warnings.warn(f"unclosed {self!r}", ResourceWarning, source=self, stacklevel=2)
        self.close()

    def __repr__(self) -> str:
        path = getattr(self, "path", None)
        where = f" {path}" if path else ""
        return f"<rtshm.{type(self).__name__}{where}{' closed' if self.closed else ''}>"

    def __reduce__(self) -> Any:
        raise TypeError(f"{self!r} cannot be copied or pickled; open another one")

    def _check_open(self) -> None:
        if not self._is_open:
            raise ClosedError(f"{self!r}: open it again")

    # Waiting.

    def _wait(self, events: int, until: float | None) -> int:
        """Return what poll(2) reports of the descriptor, 0 at `until` of time.monotonic()."""
        with self._in_use():
            poll = select.poll()
            poll.register(self._pollable(), events)
            # Mostly there is something, and no other descriptor is needed.
            found = poll.poll(0)
            while not found:
                left = None if until is None else (until - time.monotonic()) * 1000
                if left is not None and left <= 0:
                    return 0
                waker = self._get_waker().fileno()
                poll.register(waker, select.POLLIN)
                found = poll.poll(None if left is None else min(left, POLL_MAX_MS))
                self._check_open()
                found = [each for each in found if each[0] != waker]
            return found[0][1]

    async def _wait_async(self, events: int, until: float | None) -> bool:
        """Wait as _wait() does. Return whether there may be something."""
        with self._in_use():
            loop = asyncio.get_running_loop()
            future: asyncio.Future[None] = loop.create_future()
            # A loop has one callback a descriptor: that of its first waiter.
            waiters = self._waiters.setdefault((loop, events), set())
            waiters.add(future)
            fd = self._pollable()
            writes = events == select.POLLOUT
            add = loop.add_writer if writes else loop.add_reader
            try:
                if len(waiters) == 1:
                    add(fd, self._fire, (loop, events))
                left = None if until is None else until - time.monotonic()
                await asyncio.wait([future], timeout=left)
            finally:
                waiters.discard(future)
                if not waiters:
                    self._waiters.pop((loop, events), None)
                    (loop.remove_writer if writes else loop.remove_reader)(fd)
            self._check_open()
            return future.done()

    def _fire(self, key: tuple[asyncio.AbstractEventLoop, int]) -> None:
        for future in list(self._waiters.get(key, ())):
            if not future.done():
                future.set_result(None)

    @contextmanager
    def _in_use(self) -> Iterator[None]:
        """Keep close() from closing the descriptor before this is over."""
        with self._lock:
            self._check_open()
            self._users += 1
        try:
            yield
        finally:
            with self._lock:
                self._users -= 1
                last = not self._users and not self._is_open
            if last:
                self._release_all()

    def _get_waker(self) -> socket.socket:
        """Return what becomes readable, for good, by shutdown(): who waits polls it as well."""
        with self._lock:
            if self._waker is None:
                # An eventfd would be a plain number, which a signal in between could lose.
                self._waker = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
            if not self._is_open:
                self._waker.shutdown(socket.SHUT_RDWR)
            return self._waker

    def _wake_up(self) -> None:
        if self._waker:
            self._waker.shutdown(socket.SHUT_RDWR)
        for key in list(self._waiters):
            # A loop that is closed has no task that waits.
            with suppress(RuntimeError):
                key[0].call_soon_threadsafe(self._fire, key)

    def _release_all(self) -> None:
        self._release()
        if self._waker:
            self._waker.close()

    # Forking.

    def _forked(self) -> None:
        """Begin anew in a forked child, where no thread and no task waits."""
        waker, self._waker = self._waker, None
        if waker:
            waker.close()
        self._lock = threading.RLock()
        self._users = 0
        self._waiters = {}
        if not self._kept_by_fork:
            self._is_open = False
            self._release()


def polled(fd: int, events: int = 0) -> int:
    """Return what poll(2) reports now of a descriptor, without waiting."""
    poll = select.poll()
    poll.register(fd, events)
    return dict(poll.poll(0)).get(fd, 0)


def deadline(timeout: float | None) -> float | None:
    """Return when a timeout of so many seconds ends, by time.monotonic()."""
    return None if timeout is None else time.monotonic() + timeout


def refuse(error: Exception, value: object = None) -> NoReturn:
    """Raise it. With functools.partial(), a function of a value or none that always does."""
    raise error


_handles: weakref.WeakSet[Handle] = weakref.WeakSet()


def _after_fork_in_child() -> None:
    for handle in list(_handles):
        handle._forked()


os.register_at_fork(after_in_child=_after_fork_in_child)
