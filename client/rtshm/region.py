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
from typing import TYPE_CHECKING, Any, NoReturn, Self, SupportsIndex

from rtshm import atomic
from rtshm.abi import LAYOUT_OFFSET, WORD
from rtshm.errors import ClosedError, LayoutError, add_remedy, region_remedy
from rtshm.layout import Layout, as_layout
from rtshm.layout.fields import Field, Kind
from rtshm.layout.view import ReadOnlyView, structure
from rtshm.paths import DEVICES
from rtshm.publisher import publisher

if TYPE_CHECKING:
    import ctypes
    from collections.abc import Callable, Mapping

    import construct

_POLL_MAX_MS = 2**31 - 1

Word = structure(
    "Word",
    Field(
        *("", "", 0, Kind.STRUCT, WORD.size, 4),
        fields=(
            Field("some_int", "some_int", 0, Kind.I32, 4, 4),
            Field("ready", "ready", 4, Kind.U8, 1, 1),
        ),
    ),
)
"""The live word, a ctypes structure."""


def open(
    name: str | os.PathLike[str] = "default",
    layout: Layout | construct.Struct | None = None,
    *,
    readonly: bool = False,
) -> Region:
    """Map the region `name`, or the one whose device node is at a path with a slash in it.

    Without `layout`, the one that the kernel stores with the region is asked
    for when a field is first used. One that is given must fit the region; by
    name, it must also be the one that is stored, if there is one: who opens by
    a path says what lies there, and nobody is asked.

    Raises LayoutError for such a layout, and OSError as the kernel gave it,
    with a note that says what to do: FileNotFoundError (no module or no such
    region), PermissionError, ...
    """
    path = os.fspath(name)
    if "/" in path:
        region = Region(Path(path), readonly=readonly)
    else:
        region = Region(DEVICES / path, readonly=readonly, name=path)
    if layout is not None:
        try:
            region._declare(as_layout(layout))
        except BaseException:
            region.close()
            raise
    return region


class Mapped:
    """The live memory of a region. A context manager; close() may be called twice.

    `some_int` and `ready` are single loads and stores in the shared word.
    Another process, and the kernel, may change them at any time. After a fork
    parent and child share the memory, and each closes its own mapping.

    After close() everything but close() raises ClosedError; of a region opened
    read-only, what would store raises PermissionError.
    """

    path: Path
    """The device node."""
    size: int
    """Bytes, a multiple of the page size."""

    publish: Callable[[SupportsIndex], None]
    """publish(value) stores the value and announces it, in one aligned 8-byte store.

    The next tick takes it and clears `ready`. Raises OverflowError out of the
    range of a C int and TypeError for what is no integer, with nothing stored.
    Where the package was built with its C, a tick that takes the value also has
    what this thread stored through the mapping before; without, so it is on x86.
    """

    def __init__(self, path: Path, readonly: bool) -> None:
        self.closed = True
        self.path = path
        self._readonly = readonly

    def _map(self, fd: int, size: int, offset: int = 0) -> None:
        """Take this memory. Who calls it sets `closed` once nothing can fail any more."""
        access = mmap.ACCESS_READ if self._readonly else mmap.ACCESS_WRITE
        self._memory = mmap.mmap(fd, size, access=access, offset=offset)
        self.size = size
        if self._readonly:
            # ctypes takes no view of memory that it may not write: see `word`.
            self._word = None
            self.publish = _refuser(_read_only, self.path)
        else:
            self._word = Word.from_buffer(self._memory)
            self.publish = publisher(self._memory)

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

    def close(self) -> None:
        """Unmap and close; twice is as good. With a view of the memory alive, the last unmaps."""
        if self.closed:
            return
        self.closed = True
        self._word = None
        self.publish = _refuser(_closed, self.path)
        # A view that somebody kept holds the mapping, which goes with the last of them.
        with suppress(BufferError):
            self._memory.close()
        del self._memory

    def __enter__(self) -> Self:
        self._check_open()
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    def __del__(self) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"<rtshm.{type(self).__name__} {self.path}{' closed' if self.closed else ''}>"

    def _check_open(self) -> None:
        if self.closed:
            raise _closed(self.path)

    def _check_writable(self) -> None:
        self._check_open()
        if self._readonly:
            raise _read_only(self.path)


class Region(Mapped):
    """A region, by its device node: its live memory, its fields, and what becomes of them."""

    def __init__(self, path: Path, *, readonly: bool = False, name: str | None = None) -> None:
        """`name`, if the region is to be asked for its layout."""
        super().__init__(path, readonly)
        self._name = name
        self._layout: Layout | None = None
        self._view: ctypes.Structure | None = None
        try:
            # Before the open, which of another device may already do harm; and after it,
            # should the path be another by then.
            _check_region(os.stat(path))
            self._fd = os.open(path, (os.O_RDONLY if readonly else os.O_RDWR) | os.O_CLOEXEC)
            try:
                _check_region(os.fstat(self._fd))
                size = os.lseek(self._fd, 0, os.SEEK_END)
                os.lseek(self._fd, 0, os.SEEK_SET)
                self._map(self._fd, size)
            except BaseException:
                os.close(self._fd)
                raise
        except OSError as error:
            add_remedy(error, path, region_remedy(error.errno, path))
            raise
        self.closed = False

    @property
    def layout(self) -> Layout:
        """What lies where after the word: as given to open(), or as the kernel stores it.

        Raises LayoutError if neither is there.
        """
        self._check_open()
        if self._layout is None:
            if self._name is None:
                error = LayoutError(f"{self.path}: opened by its path, a region has no layout")
                error.add_note("open it by its name, or give open() the layout")
                raise error
            from rtshm.control import stored

            layout = stored.layout(self._name)
            self._check_named()
            atomic.check_fits(self.path, layout, self.size)
            self._layout = layout
        return self._layout

    @property
    def view(self) -> Any:
        """The live fields, a ctypes structure: see Layout.ctypes.

        A load or store of a number is whole; what is larger, or more than one,
        others see halfway. May be kept past close(). Of a region opened
        read-only, each field is of a copy as of its access, a store is
        PermissionError, and after close() nothing is there.
        """
        layout = self.layout
        if self._readonly:
            return ReadOnlyView(self._copy)
        if self._view is None:
            self._view = layout.ctypes.from_buffer(self._memory, LAYOUT_OFFSET)
        return self._view

    def read(self) -> dict[str, Any]:
        """All fields by name, as of one moment: no write() or update() is seen halfway.

        A struct is a dict, an array a list of its length, of more dimensions a
        list of lists. Raises LayoutError if there is no layout, or one of more
        than a page.
        """
        return atomic.read(self.fileno(), self.layout)

    def write(self, values: Mapping[str, Any], *, announce: bool = False) -> None:
        """Store all fields at once: no tick and no read() sees some of them only.

        Structs are mappings, arrays sequences, enums members, names or numbers.
        What a field does not take is TypeError, OverflowError or ValueError, a
        layout of more than a page LayoutError, with nothing stored.

        The word stays as it is. With `announce`, its flag alone is set after
        the fields are stored: a tick in between has the fields and no
        announcement, and the one that takes the announcement has the fields.
        """
        self._check_writable()
        atomic.write(self._fd, self.layout, values)
        if announce:
            self._announce()

    def update(self, /, *, announce: bool = False, **values: Any) -> None:
        """Store several fields at once, as write() does all.

        If other fields lie between those that are named, they are read and
        written back as they were: what somebody else stores there in that
        instant is lost. A field of the name `announce` is for write() and the view.
        """
        self._check_writable()
        atomic.update(self._fd, self.layout, values)
        if announce:
            self._announce()

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
        if self.closed:
            return
        self._view = None
        super().close()
        os.close(self._fd)

    def _declare(self, layout: Layout) -> None:
        atomic.check_fits(self.path, layout, self.size)
        if self._name is not None:
            from rtshm.control import stored

            stored.check_agrees(self._name, layout)
            self._check_named()
        self._layout = layout

    def _check_named(self) -> None:
        """That the kernel was asked about this region, and not about a later one of its name."""
        try:
            if os.stat(self.path).st_rdev == os.fstat(self._fd).st_rdev:
                return
        except FileNotFoundError:
            pass
        error = OSError(errno.ENODEV, os.strerror(errno.ENODEV))
        add_remedy(error, self.path, "the region was deleted: its layout is gone, give open() it")
        raise error

    def _copy(self) -> ctypes.Structure:
        layout = self.layout
        data = os.pread(self._fd, layout.size, LAYOUT_OFFSET)
        return layout.ctypes_readonly.from_buffer_copy(data)

    def _announce(self) -> None:
        # By the kernel, after the fields: a store through the mapping could be seen before them.
        os.pwrite(self._fd, b"\1", Word.ready.offset)


def _check_region(status: os.stat_result) -> None:
    """Only the module's own devices are regions: anything else is not to be written to."""
    number = f"{os.major(status.st_rdev)}:{os.minor(status.st_rdev)}"
    device = Path("/sys/dev/char", number)
    is_module = Path(device, "subsystem").resolve().name == "rtshm"
    # The samples of a region, which its name, without a dot, tells from it.
    if not stat.S_ISCHR(status.st_mode) or not is_module or device.resolve().suffix:
        raise OSError(errno.ENODEV, os.strerror(errno.ENODEV))


def _closed(path: Path) -> ClosedError:
    return ClosedError(f"{path}: the region is closed; open it again")


def _read_only(path: Path) -> PermissionError:
    return PermissionError(errno.EACCES, "opened read-only", str(path))


def _refuser(error: Callable[[Path], Exception], path: Path) -> Callable[[SupportsIndex], NoReturn]:
    """A publish() that refuses. No method of the region, which would hold itself by it."""

    def refuse(value: SupportsIndex) -> NoReturn:
        raise error(path)

    return refuse
