"""The state of a region: /dev/rtshm/<name>, mapped."""

from __future__ import annotations

import errno
import mmap
import os
import select
import weakref
from collections.abc import Callable, Mapping
from contextlib import suppress
from functools import partial
from io import FileIO
from pathlib import Path
from typing import TYPE_CHECKING, Any, Generic, NoReturn, cast, overload

from rtshm import device, notebook
from rtshm.abi import INT_MAX, LAYOUT_OFFSET, WORD
from rtshm.device import SAMPLES, node_info, node_path, open_node
from rtshm.durations import Duration, seconds, with_unit
from rtshm.errors import (
    AccessError,
    ClosedError,
    LayoutError,
    RegionExistsError,
    deleted,
    no_layout,
    refusing,
    region_remedy,
    replaced,
)
from rtshm.handle import Handle, deadline, polled, refuse
from rtshm.layout import Layout, as_layout, check_fits
from rtshm.layout.fields import Field, Kind
from rtshm.layout.view import ReadOnlyView, structure
from rtshm.publisher import check_machine, publisher
from rtshm.samples import Samples
from rtshm.settings import SETTINGS, Settings, documented

if TYPE_CHECKING:
    import ctypes
    from typing import SupportsIndex, Unpack

    import numpy

    # Of the module typing, only later releases have defaults.
    from typing_extensions import TypeVar

    from rtshm.control import RegionInfo
    from rtshm.device import NodeInfo
    from rtshm.durations import Timeout
    from rtshm.layout import Declared

    T = TypeVar("T", default=Any)
else:
    from typing import TypeVar

    T = TypeVar("T")

_pread, _pwrite = os.pread, os.pwrite

ATOMIC_MAX = mmap.PAGESIZE
"""Bytes that one read(2) or write(2) moves in one step; the module orders these with ticks."""

_WORD = Field(
    *("", "", 0, Kind.STRUCT, WORD.size, 4),
    fields=(
        Field("some_int", "some_int", 0, Kind.I32, 4, 4),
        Field("ready", "ready", 4, Kind.U8, 1, 1),
    ),
)
Word = structure("Word", _WORD, {})
"""The live word, a ctypes structure."""
_WordCopy = structure("Word", _WORD, {}, readonly=True)


@overload
def open(
    name: str | os.PathLike[str], layout: type[ctypes.Structure], *, readonly: bool = False
) -> Region[Any]: ...
@overload
def open(
    name: str | os.PathLike[str] = ...,
    layout: Declared | type[T] | None = ...,
    *,
    readonly: bool = False,
) -> Region[T]: ...
def open(
    name: str | os.PathLike[str] = "default",
    layout: Declared | type[Any] | None = None,
    *,
    readonly: bool = False,
) -> Region[Any]:
    """Open a region and map its memory. `name` is a region, or the path of its device node.

    `layout` is a class with @rtshm.struct, a construct Struct, a numpy dtype, a ctypes
    Structure or a layout text; default: the one that the kernel stores with the region.
    It must fit the region. With the name of a region it must also equal the stored
    layout, if there is one. With a path it overrides the stored one.

    Raises LayoutError for another layout, and OSError with the kernel's errno:
    ModuleNotLoadedError, RegionNotFoundError, PermissionError, ... Raises
    IncompatibleError if the module is older than this package, Python has 32 bits, or
    the machine is big-endian.
    """
    region: Region[Any] = Region(name, readonly=readonly)
    if layout is not None:
        try:
            region._declare(as_layout(layout), by_name="/" not in os.fsdecode(name))
        except BaseException:
            region.close()
            raise
    return region


@documented(Settings, Duration)
def create(
    name: str,
    layout: Declared | type[T] | None = None,
    *,
    exist_ok: bool = False,
    temporary: bool = False,
    **settings: Unpack[Settings[Duration]],
) -> Region[T]:
    """Create a region and open it.

    With `exist_ok`, an existing region of this name is opened unchanged; its layout must
    agree. A setting that is None or left out has the module's default; a duration is a
    text such as "1ms", or a timedelta.

    With `temporary`, a region that this call creates is deleted when the object is
    closed or garbage-collected, or when the interpreter ends. Other programs that have
    it open keep its memory, without ticks. If a signal kills the process (SIGKILL, or
    SIGTERM without a handler), the region stays until `rtshm delete NAME`.

    Raises RegionExistsError, and what Control.create() and open() raise.

    >>> motor = create("motor", "speed:f64 gain:f32 _:x4", period="10ms", history=100)
    >>> motor
    <rtshm.Region /dev/rtshm/motor>
    >>> motor.view.gain = 0.5
    >>> motor.update(speed=3.0, announce=True)
    1
    >>> motor.wait_taken(timeout="5s")
    >>> motor.read()
    {'speed': 3.0, 'gain': 0.5}
    >>> motor.close()
    """
    from rtshm.control import Control

    for what, value in settings.items():
        if what in SETTINGS and SETTINGS[what].is_duration:
            with_unit(what, value)
    made = None
    with Control() as control:
        try:
            made = control.create(name, layout=layout, **settings)
        except RegionExistsError:
            if not exist_ok:
                raise
    delete = partial(_delete, name, made.id, os.getpid()) if made and temporary else None
    try:
        region = open(name, layout)
    except BaseException:
        if delete:
            delete()
        raise
    if delete:
        region._delete = weakref.finalize(region, delete)
    return region


def _delete(name: str, number: int, maker: int) -> None:
    """Delete a temporary region, if it is still there, in the process that made it."""
    from rtshm.control import Control

    # A forked child has its own copy of the object.
    if os.getpid() == maker:
        with suppress(FileNotFoundError), Control() as control:
            if control.get(name).id == number:
                control.delete(name)


class Mapped(Handle):
    """The live memory of a region. A context manager; close() may be called twice.

    `some_int` and `ready` are single loads and stores in the shared word.
    Another process, and the kernel, may change them at any time. After a fork
    parent and child share the memory, and each closes its own mapping.

    After close() everything but close() raises ClosedError, a publish() that
    was kept too; of a region opened read-only, what would store raises
    PermissionError.
    """

    __slots__ = {
        "_memory": None,
        "_readonly": None,
        "_revoke": None,
        "_word": None,
        "path": "The device node.",
        "publish": """publish(value) stores the value and announces it, in one aligned 8-byte store.

        The next tick takes it and clears `ready`. Raises OverflowError out of the range of a C
        int and TypeError for what is not an integer, with nothing stored. Where the package was
        built with its C, a tick that takes the value also has what this thread stored through the
        mapping before; without, so it is on x86.
        """,
        "size": "Bytes, a multiple of the page size.",
    }
    _kept_by_fork = True

    path: Path
    size: int
    publish: Callable[[SupportsIndex], None]

    def __init__(self, path: Path, readonly: bool) -> None:
        check_machine(path)
        super().__init__()
        self.path = path
        self._readonly = readonly
        self._memory: mmap.mmap | None = None
        self._word: Any = None
        self._revoke: Callable[[Callable[[], NoReturn]], None] | None = None
        self.publish = partial(refuse, _read_only(path))

    def _map(self, fd: int, size: int, offset: int = 0) -> None:
        """Take this memory."""
        access = mmap.ACCESS_READ if self._readonly else mmap.ACCESS_WRITE
        self._memory = mmap.mmap(fd, size, access=access, offset=offset)
        self.size = size
        if not self._readonly:
            # ctypes takes no view of memory that it may not write: see `word`.
            self._word = Word.from_buffer(self._memory)
            self.publish, self._revoke = publisher(self._memory)

    def _live(self) -> mmap.mmap:
        self._check_open()
        assert self._memory is not None
        return self._memory

    @property
    def word(self) -> ctypes.Structure:
        """The word, a ctypes structure with some_int and ready.

        It is live, and stays valid when kept past close(); of a region opened
        read-only it is a copy as of now, and a store is PermissionError. A store
        of what is out of range is OverflowError, with nothing stored.
        """
        memory = self._live()
        return cast("ctypes.Structure", self._word or _WordCopy.from_buffer_copy(memory))

    @property
    def memory(self) -> memoryview:
        """The live bytes of the whole region, `size` of them; may be kept past close()."""
        return memoryview(self._live())

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

    def _release(self) -> None:
        self._word = None
        publish = partial(refuse, ClosedError(f"{self!r}: open it again"))
        if self._revoke:
            self._revoke(publish)
        else:
            self.publish = publish
        memory, self._memory = self._memory, None
        if memory is not None:
            # A view that somebody kept holds the mapping, which goes with the last of them.
            with suppress(BufferError):
                memory.close()

    def _check_writable(self) -> None:
        self._check_open()
        if self._readonly:
            raise _read_only(self.path)


class Region(Mapped, Generic[T]):
    """An open region: its live memory, its fields and its word. open() and create() make it.

    It can be pickled and copied: the copy opens the region of the same name.
    """

    __slots__ = ("_delete", "_file", "_layout", "_node", "_quick", "_view")

    def __init__(self, name: str | os.PathLike[str], *, readonly: bool = False) -> None:
        path = node_path(name)
        super().__init__(path, readonly)
        self._layout: Layout | None = None
        self._quick: tuple[Callable[[Any], Any], Callable[[Any], bytes], int] | None = None
        self._view: Any = None
        self._delete: Callable[[], object] | None = None
        self._file: FileIO | None = None
        self._node: NodeInfo
        try:
            self._file, self._node = self._open(path)
            with refusing(path, lambda number: region_remedy(number, path)):
                self._map(self._file.fileno(), self._node.size)
        except BaseException:
            self.close()
            raise
        self._opened()

    def _open(self, path: Path) -> tuple[FileIO, NodeInfo]:
        file = open_node(path, readonly=self._readonly)
        return file, node_info(file.fileno(), path)

    def _repr_html_(self) -> str:
        """Return a table of the word and the fields with their values, for notebooks."""
        if self.closed or self.deleted:
            return notebook.grid((), (), repr(self))
        rows = [("some_int", "i32", self.some_int), ("ready", "bool", self.ready)]
        with suppress(LayoutError):
            layout = self.layout
            _check_atomic(layout.size)
            values = layout.parse(os.pread(self._descriptor(), layout.size, LAYOUT_OFFSET))
            for field in layout.fields:
                counts = "".join(f"[{count}]" for count in field.shape)
                rows.append((field.name, f"{field.kind}{counts}", values[field.name]))
        return notebook.grid(("field", "type", "value"), rows, repr(self))

    @property
    def name(self) -> str:
        """The name of the region."""
        return self._node.name

    @property
    def id(self) -> int:
        """The number of the region, which is not used again while the module is loaded."""
        return self._node.id

    @property
    def layout(self) -> Layout:
        """The layout that was given to open(), or else the one that the kernel stores.

        Raises LayoutError if there is neither.
        """
        self._check_open()
        if self._layout is None:
            if not self._node.layout:
                raise no_layout(self.name)
            layout = self._stored()
            check_fits(self.path, layout, self.size)
            self._layout = layout
        return self._layout

    def _stored(self) -> Layout:
        stored = self._node.layout
        try:
            return Layout(stored)
        except LayoutError as error:
            raise LayoutError(f"{self.name}: the stored layout {stored!r}: {error}") from None

    @property
    def view(self) -> T:
        """The live fields, a ctypes structure: see Layout.ctypes.

        A load or a store of one number is whole. Others may see larger values, and
        several numbers, halfway. The view may be kept after close(). In a region that is
        open read-only each access reads a copy of the field, a store raises
        PermissionError, and no access works after close().
        """
        if self._view is None:
            layout = self.layout
            if self._readonly:
                self._view = ReadOnlyView(self._copy, [field.name for field in layout.fields])
            else:
                self._view = layout.ctypes.from_buffer(self._live(), LAYOUT_OFFSET)
        self._check_open()
        return cast("T", self._view)

    @property
    def array(self) -> numpy.ndarray[Any, numpy.dtype[numpy.void]]:
        """The live fields as a numpy record: array["speed"] loads, array["speed"] = 3 stores.

        Its shape is (). Nothing is checked: a number that is too large wraps
        around. Raises ExtraError without numpy.
        """
        dtype = self.layout.dtype
        import numpy

        return numpy.ndarray((), dtype, self._live(), LAYOUT_OFFSET)

    @property
    def info(self) -> RegionInfo:
        """The region's settings and counters as of now, from the control plane.

        Raises RegionDeletedError if it was deleted.
        """
        from rtshm.control import info_of

        return info_of(self.name, self.id, self.path, self.fileno())

    @property
    def deleted(self) -> bool:
        """Whether the region was deleted: no tick works on this memory any more."""
        return bool(polled(self.fileno()))

    def read(self) -> T:
        """Return all fields as of one moment: no write() or update() is seen halfway.

        Returns an object of the class that was given to open(), or else a dict, in which
        a struct is a dict and an array a list, nested for more dimensions. Raises
        LayoutError if the region has no layout, or one of more than a page.
        """
        load, _, size = self._quick if self._is_open and self._quick else self._get_quick()
        return cast("T", load(_pread(self._descriptor(), size, LAYOUT_OFFSET)))

    def write(self, values: T | Mapping[str, Any], *, announce: bool = False) -> int | None:
        """Store all fields at once: no tick and no read() sees only some of them.

        `values` is an object of the class that was given to open(), or a mapping. In it a
        struct is a mapping or an object, an array a sequence, an enum a member, a name or
        a number. Raises TypeError, OverflowError or ValueError for a value that its field
        cannot hold, and LayoutError for a layout of more than a page; nothing is stored
        then.

        Without `announce` the word does not change. With it, the same write announces the
        record by a number, one more than the value before, and returns the number. The
        tick that takes the announcement has the record, and its sample has the number as
        `some_int`.
        """
        if self._readonly or not self._is_open:
            self._check_writable()
        _, build, _ = self._quick or self._get_quick()
        if announce:
            return self._announce(build(values))
        _pwrite(self._descriptor(), build(values), LAYOUT_OFFSET)
        return None

    def _get_quick(self) -> tuple[Callable[[Any], Any], Callable[[Any], bytes], int]:
        """Return what read() and write() need in each call: it is looked up once."""
        layout = self.layout
        _check_atomic(layout.size)
        self._quick = layout.load, layout.build, layout.size
        return self._quick

    def update(self, /, *, announce: bool = False, **values: Any) -> int | None:
        """Store several fields at once, as write() stores all of them.

        With `announce`, a second write announces the record by its number, as write()
        does: a tick in between sees the new fields without the announcement.

        Fields that lie between the named ones are read and written back. A value that
        another program stores there in that instant is lost. A field that is called
        `announce` can be stored only by write() and the view.
        """
        return self._update(values, announce=announce)

    def _update(self, values: Mapping[str, Any], *, announce: bool = False) -> int | None:
        """Store fields of any name, `announce` too."""
        self._check_writable()
        layout, fd = self.layout, self._descriptor()
        if placed := layout.build_fields(values):
            begin = placed[0][0].offset
            size = placed[-1][0].offset + placed[-1][0].size - begin
            _check_atomic(size)
            between = [field for field in layout.fields if 0 <= field.offset - begin < size]
            data = bytearray(size)
            if len(between) > len(placed):
                data[:] = os.pread(fd, size, LAYOUT_OFFSET + begin)
            for field, built in placed:
                data[field.offset - begin : field.offset - begin + field.size] = built
            os.pwrite(fd, data, LAYOUT_OFFSET + begin)
        return self._announce() if announce else None

    def kick(self) -> None:
        """Make a region without a period tick once, on this cpu.

        On return its tasks have run and its sample is in the history. Raises
        OSError: EINVAL if the region has a period, AccessError if it is open
        read-only, RegionDeletedError.
        """
        self._check_writable()
        device.kick(self._descriptor(), self.path)

    def samples(self, *, oldest: bool = False, watermark: int = 1, wait: Timeout = None) -> Samples:
        """Open the history of the region: see Samples."""
        self._check_open()
        samples = Samples(
            self.path.with_name(f"{self.path.name}{SAMPLES}"),
            oldest=oldest,
            watermark=watermark,
            wait=wait,
        )
        if samples.id != self.id:
            samples.close()
            raise replaced(self.path)
        if self._layout:
            samples._layout = self._layout
        return samples

    def wait_taken(self, timeout: Timeout = None) -> None:
        """Wait until a tick has taken the last announcement.

        `timeout` is in seconds, a timedelta or a text as "500ms"; None for ever.
        Raises TimeoutError when it has passed, RegionDeletedError when the
        region was deleted and no tick will take the announcement, and
        ClosedError when another thread closes the region.
        """
        self._check_open()
        self._taken(self._wait(select.POLLOUT, deadline(seconds(timeout))), timeout)

    async def taken(self, timeout: Timeout = None) -> None:
        """Await what wait_taken() waits for. Any number of asyncio tasks may await it."""
        until = deadline(seconds(timeout))
        while not (found := self._wait(select.POLLOUT, 0.0)):
            if not await self._wait_async(select.POLLOUT, until):
                break
        self._taken(found, timeout)

    def _taken(self, found: int, timeout: Timeout) -> None:
        if not found:
            unit = " s" if isinstance(timeout, int | float) else ""
            raise TimeoutError(f"{self.path}: no tick took the value within {timeout}{unit}")
        if found & select.POLLHUP and self.ready:
            raise deleted(self.path, "no tick will take the value")

    def fileno(self) -> int:
        """Return the descriptor, for select, poll and asyncio: writable when no value waits.

        After the region was deleted, poll reports POLLHUP, and asyncio calls the callback
        of add_writer() again and again until remove_writer(); `ready` may still be set.
        """
        return super().fileno()

    def __reduce__(self) -> Any:
        self._check_open()
        declared = self._layout and (self._layout.declared or self._layout)
        return partial(open, readonly=self._readonly), (self.path, declared)

    def _descriptor(self) -> int:
        if self._file is None:
            self._check_open()
            raise AssertionError
        return self._file.fileno()

    def _release(self) -> None:
        self._view = None
        super()._release()
        if self._file:
            self._file.close()
        if self._delete:
            self._delete()

    def _declare(self, layout: Layout, *, by_name: bool) -> None:
        check_fits(self.path, layout, self.size)
        stored = self._node.layout
        if by_name and stored and self._stored() != layout:
            raise LayoutError(
                f"{self.name}: the layout given differs from the one stored with the region: "
                f"given {layout.text!r}, stored {stored!r}"
            )
        self._layout = layout

    def _copy(self) -> ctypes.Structure:
        layout = self.layout
        self._check_open()
        data = os.pread(self._descriptor(), layout.size, LAYOUT_OFFSET)
        copy: ctypes.Structure = layout.ctypes_readonly.from_buffer_copy(data)
        return copy

    def _announce(self, record: bytes = b"") -> int:
        """Announce a record by its number, in one step with the record if that is given."""
        last = self.some_int
        number = last + 1 if last < INT_MAX else 0
        _check_atomic(WORD.size + len(record))
        # By the kernel, after the fields: a store through the mapping could be seen before them.
        os.pwrite(self._descriptor(), WORD.pack(number, 1) + record, 0)
        return number


def _read_only(path: Path) -> AccessError:
    return AccessError(errno.EACCES, "opened read-only", path)


def _check_atomic(size: int) -> None:
    if size > ATOMIC_MAX:
        raise LayoutError(
            f"{size} bytes are more than the {ATOMIC_MAX} that are read or written in one step; "
            "update() fewer fields, or use the view"
        )
