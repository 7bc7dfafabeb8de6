"""The state of a region: /dev/rtshm/<name>, mapped."""

from __future__ import annotations

import errno
import mmap
import os
import select
import stat
from contextlib import suppress
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn, Self

from rtshm.abi import DEVICES, INT_MAX, INT_MIN, Cell, Word, announced
from rtshm.errors import ClosedError, add_remedy, region_remedy

if TYPE_CHECKING:
    import ctypes
    from collections.abc import Callable

_POLL_MAX_MS = 2**31 - 1


def open(name: str | os.PathLike[str] = "default", *, readonly: bool = False) -> Region:
    """Map the region `name`, or the one whose device node is at a path with a slash in it.

    Raises OSError as the kernel gave it, with a note that says what to do:
    FileNotFoundError (no module or no such region), PermissionError, ...
    """
    path = os.fspath(name)
    return Region(Path(path) if "/" in path else DEVICES / path, readonly=readonly)


class Region:
    """A region's live memory. A context manager; close() may be called twice.

    `some_int` and `ready` are single loads and stores in the shared word.
    Another process, and the kernel, may change them at any time. After a fork
    parent and child share the memory, and each closes its own mapping.
    """

    path: Path
    size: int
    """Bytes."""

    publish: Callable[[int], None]
    """publish(value) stores the value and announces it, in one aligned 8-byte store.

    The next tick takes it and clears `ready`. Raises OverflowError out of the
    range of a C int and TypeError for what is no int, with nothing stored.
    """

    def __init__(self, path: Path, *, readonly: bool = False) -> None:
        self.closed = True
        self.path = path
        self._readonly = readonly
        flags, access = (
            (os.O_RDONLY, mmap.ACCESS_READ) if readonly else (os.O_RDWR, mmap.ACCESS_WRITE)
        )
        try:
            # Before the open, which of another device may already do harm; and after it,
            # should the path be another by then.
            _check_region(os.stat(path))
            self._fd = os.open(path, flags | os.O_CLOEXEC)
            try:
                _check_region(os.fstat(self._fd))
                self.size = os.lseek(self._fd, 0, os.SEEK_END)
                os.lseek(self._fd, 0, os.SEEK_SET)
                self._memory = mmap.mmap(self._fd, self.size, access=access)
            except BaseException:
                os.close(self._fd)
                raise
        except OSError as error:
            add_remedy(error, path, region_remedy(error.errno, path))
            raise
        self.closed = False
        if readonly:
            # ctypes takes no view of memory that it may not write: see `word`.
            self._word = None
            self.publish = _refuser(_read_only, path)
        else:
            self._word = Word.from_buffer(self._memory)
            self.publish = _publisher(Cell.from_buffer(self._memory))

    @property
    def word(self) -> ctypes.Structure:
        """The word, a ctypes structure with some_int and ready.

        It is live, and stays valid when kept past close(); of a region opened
        read-only it is a copy as of now. A store of what is out of range is
        OverflowError, with nothing stored.
        """
        self._check_open()
        return self._word or Word.from_buffer_copy(self._memory)

    @property
    def memory(self) -> memoryview:
        """The live bytes of the whole region, `size` of them; may be kept past close()."""
        self._check_open()
        return memoryview(self._memory)

    @property
    def some_int(self) -> int:
        """The value, a C int. A store does not announce; out of range is OverflowError."""
        return int(self.word.some_int)

    @some_int.setter
    def some_int(self, value: int) -> None:
        self._check_writable()
        self.word.some_int = value

    @property
    def ready(self) -> bool:
        """Whether an announced value waits for a tick to take it."""
        return bool(self.word.ready)

    @ready.setter
    def ready(self, value: bool) -> None:
        self._check_writable()
        self.word.ready = bool(value)

    def wait_taken(self, timeout: float | timedelta | None = None) -> None:
        """Wait until no announcement waits for a tick.

        `timeout` is in seconds or a timedelta, None for ever; 24 days at most.
        Raises TimeoutError when it has passed, and OSError(ENODEV) when the
        region was deleted and no tick will take the announcement.
        """
        if isinstance(timeout, timedelta):
            timeout = timeout.total_seconds()
        poll = select.poll()
        poll.register(self.fileno(), select.POLLOUT)
        found = poll.poll(None if timeout is None else min(max(timeout, 0) * 1000, _POLL_MAX_MS))
        if not found:
            raise TimeoutError(f"{self.path}: no tick took the value within {timeout} s")
        if found[0][1] & select.POLLHUP and self.ready:
            error = OSError(errno.ENODEV, os.strerror(errno.ENODEV))
            add_remedy(error, self.path, "the region was deleted: no tick will take the value")
            raise error

    def fileno(self) -> int:
        """The descriptor, for select, poll and asyncio: writable when no announcement waits.

        A region that was deleted hangs up: poll says POLLHUP, and asyncio's
        add_writer() calls back, again and again until remove_writer(), with
        `ready` maybe still set.
        """
        self._check_open()
        return self._fd

    def close(self) -> None:
        """Unmap and close. With a view of the memory alive, the last of them unmaps."""
        if self.closed:
            return
        self.closed = True
        self._word = None
        self.publish = _refuser(_closed, self.path)
        # A view that somebody kept holds the mapping, which goes with the last of them.
        with suppress(BufferError):
            self._memory.close()
        del self._memory
        os.close(self._fd)

    def __enter__(self) -> Self:
        self._check_open()
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    def __del__(self) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"<rtshm.Region {self.path}{' closed' if self.closed else ''}>"

    def _check_open(self) -> None:
        if self.closed:
            raise _closed(self.path)

    def _check_writable(self) -> None:
        self._check_open()
        if self._readonly:
            raise _read_only(self.path)


def _check_region(status: os.stat_result) -> None:
    """Only the module's own devices are regions: anything else is not to be written to."""
    device = f"{os.major(status.st_rdev)}:{os.minor(status.st_rdev)}"
    subsystem = Path("/sys/dev/char", device, "subsystem")
    if not stat.S_ISCHR(status.st_mode) or subsystem.resolve().name != "rtshm":
        raise OSError(errno.ENODEV, os.strerror(errno.ENODEV))


def _closed(path: Path) -> ClosedError:
    return ClosedError(f"{path}: the region is closed; open it again")


def _read_only(path: Path) -> PermissionError:
    return PermissionError(errno.EACCES, "opened read-only", str(path))


def _refuser(error: Callable[[Path], Exception], path: Path) -> Callable[[int], NoReturn]:
    """A publish() that refuses. No method of the region, which would hold itself by it."""

    def refuse(value: int) -> NoReturn:
        raise error(path)

    return refuse


def _out_of_range(value: object) -> OverflowError:
    return OverflowError(f"{value} is not a C int; give {INT_MIN} to {INT_MAX}")


def _publisher(cell: ctypes.c_int64) -> Callable[[int], None]:
    """Region.publish for one mapping: bench/publish.py has what other ways cost.

    The words that announce 0, 1, 2, ... are consecutive numbers, and so are
    those that announce ..., -2, -1: one addition makes a word of a value.
    value >> 31 is 0 for the first and -1 for the second, and something else
    for what is no C int.
    """
    from_zero = announced(0)
    below_zero = announced(-1) + 1

    def publish(value: int) -> None:
        if not value >> 31:
            cell.value = value + from_zero
        elif value >> 31 == -1:
            cell.value = value + below_zero
        else:
            raise _out_of_range(value)

    return publish
