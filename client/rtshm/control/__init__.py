"""The control plane: make, find, change, watch and remove regions."""

from __future__ import annotations

import errno
import mmap
import os
import select
import stat
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, fields, replace
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn, Self, TypeVar, Unpack, overload

from rtshm import notebook
from rtshm.abi import LAYOUT_OFFSET
from rtshm.control import messages
from rtshm.control.messages import Command
from rtshm.control.netlink import Link
from rtshm.durations import Duration, Timeout, period_text, seconds
from rtshm.errors import (
    OTHER_RELEASE,
    AccessError,
    ClosedError,
    IncompatibleError,
    ModuleNotLoadedError,
    RegionNotFoundError,
    control_remedy,
    refusing,
    region_remedy,
    replaced,
)
from rtshm.handle import Handle
from rtshm.layout import as_layout, check_fits
from rtshm.paths import DEVICES
from rtshm.settings import Changes, Creation, documented, in_message
from rtshm.settings import Clock as Clock
from rtshm.settings import PrintMode as PrintMode

if TYPE_CHECKING:
    from rtshm.control.netlink import Family

# Fields of a region that are sent only to those who may read it.
INSIDE = ("layout", "counters", "tasks")

_DRAIN_SECONDS = 1.0

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class TaskInfo:
    """A task of a region, of another module or in BPF, with its counters."""

    name: str
    """Its name, unique in the region."""
    ticks: int
    """Number of ticks in which it ran, since it was added or the counters were reset."""
    time_max_ns: int
    """Longest time in ns; for the first task of a region with the tick's own work before it."""
    overruns: int
    """Number of ticks in which it took longer than the region's task_budget_ns."""
    stopped: bool
    """Whether task_long_max stopped it."""
    record_bytes: int = 0
    """Bytes of the record, from its beginning, that it may use."""
    prog_id: int | None = None
    """Id of the BPF program, as bpftool shows it; None for a task of a module."""
    insns_max: int | None = None
    """Largest number of BPF instructions in a tick, where a helper call counts as one; None: no
    bound."""


@dataclass(frozen=True, slots=True)
class Counters:
    """Counters since create() or set(reset_counters=True), all as of one tick."""

    ticks: int
    """Number of ticks."""
    missed: int
    """Periods without a tick of their own."""
    published: int
    """Number of announced values that a tick took."""
    lateness_min_ns: int
    """Smallest lateness of any tick, in ns; 0 before the first tick."""
    lateness_max_ns: int
    """Largest lateness of any tick, in ns."""
    lateness_sum_ns: int
    """Sum of the lateness of all ticks, in ns."""
    lateness_histogram: tuple[int, ...]
    """32 counters of ticks. Number i has those that were 2**i ns late or more, and less than
    2**(i+1); the first also those less than 1 ns late, the last also all that were later."""

    @property
    def lateness_mean_ns(self) -> float:
        """Mean lateness in ns; 0.0 before the first tick."""
        return self.lateness_sum_ns / self.ticks if self.ticks else 0.0


@dataclass(frozen=True, slots=True, eq=False)
class RegionInfo:
    """A region as the kernel described it at one moment."""

    name: str
    """Name of the region and of its device node: `[a-z0-9][a-z0-9_-]{0,30}`."""
    id: int
    """Number from 1, in the order of creation; unique while the module is loaded."""
    size: int
    """Size in bytes."""
    period_ns: int
    """Period in ns; 0: the region ticks when it is kicked."""
    print: PrintMode
    """When its ticks print the value."""
    history: int
    """Samples that the history keeps."""
    record_bytes: int
    """Bytes from the region's beginning that a sample keeps."""
    layout: str
    """Layout as text; the kernel stores it without looking into it."""
    mode: int
    """Access mode of the device node, for example 0o600."""
    uid: int
    """Owner of the device node."""
    gid: int
    """Group of the device node."""
    cpu: int | None
    """The cpu that was asked for; None: the kernel chooses timer_cpu."""
    users: int
    """Open files of the region; a mapping holds its file open."""
    counters: Counters
    """Counters of its ticks."""
    sample_bytes: int | None = None
    """Bytes of a sample; None: the region has no history."""
    clock: Clock = Clock.MONOTONIC
    """Clock of the deadlines."""
    phase_ns: int | None = None
    """Offset in ns of the deadlines from multiples of the period on the clock; None: the grid
    starts with the first tick."""
    start_ns: int | None = None
    """Deadline of the first tick, in ns on the clock; None: at once."""
    task_budget_ns: int = 0
    """Time in ns after which a task has an overrun; 0: no budget."""
    task_long_max: int = 0
    """Ticks in a row after which a task that takes longer than half the period stops; 0: never."""
    tasks: tuple[TaskInfo, ...] = ()
    """Tasks in the order in which they run."""
    phys: int | None = None
    """Physical address of raw memory; 0 without CAP_SYS_RAWIO and in events. None: the kernel
    allocated the memory."""
    keep: bool = False
    """Whether the region started with the old content of its raw memory."""
    access_default: bool = False
    """Whether the region was created without mode, uid, gid and phys, so that the udev rule
    applies."""
    lead_ns: int = 0
    """Busy-wait before each deadline, in ns; 0: interrupt latency shows as lateness."""
    timer_cpu: int | None = None
    """CPU of the timer now."""
    cpu_latency_ns: int = 0
    """Limit in ns on the exit latency of that cpu's idle states; 0: no limit."""
    creator: int | None = None
    """The user who created the region as a member of the module's group, and may change and
    delete it; None: only root may."""

    def __repr__(self) -> str:
        inside = ""
        if self.readable:
            layout = f", {self.layout!r}" if self.layout else ""
            inside = f", {self.counters.ticks} ticks{layout}"
        return (
            f"<RegionInfo {self.name}: id {self.id}, {self.size} bytes, period "
            f"{period_text(self.period_ns)}{inside}>"
        )

    if not TYPE_CHECKING:

        def __getattr__(self, name: str) -> NoReturn:
            """Raise for a field that the kernel did not send to this process."""
            if name in INSIDE:
                raise AccessError(
                    errno.EACCES,
                    f"{name}: sent only to those who may read the region",
                    self.name,
                    region_remedy(errno.EACCES, self.path),
                )
            raise AttributeError(name)

    @property
    def readable(self) -> bool:
        """Whether layout, counters and tasks are known. If not, they raise AccessError."""
        try:
            return bool(self.counters)
        except AccessError:
            return False

    def _known(self) -> dict[str, Any]:
        names = (field.name for field in fields(self))
        return {name: getattr(self, name) for name in names if self.readable or name not in INSIDE}

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, RegionInfo):
            return NotImplemented
        return self._known() == other._known()

    def __hash__(self) -> int:
        return hash((self.name, self.id))

    def __reduce__(self) -> Any:
        return _told, (self._known(),)

    def _repr_html_(self) -> str:
        """Return a table of two columns, for notebooks."""
        rows: dict[str, object] = {
            "size": f"{self.size} bytes",
            "period": period_text(self.period_ns),
            "history": f"{self.history} samples of {self.record_bytes} bytes",
            "users": self.users,
        }
        if self.readable:
            rows |= {
                "layout": self.layout,
                "ticks": self.counters.ticks,
                "missed": self.counters.missed,
                "mean lateness": f"{self.counters.lateness_mean_ns:.0f} ns",
                "max lateness": f"{self.counters.lateness_max_ns} ns",
            }
        return notebook.grid(("", self.name), rows.items())

    @property
    def period(self) -> timedelta:
        """The period, rounded to microseconds; period_ns has it whole."""
        return timedelta(microseconds=self.period_ns / 1000)

    @property
    def path(self) -> Path:
        """The device node."""
        return DEVICES / self.name


@dataclass(frozen=True, slots=True)
class Created:
    """A region was created."""

    region: RegionInfo
    """The region at that time."""


@dataclass(frozen=True, slots=True)
class Changed:
    """The settings of a region were changed."""

    region: RegionInfo
    """The region after the change."""


@dataclass(frozen=True, slots=True)
class Deleted:
    """A region was deleted."""

    region: RegionInfo
    """The region at its end: its counters, where they are sent (see Watch), are final."""


@dataclass(frozen=True, slots=True)
class Overrun:
    """Events came faster than they were read, and some were lost; `regions` is all there is.

    The list was read after the loss. Events after this one may repeat what
    it has already. A program that replaces its own list by this one, and then
    applies the events one by one by the regions' ids, ends with the true list.
    """

    regions: Sequence[RegionInfo]
    """All regions, as Control.list() returns them."""


Event = Created | Changed | Deleted | Overrun

_EVENTS: dict[int, type[Created | Changed | Deleted]] = {
    Command.REGION_NEW_NTF: Created,
    Command.REGION_SET_NTF: Changed,
    Command.REGION_DEL_NTF: Deleted,
}


class _Linked(Handle):
    """What has a link of its own to the module's netlink family."""

    __slots__ = ("_family", "_link")

    def __init__(self) -> None:
        super().__init__()
        self._link, self._family = _connect()

    def _release(self) -> None:
        self._link.close()

    def _descriptor(self) -> int:
        return self._link.fileno()


class Control(_Linked):
    """The control plane of the loaded module. A context manager; close() may be called twice.

    Every process in the initial network namespace may list the regions. Layout,
    counters and tasks of a region are sent to those who may read it. create, set
    and delete take CAP_SYS_RESOURCE in the initial user namespace (root outside of
    containers). Members of the group that the module parameter `group` names may
    use them for their own regions, within its quotas.

    Raises OSError with the kernel's errno (ModuleNotLoadedError,
    RegionNotFoundError, RegionExistsError, PermissionError, ...), its message, the
    region's name as `filename`, and a remedy where one is known. A value that does
    not fit a message is not sent: OverflowError for a number, ValueError for a text.

    The kernel answers at once, so nothing here is awaited. Threads may share a
    Control; in a forked child it is closed. It works on after the module was
    loaded again.

    >>> with Control() as control:
    ...     made = control.create("pump", period="20ms", layout="flow:f32")
    ...     control.set("pump", period="10ms").period_ns
    ...     [region.name for region in control.list()]
    ...     control.delete("pump")
    10000000
    ['default', 'pump']
    """

    __slots__ = ()

    def __init__(self) -> None:
        super().__init__()
        self._opened()

    @documented(Creation, Duration | int)
    def create(self, name: str, **settings: Unpack[Creation[Duration | int]]) -> RegionInfo:
        """Create a region. On return its device node exists.

        Returns the region as the kernel created it. Raises OSError: EEXIST if the name
        is taken, EINVAL and ERANGE for a value that is not allowed, with the limit,
        ENOSPC and ENOMEM if a limit or the memory is exhausted, EDQUOT beyond a quota
        of the group's members, EPERM. Raises LayoutError for a layout that this release
        could not read again.

        A keyword that is None or left out has the module's default. A duration is a text
        such as "1ms", a timedelta, or an int of ns. A layout is what Layout() takes.
        `start_ns` is a time as time.clock_gettime_ns() has it. With the period "none" the
        region ticks when Region.kick() is called.
        """
        declared = settings.pop("layout", None)
        values = in_message(settings, Creation)
        if not isinstance(declared, str | None) or declared:
            layout = as_layout(declared)
            values["layout"] = layout.text
            check_fits(name, layout, settings.get("size") or mmap.PAGESIZE)
            if settings.get("record_bytes") is None:
                whole = LAYOUT_OFFSET + layout.size
                values["record_bytes"] = min(-(-whole // 8) * 8, messages.RECORD_BYTES_MAX)
        return self._one(Command.REGION_NEW, name, **values)

    def delete(self, name: str) -> None:
        """Delete a region. Programs that have it open keep its memory; it has no more ticks.

        Raises OSError: ENOENT, EPERM.
        """
        self._request(Command.REGION_DEL, name)

    @documented(Changes, Duration | int)
    def set(self, name: str, **settings: Unpack[Changes[Duration | int]]) -> RegionInfo:
        """Change the settings that are not None. If one is refused, nothing changes.

        A duration is a text such as "1ms", a timedelta, or an int of ns. After another
        `phase`, or another `period` of a region with a phase, the next tick is the
        first of the new grid; otherwise it comes within the shorter of both periods.
        After another history or record, an open Samples has what is left of the old
        ones, then the end. `reset_counters` sets the counters of the region and of
        its tasks to 0 in one step between two ticks; the numbers of ticks in samples
        go on. What is as it was already makes no event. Returns the region as it is
        then. Raises OSError: ENOENT, EINVAL, ERANGE, ENODEV, ENOSPC, EDQUOT, ENOMEM,
        EPERM.

        The kernel tells udev of another `mode`, `uid` or `gid`, and changes no node by
        itself. For machines without udev, set() changes the nodes in this process's
        /dev/rtshm, too; an OSError of that has the node as `filename`.
        """
        after = self._one(Command.REGION_SET, name, **in_message(settings, Changes))
        if any(settings.get(access) is not None for access in ("mode", "uid", "gid")):
            _set_access(after)
        return after

    def get(self, name: str, *, fd: int | None = None) -> RegionInfo:
        """Return a region as it is now. Raises FileNotFoundError if no region has this name.

        The kernel sends layout, counters and tasks to those who may change the
        region, and to those who may read it: `fd` is a descriptor of its node
        that is open for reading. Without it the node is opened, where necessary.
        """
        region = self._one(Command.REGION_GET, name, fd=fd)
        if region.readable or fd is not None:
            return region
        try:
            fd = os.open(region.path, os.O_RDONLY | os.O_CLOEXEC)
        except OSError:
            return region
        try:
            region = self._one(Command.REGION_GET, name, fd=fd)
        finally:
            os.close(fd)
        return replace(region, users=region.users - 1) if region.readable else region

    def list(self) -> Sequence[RegionInfo]:
        """Return all regions as of one moment, in the order of their ids.

        The list has layout, counters and tasks of the regions that this process may
        change; get() also has those of regions that it may read. An item is decoded
        when it is first used. Raises BlockingIOError if regions changed during each of
        many attempts to read the list.
        """
        message = messages.encode(Command.REGION_GET)
        replies = self._ask(lambda: self._link.dump(self._family.id, message))
        return _Regions(replies)

    def add_task(self, region: str, name: str, prog_fd: int, *, unbounded: bool = False) -> None:
        """Run a loaded BPF program in each tick of a region: rtshm.Task loads it, too.

        `prog_fd` is the descriptor of a program of the type raw_tracepoint_writable; the task
        holds the program, so the descriptor may be closed. `unbounded` accepts one although
        nothing bounds its instructions, in a region that has a task_long_max. Raises OSError:
        EEXIST, ENOENT, ENOSPC, EINVAL, ERANGE, EOPNOTSUPP for a map of another type, EPERM.
        """
        self._task(Command.TASK_NEW, region, name, prog_fd=prog_fd, unbounded=unbounded or None)

    def replace_task(
        self, region: str, name: str, prog_fd: int, *, unbounded: bool = False
    ) -> None:
        """Replace the program of a BPF task: each tick runs the old one or the new one.

        Raises OSError: ESRCH if the region has no BPF task of the name, and as add_task().
        """
        self._task(Command.TASK_SET, region, name, prog_fd=prog_fd, unbounded=unbounded or None)

    def remove_task(self, region: str, name: str) -> None:
        """Remove a BPF task; it does not run any more on return.

        Raises OSError: ENOENT, ESRCH if the region has no BPF task of the name, EPERM.
        """
        self._task(Command.TASK_DEL, region, name)

    def watch(self, timeout: Timeout = None) -> Watch:
        """Watch events of regions, for `timeout` (a number is seconds; None: for ever)."""
        self._check_open()
        return Watch(timeout)

    def _one(self, command: Command, name: str, **values: object) -> RegionInfo:
        (reply,) = self._request(command, name, **values)
        return _region(messages.decode(reply)[1])

    def _request(self, command: Command, name: str, **values: object) -> Sequence[bytes]:
        return self._send(name, messages.encode(command, name=name, **values))

    def _task(self, command: Command, region: str, name: str, **values: object) -> None:
        message = messages.encode(command, region=region, name=name, **values)
        self._send(f"{region}: {name}", message)

    def _send(self, where: str, message: bytearray) -> Sequence[bytes]:
        with refusing(where, control_remedy):
            return self._ask(lambda: self._link.request(self._family.id, message))

    def _ask(self, ask: Callable[[], Sequence[bytes]]) -> Sequence[bytes]:
        self._check_open()
        try:
            return ask()
        except ModuleNotLoadedError:
            # It may have been loaded again, and be answered by another family now.
            link, self._family = _connect()
            self._link.close()
            self._link = link
            return ask()


def info_of(name: str, number: int, where: Path, fd: int | None = None) -> RegionInfo:
    """Return what a region is now. Raise RegionDeletedError if its name is another's, or none's."""
    with Control() as control:
        try:
            info = control.get(name, fd=fd)
        except RegionNotFoundError as error:
            raise replaced(where) from error
    if info.id != number:
        raise replaced(where)
    return info


class Watch(_Linked):
    """Events, from when watch() returned: an iterator, an async iterator, a context manager.

    The iteration ends when its time is over; what came by then is still given, for a
    second at most. Threads and tasks may share it: each event goes to one of them.
    Of a region in an event, layout, counters and tasks are known to those with
    CAP_SYS_ADMIN only (root outside of containers).
    An error ends it as well: OSError(ENODEV) says that the module was unloaded.
    After a close() before that, next() raises ClosedError, also where it waits.
    """

    __slots__ = ("_deadline", "_events", "_over", "_taking")

    def __init__(self, timeout: Timeout) -> None:
        left = seconds(timeout)
        super().__init__()
        self._events: deque[Event] = deque()
        self._taking = threading.Lock()
        self._over = False
        try:
            try:
                self._link.join(self._family, messages.DETAILS_GROUP)
            except PermissionError:
                self._link.join(self._family, messages.REGIONS_GROUP)
        except BaseException:
            self._link.close()
            raise
        self._deadline = float("inf") if left is None else time.monotonic() + left
        self._opened()

    def __repr__(self) -> str:
        return f"<rtshm.control.Watch{' closed' if self.closed else ''}>"

    def fileno(self) -> int:
        """Return the descriptor, for select and poll: readable when there may be an event.

        Other families of generic netlink that come and go make it readable
        too, and next() then waits on.
        """
        return super().fileno()

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> Event:
        try:
            while (event := self._take()) is None:
                if self._is_over():
                    raise StopIteration
                self._wait(select.POLLIN, self._until())
        except ClosedError:
            if self._over:
                raise StopIteration from None
            raise
        return event

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Event:
        try:
            while (event := self._take()) is None:
                if self._is_over():
                    raise StopAsyncIteration
                await self._wait_async(select.POLLIN, self._until())
        except ClosedError:
            if self._over:
                raise StopAsyncIteration from None
            raise
        return event

    def _until(self) -> float | None:
        return None if self._deadline == float("inf") else self._deadline

    def _is_over(self) -> bool:
        """Whether its time ended it, which stays so."""
        if time.monotonic() < self._deadline:
            return False
        self._end()
        return True

    def _end(self) -> None:
        """Close it, and have those that wait see the end of the iteration."""
        self._over = True
        self.close()

    def _take(self) -> Event | None:
        """Return the next event if there is one. Never waits."""
        with self._taking, self._in_use():
            return self._take_one()

    def _take_one(self) -> Event | None:
        if time.monotonic() >= self._deadline + _DRAIN_SECONDS:
            return None
        try:
            while not self._events:
                try:
                    received = self._link.receive()
                except OSError as error:
                    if error.errno != errno.ENOBUFS:
                        raise
                    return self._overrun()
                if received is None:
                    return None
                self._events.extend(_events(received))
        except BaseException:
            self._end()
            raise
        return self._events.popleft()

    def _overrun(self) -> Overrun:
        # Nothing is queued from the loss until the queue was empty once. So what was queued
        # is older than the list, and goes; what comes after it is told, if in the list or not.
        self._link.drain()
        with Control() as control:
            if control._family != self._family:
                raise OSError(errno.ENODEV, "the module was unloaded")
            return Overrun(control.list())


class _Regions(Sequence[RegionInfo]):
    """Regions, each decoded when it is first looked at: for 100 that takes longer than the list."""

    def __init__(self, items: Iterable[bytes | RegionInfo]) -> None:
        self._items = list(items)

    def __len__(self) -> int:
        return len(self._items)

    @overload
    def __getitem__(self, index: int) -> RegionInfo: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[RegionInfo]: ...
    def __getitem__(self, index: int | slice) -> RegionInfo | Sequence[RegionInfo]:
        if isinstance(index, slice):
            return _Regions(self._items[index])
        item = self._items[index]
        if isinstance(item, bytes):
            item = self._items[index] = _region(messages.decode(item)[1])
        return item

    def __repr__(self) -> str:
        return f"<rtshm.control regions: {', '.join(region.name for region in self) or 'none'}>"

    def _repr_html_(self) -> str:
        """Return a table of a region a row, for notebooks."""
        headings = ("name", "size", "period", "users", "layout", "ticks", "missed", "max lateness")
        rows: list[tuple[object, ...]] = []
        for region in self:
            row = region.name, region.size, period_text(region.period_ns), region.users
            inside: tuple[object, ...] = ("", "", "", "")
            if region.readable:
                counters = region.counters
                lateness = f"{counters.lateness_max_ns} ns"
                inside = region.layout, counters.ticks, counters.missed, lateness
            rows.append((*row, *inside))
        return notebook.grid(headings, rows)


def _connect() -> tuple[Link, Family]:
    link = Link()
    try:
        return link, link.find(messages.FAMILY)
    except BaseException:
        link.close()
        raise


def _set_access(region: RegionInfo) -> None:
    """Give the nodes of a region its mode and owner, as far as they have others."""
    samples = region.path.with_name(f"{region.name}.samples")
    for node, most in ((region.path, 0o777), (samples, 0o444)):
        with suppress(FileNotFoundError):
            now = node.stat()
            if (now.st_uid, now.st_gid) != (region.uid, region.gid):
                os.chown(node, region.uid, region.gid)
            if stat.S_IMODE(now.st_mode) != region.mode & most:
                node.chmod(region.mode & most)


def _region(values: dict[str, Any]) -> RegionInfo:
    """Return a region of the values of a message. Raise IncompatibleError if some are missing."""
    try:
        return _decoded(values)
    except (KeyError, TypeError) as error:
        words = f"the loaded module is of another release; its message does not fit: {error}"
        name = values.get("name")
        raise IncompatibleError(errno.EPROTO, words, name, OTHER_RELEASE) from error


def _decoded(values: dict[str, Any]) -> RegionInfo:
    values["print"] = _known(PrintMode, values["print"])
    if "counters" in values:
        values["counters"] = Counters(**values["counters"])
    values["clock"] = _known(Clock, values["clock"])
    tasks = values.get("tasks", [])
    values["tasks"] = tuple(
        TaskInfo(**{**task, "stopped": bool(task["stopped"])}) for task in tasks
    )
    return _told({"cpu": None, **values})


def _told(values: dict[str, Any]) -> RegionInfo:
    """Return a region of what is known of it: without counters, without all that is INSIDE."""
    region = RegionInfo(**{"layout": "", "counters": None, **values})
    for name in INSIDE if "counters" not in values else ():
        # Frozen, and yet to be without: see __getattr__().
        object.__delattr__(region, name)
    return region


def _events(received: Iterable[bytes]) -> Iterator[Event]:
    for message in received:
        operation, values = messages.decode(message)
        # A newer module may tell of what has no name here.
        if operation in _EVENTS:
            yield _EVENTS[operation](_region(values))


def _known(kind: type[T], value: Any) -> T | str:
    """Return the member of an enum, or the text of a value that only a newer module has."""
    try:
        return kind(value)  # type: ignore[call-arg]
    except ValueError:
        return str(value)
