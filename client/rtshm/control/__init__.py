"""The control plane: make, find, change, watch and remove regions."""

from __future__ import annotations

import asyncio
import enum
import errno
import select
import time
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Self, overload

from rtshm.control import messages
from rtshm.control.messages import Command
from rtshm.control.netlink import Link
from rtshm.errors import ClosedError, add_remedy, control_remedy
from rtshm.layout import Layout, as_layout
from rtshm.paths import DEVICES

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

    import construct

    from rtshm.control.netlink import Family

_POLL_MAX_MS = 2**31 - 1
_DRAIN_SECONDS = 1.0


class PrintMode(enum.StrEnum):
    """When a tick prints the region's value in the kernel log: ten lines a second at most."""

    OFF = "off"
    """Never."""
    EVERY_TICK = "every-tick"
    """At each."""
    CHANGES = "changes"
    """At the first tick, and at each that finds another value than was printed."""


class Clock(enum.StrEnum):
    """The clock that a region's ticks are on, as clock_gettime(2) has it."""

    MONOTONIC = "monotonic"
    """Since boot, without the time in suspend; nobody sets it."""
    REALTIME = "realtime"
    """Set ahead, the periods between are missed; set back, the next tick comes within one."""
    TAI = "tai"
    """As REALTIME, but for leap seconds."""


@dataclass(frozen=True, slots=True)
class Task:
    """Code of another module that the ticks of a region run, and what they counted of it."""

    name: str
    """As its module gave it."""
    ticks: int
    """How often it ran since it was added."""
    time_max_ns: int
    """The longest that it took; of the first of a region, with what the tick does before it."""
    overruns: int
    """How often it took longer than the region's task_budget_ns."""
    stopped: bool
    """Whether it was stopped for its length, by task_long_max."""


@dataclass(frozen=True, slots=True)
class Counters:
    """What the ticks of a region counted since it was made, all as of one tick."""

    ticks: int
    """How many there were."""
    missed: int
    """Periods that went by without a tick of their own."""
    published: int
    """Announced values that a tick took."""
    lateness_min_ns: int
    """Least time from when a tick was due to when it ran, in ns; 0 before the first."""
    lateness_max_ns: int
    """The most, in ns."""
    lateness_sum_ns: int
    """Of all ticks, in ns."""
    lateness_histogram: tuple[int, ...]
    """32 counters of ticks. Number i has those that were 2**i ns late or more, and less than
    2**(i+1); the first also those less than 1 ns late, the last also all that were later."""

    @property
    def lateness_mean_ns(self) -> float:
        """The mean, in ns; 0.0 before the first tick."""
        return self.lateness_sum_ns / self.ticks if self.ticks else 0.0


@dataclass(frozen=True, slots=True)
class RegionInfo:
    """A region as the kernel described it at one moment."""

    name: str
    """That of its device node in /dev/rtshm: `[a-z0-9][a-z0-9_-]{0,30}`."""
    id: int
    """From 1, in the order of making; not used again while the module is loaded."""
    size: int
    """Bytes."""
    period_ns: int
    """From tick to tick, in ns."""
    print: PrintMode
    """When its ticks print."""
    record_depth: int
    """Samples that are kept of the region's history."""
    record_bytes: int
    """Bytes from the region's beginning that a sample keeps."""
    layout: str
    """What lies where in the region; the kernel stores it and does not look into it."""
    mode: int
    """Access mode of the device node, as 0o600."""
    uid: int
    """Its owner."""
    gid: int
    """Its group."""
    cpu: int | None
    """The cpu that the timer was put on; None: any."""
    users: int
    """Open files of the region; a mapping holds its file open."""
    counters: Counters
    """What its ticks counted."""
    sample_bytes: int | None = None
    """Bytes of a sample of the region's history; None: nothing is recorded."""
    clock: Clock = Clock.MONOTONIC
    """That its ticks are on."""
    phase_ns: int | None = None
    """Ticks are due at multiples of the period on the clock and so many ns later; None: from the
    first tick on."""
    start_ns: int | None = None
    """When the first tick is due, in ns on the clock; None: at once."""
    task_budget_ns: int = 0
    """A task that takes more ns in a tick has an overrun; 0: there is no budget."""
    task_long_max: int = 0
    """A task that takes longer than half the period so many ticks in a row is stopped; 0: never."""
    tasks: tuple[Task, ...] = ()
    """In the order of running."""
    phys: int | None = None
    """Physical address of its raw memory; 0 for who has not CAP_SYS_RAWIO, and in events. None:
    it has memory of the kernel's."""
    keep: bool = False
    """Whether it began with what was in its raw memory."""
    access_default: bool = False
    """Whether it was made without mode, uid, gid and phys, so that the machine's udev rule may
    say who uses it."""
    lead_ns: int = 0
    """So many ns before a tick is due its cpu waits for it; 0: what keeps the interrupt makes the
    tick late."""

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
    """A region was made."""

    region: RegionInfo
    """As it was then."""


@dataclass(frozen=True, slots=True)
class Changed:
    """A region has other settings than before."""

    region: RegionInfo
    """As it was from then on."""


@dataclass(frozen=True, slots=True)
class Deleted:
    """A region was removed."""

    region: RegionInfo
    """As it was at the end: its counters are final."""


@dataclass(frozen=True, slots=True)
class Overrun:
    """Events came faster than they were read, and some were lost; `regions` is all there is.

    The list was read after the loss. Events after this one may tell again what
    it has already; who puts the list in the place of what was known, and then
    the events one by one on top, by the regions' ids, ends with the truth.
    """

    regions: Sequence[RegionInfo]
    """As Control.list() has them."""


Event = Created | Changed | Deleted | Overrun

_EVENTS: dict[int, type[Created | Changed | Deleted]] = {
    Command.REGION_NEW_NTF: Created,
    Command.REGION_SET_NTF: Changed,
    Command.REGION_DEL_NTF: Deleted,
}


class Control:
    """The control plane of the loaded module. A context manager; close() may be called twice.

    Asking is open to everybody in the initial network namespace; create, set
    and delete take CAP_NET_ADMIN in the initial user namespace (root outside
    of containers).

    Raises OSError by the kernel's errno (FileNotFoundError: no module, no such
    region; PermissionError, FileExistsError, ...) with the kernel's own words,
    the region's name as `filename`, and where it helps a note that says what
    to do. What a message cannot carry never gets there: OverflowError for a
    number, ValueError for a text.

    The kernel answers at once, so nothing here needs awaiting. Threads may
    share it, with a forked child it is not to be shared.
    """

    def __init__(self) -> None:
        self._link, self._family = _connect()
        self.closed = False

    def create(
        self,
        name: str,
        *,
        size: int | None = None,
        period: timedelta | int | None = None,
        print: PrintMode | None = None,
        record_depth: int | None = None,
        record_bytes: int | None = None,
        layout: Layout | construct.Struct | str | None = None,
        mode: int | None = None,
        uid: int | None = None,
        gid: int | None = None,
        cpu: int | None = None,
        clock: Clock | None = None,
        phase: timedelta | int | None = None,
        start_ns: int | None = None,
        task_budget: timedelta | int | None = None,
        task_long_max: int | None = None,
        phys: int | None = None,
        keep: bool = False,
        lead: timedelta | int | None = None,
    ) -> RegionInfo:
        """Make a region; what is None is the kernel's default. Its device node is there on return.

        Returns the region as the kernel made it. Raises OSError: EEXIST for a
        name that is taken, EINVAL and ERANGE for what is not allowed, with the
        limit, ENOSPC and ENOMEM when there is no room for it, EPERM.

        `period`, `phase`, `task_budget` and `lead` are a timedelta, or an int of
        ns; `start_ns` is a time of `clock`, as time.clock_gettime_ns() has it;
        `size` is bytes, a multiple of the page size; `layout` is kept as its
        text, a str as it is; `mode`, `uid` and `gid` are the device node's;
        `phys` is the physical address of raw memory that the kernel was told to
        leave alone, which takes CAP_SYS_RAWIO too, and is zeroed unless `keep`.
        For `lead` the cpu waits before each tick is due, 100 us and a quarter of
        the period at most, so that what keeps the interrupt makes no tick late.
        """
        return self._one(
            Command.REGION_NEW,
            name,
            size=size,
            period_ns=_nanoseconds(period),
            print=print,
            record_depth=record_depth,
            record_bytes=record_bytes,
            layout=_layout_text(layout),
            mode=mode,
            uid=uid,
            gid=gid,
            cpu=cpu,
            clock=clock,
            phase_ns=_nanoseconds(phase),
            start_ns=start_ns,
            task_budget_ns=_nanoseconds(task_budget),
            task_long_max=task_long_max,
            phys=phys,
            keep=keep or None,
            lead_ns=_nanoseconds(lead),
        )

    def delete(self, name: str) -> None:
        """Remove a region. Who has it open keeps its memory; no tick works on it any more.

        Raises OSError: ENOENT, EPERM.
        """
        self._request(Command.REGION_DEL, name)

    def set(
        self,
        name: str,
        *,
        period: timedelta | int | None = None,
        print: PrintMode | None = None,
        record_depth: int | None = None,
        record_bytes: int | None = None,
        task_budget: timedelta | int | None = None,
        task_long_max: int | None = None,
    ) -> RegionInfo:
        """Change what is not None, all of it or, when any is refused, nothing.

        Times are a timedelta, or an int of ns. What is as it was already makes
        no event. Returns the region as it is then. Raises OSError: EBUSY for
        another depth or record while its samples are open, ENOENT, EINVAL,
        ERANGE, ENOSPC, ENOMEM, EPERM.
        """
        return self._one(
            Command.REGION_SET,
            name,
            period_ns=_nanoseconds(period),
            print=print,
            record_depth=record_depth,
            record_bytes=record_bytes,
            task_budget_ns=_nanoseconds(task_budget),
            task_long_max=task_long_max,
        )

    def get(self, name: str) -> RegionInfo:
        """One region as it is now. Raises FileNotFoundError if there is none of the name."""
        return self._one(Command.REGION_GET, name)

    def list(self) -> Sequence[RegionInfo]:
        """All regions as of one moment, in the order of their ids.

        An item is decoded when it is first looked at. Raises BlockingIOError
        if regions came and went at each of many tries to read them.
        """
        self._check_open()
        return _Regions(self._link.dump(self._family.id, messages.encode(Command.REGION_GET)))

    def watch(self, timeout: float | timedelta | None = None) -> Watch:
        """What happens to regions from now on, for `timeout` seconds (None: for ever)."""
        self._check_open()
        return Watch(timeout)

    def close(self) -> None:
        """Let the socket go; twice is as good. What is asked after it is ClosedError."""
        self.closed = True
        self._link.close()

    def __enter__(self) -> Self:
        self._check_open()
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    def _one(self, command: Command, name: str, **values: object) -> RegionInfo:
        (reply,) = self._request(command, name, **values)
        return _region(messages.decode(reply)[1])

    def _request(self, command: Command, name: str, **values: object) -> Sequence[bytes]:
        self._check_open()
        message = messages.encode(command, name=name, **values)
        try:
            return self._link.request(self._family.id, message)
        except OSError as error:
            add_remedy(error, name, control_remedy(error.errno))
            raise

    def _check_open(self) -> None:
        if self.closed:
            raise ClosedError("the control is closed; open another")


class Watch:
    """Events, from when watch() returned: an iterator, an async iterator, a context manager.

    Ends when its time is over; what came by then is still given, for a second
    at most. close() may be called twice and ends it at once, for a task that
    waits for an event too; a thread that waits is not woken. An error ends it
    as well: OSError(ENODEV) says that the module was unloaded.
    """

    def __init__(self, timeout: float | timedelta | None) -> None:
        if isinstance(timeout, timedelta):
            timeout = timeout.total_seconds()
        self._link, self._family = _connect()
        self._link.join(self._family, messages.REGIONS_GROUP)
        self._deadline = float("inf") if timeout is None else time.monotonic() + timeout
        self._events: deque[Event] = deque()
        self._waiter: asyncio.Future[None] | None = None
        self.closed = False

    def fileno(self) -> int:
        """The descriptor, for select and poll: readable when there may be an event.

        Other families of generic netlink that come and go make it readable
        too, and next() then waits on.
        """
        if self.closed:
            raise ClosedError("the watch is closed; begin another")
        return self._link.fileno()

    def close(self) -> None:
        """End it; twice is as good."""
        if self.closed:
            return
        self.closed = True
        if self._waiter:
            self._waiter.get_loop().remove_reader(self._link.fileno())
            _wake(self._waiter)
        self._link.close()

    def __enter__(self) -> Self:
        self.fileno()
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> Event:
        while (event := self._take()) is None:
            left = self._left()
            if left <= 0:
                raise StopIteration
            poll = select.poll()
            poll.register(self._link.fileno(), select.POLLIN)
            poll.poll(min(left * 1000, _POLL_MAX_MS))
        return event

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Event:
        while (event := self._take()) is None:
            left = self._left()
            if left <= 0:
                raise StopAsyncIteration
            await self._readable(left)
        return event

    async def _readable(self, seconds: float) -> None:
        loop = asyncio.get_running_loop()
        self._waiter = loop.create_future()
        loop.add_reader(self._link.fileno(), _wake, self._waiter)
        try:
            await asyncio.wait([self._waiter], timeout=min(seconds, _POLL_MAX_MS / 1000))
        finally:
            self._waiter = None
            # Once closed, the number may be another file's.
            if not self.closed:
                loop.remove_reader(self._link.fileno())

    def _left(self) -> float:
        """Seconds; none at the end, which stays the end."""
        left = self._deadline - time.monotonic()
        if left <= 0:
            self.close()
        return 0 if self.closed else left

    def _take(self) -> Event | None:
        """The next event if there is one. Never waits."""
        if self.closed or time.monotonic() >= self._deadline + _DRAIN_SECONDS:
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
            self.close()
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
        return repr(list(self))


def _connect() -> tuple[Link, Family]:
    link = Link()
    try:
        return link, link.find(messages.FAMILY)
    except BaseException:
        link.close()
        raise


def _region(values: dict[str, Any]) -> RegionInfo:
    values["print"] = PrintMode(values["print"])
    values["counters"] = Counters(**values["counters"])
    values["clock"] = Clock(values["clock"])
    tasks = values.get("tasks", [])
    values["tasks"] = tuple(Task(**{**task, "stopped": bool(task["stopped"])}) for task in tasks)
    return RegionInfo(**{"cpu": None, **values})


def _events(received: Iterable[bytes]) -> Iterator[Event]:
    for message in received:
        operation, values = messages.decode(message)
        # A newer module may tell of what has no name here.
        if operation in _EVENTS:
            yield _EVENTS[operation](_region(values))


def _nanoseconds(period: timedelta | int | None) -> int | None:
    if isinstance(period, timedelta):
        return period // timedelta(microseconds=1) * 1000
    return period


def _layout_text(layout: Layout | construct.Struct | str | None) -> str | None:
    if layout is None or isinstance(layout, str):
        return layout
    return as_layout(layout).text


def _wake(waiter: asyncio.Future[None]) -> None:
    if not waiter.done():
        waiter.set_result(None)
