"""The control plane of the library, on the real module."""

from __future__ import annotations

import asyncio
import errno
import itertools
import os
import random
import signal
import socket
import struct
import threading
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest
import rtshm
from rtshm.control import messages, netlink
from rtshm.control.messages import Command
from rtshm.control.netlink import Link

from tests.lib import child, first, module
from tests.lib.genl import NEW, Genl, attrs
from tests.lib.libc import PAGE
from tests.lib.module import LIFETIME, PATIENCE
from tests.lib.waiting import when_polling

if TYPE_CHECKING:
    from collections.abc import Callable

    from rtshm.control import Event, Watch

    from tests.lib.fixtures import Load

NEVER = timedelta(hours=1)
NEVER_NS = 3_600_000_000_000
MANY = 30
# So long that a list of MANY does not fit one datagram.
LAYOUT = "x" * 997 + ":u8"
NOT_LOADED = "the module is not loaded: sudo modprobe rtshm (built here: sudo insmod rtshm.ko)"
ELSEWHERE = (
    "the module answers only in the initial network namespace, outside of containers; "
    "a region can be opened here by its path, with its history"
)
NOBODY = 65534


@pytest.fixture
def many(control: rtshm.Control) -> list[str]:
    """Names of MANY regions."""
    names = [f"r{number:02}" for number in range(MANY)]
    for name in names:
        control.create(name, period=NEVER, layout=LAYOUT)
    return names


def settings(region: rtshm.RegionInfo) -> dict[str, object]:
    """What no tick changes."""
    names = ("name", "id", "size", "period_ns", "print", "history", "record_bytes", "layout")
    return {name: getattr(region, name) for name in (*names, "mode", "uid", "gid", "cpu", "users")}


DEFAULTS = {
    "size": PAGE,
    "period_ns": 500_000_000,
    "print": rtshm.PrintMode.OFF,
    "history": 0,
    "record_bytes": 8,
    "layout": "",
    "mode": 0o600,
    "uid": 0,
    "gid": 0,
    "cpu": None,
    "users": 0,
}


# One region.


def test_region_of_the_module_is_there(control: rtshm.Control) -> None:
    region = control.get("default")
    assert settings(region) == {**DEFAULTS, "name": "default", "id": 1, "period_ns": NEVER_NS}
    assert region.period == NEVER
    assert region.path == module.DEVICE


def test_omitted_attribute_gets_the_kernels_default(control: rtshm.Control) -> None:
    region = control.create("motor")
    assert settings(region) == {**DEFAULTS, "name": "motor", "id": 2}


def test_every_field_comes_back_as_it_was_given(control: rtshm.Control) -> None:
    given = {
        "size": 2 * PAGE,
        "print": rtshm.PrintMode.CHANGES,
        "history": 1000,
        "record_bytes": 16,
        "layout": "speed:f64 path:u8[8]",
        "mode": 0o640,
        "uid": 1000,
        "gid": 2**32 - 2,
        "cpu": 0,
    }
    made = control.create("a-_9", period=1_234_567_891, **given)  # type: ignore[arg-type]
    wanted = {**DEFAULTS, **given, "name": "a-_9", "id": 2, "period_ns": 1_234_567_891}
    assert settings(made) == wanted
    assert settings(control.get("a-_9")) == wanted
    assert settings(control.list()[1]) == wanted
    assert made.period == timedelta(microseconds=1_234_568)
    node = made.path.stat()
    assert (node.st_mode & 0o7777, node.st_uid, node.st_gid) == (0o640, 1000, 2**32 - 2)
    with rtshm.open("a-_9", readonly=True) as region:
        assert region.size == 2 * PAGE
        assert control.get("a-_9").users == 1
    assert control.get("a-_9").users == 0


def test_history_that_is_set_later_has_the_layout(control: rtshm.Control) -> None:
    assert control.create("motor", layout="speed:f64 gain:f32").record_bytes == 24
    control.set("motor", history=100)
    with rtshm.Samples("motor") as samples:
        assert {"speed", "gain"} <= set(samples.read_array().dtype.names or ())
    assert control.create("given", layout="speed:f64", record_bytes=8).record_bytes == 8
    long = control.create("long", size=2 * PAGE, layout="a:u8[5000]")
    assert long.record_bytes == 4096


def test_set_changes_what_is_given_and_nothing_else(control: rtshm.Control) -> None:
    before = settings(
        control.create("motor", size=2 * PAGE, period=NEVER, layout="x:i32", mode=0o640)
    )
    changes: list[dict[str, Any]] = [
        {"period": 2 * NEVER_NS // 3},
        {"print": rtshm.PrintMode.EVERY_TICK},
        {"history": 10},
        {"record_bytes": 4096},
        {"period": timedelta(seconds=3000), "print": rtshm.PrintMode.OFF},
    ]
    for change in changes:
        before |= {key: value for key, value in change.items() if key != "period"}
        if period := change.get("period"):
            is_int = isinstance(period, int)
            before["period_ns"] = period if is_int else period.seconds * 10**9
        assert settings(control.set("motor", **change)) == before
        assert settings(control.get("motor")) == before
    assert settings(control.set("motor")) == before


def test_counters_count_what_the_ticks_did(control: rtshm.Control) -> None:
    assert control.get("default").counters.published == 0
    created = control.create("fast", period=timedelta(milliseconds=10))
    with rtshm.open("fast") as region:
        for value in range(5):
            region.publish(value)
            region.wait_taken(PATIENCE)
    counters = control.get("fast").counters
    assert counters.published == 5
    assert counters.ticks >= 5
    assert counters.ticks > created.counters.ticks
    assert sum(counters.lateness_histogram) == counters.ticks
    assert len(counters.lateness_histogram) == 32
    assert counters.lateness_min_ns <= counters.lateness_mean_ns <= counters.lateness_max_ns
    least = max(counters.lateness_min_ns, 1).bit_length() - 1
    most = max(counters.lateness_max_ns, 1).bit_length() - 1
    used = [number for number, ticks in enumerate(counters.lateness_histogram) if ticks]
    assert (used[0], used[-1]) == (least, most)


def test_deleted_region_is_gone_and_its_name_free(control: rtshm.Control) -> None:
    first = control.create("motor", size=2 * PAGE)
    control.delete("motor")
    for ask in (control.get, control.delete, control.set):
        with pytest.raises(FileNotFoundError) as refused:
            ask("motor")
        assert refused.value.strerror == "name: no such region"
    assert [region.name for region in control.list()] == ["default"]
    again = control.create("motor")
    assert (again.size, again.id) == (PAGE, first.id + 1)


def test_layout_that_is_not_utf_8_can_be_shown(control: rtshm.Control) -> None:
    with Genl() as link:
        link.ask(NEW, attrs(name="odd", layout=b"a\xff:u8\0"))
    assert control.get("odd").layout == r"a\xff:u8"
    assert control.list()[1].layout == r"a\xff:u8"


# Refusals.


def test_refusal_has_errno_name_and_the_kernels_words(control: rtshm.Control) -> None:
    """tests/module/test_netlink.py has what is refused, of each attribute."""
    for given, error, code, words in (
        (
            {"name": "default"},
            rtshm.RegionExistsError,
            errno.EEXIST,
            "name: a region with this name already exists",
        ),
        ({"period": timedelta(hours=2)}, OSError, errno.ERANGE, "period-ns: give 100000"),
    ):
        arguments: dict[str, Any] = {"name": "motor", **given}
        with pytest.raises(error) as refused:
            control.create(**arguments)
        assert refused.value.errno == code
        assert (refused.value.strerror or "").startswith(words)
        assert refused.value.filename == arguments["name"]
    assert [region.name for region in control.list()] == ["default"]


def test_refused_set_changes_nothing(control: rtshm.Control) -> None:
    before = settings(control.get("default"))
    with pytest.raises(OSError) as refused:
        control.set("default", period=timedelta(seconds=1), record_bytes=8200)
    assert refused.value.errno == errno.EINVAL
    assert settings(control.get("default")) == before


def test_value_that_cannot_be_sent_is_refused_before(control: rtshm.Control) -> None:
    with pytest.raises(OverflowError, match="period-ns: -1000 does not fit u64; give 0 to"):
        control.create("motor", period=timedelta(microseconds=-1))
    with pytest.raises(TypeError, match=r"0\.5 has no unit; give a text with one"):
        control.create("motor", period=0.5)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="has a NUL in it"):
        control.get("default\0")
    assert [region.name for region in control.list()] == ["default"]


def refused_creation(control: rtshm.Control) -> None:
    with pytest.raises(rtshm.AccessError) as refused:
        control.create("motor")
    assert refused.value.errno == errno.EPERM
    assert refused.value.strerror == "this takes CAP_SYS_RESOURCE in the initial user namespace"
    assert refused.value.remedy == "use sudo, outside of containers"
    for change in (control.delete, control.set):
        with pytest.raises(PermissionError):
            change("default")


def become_nobody() -> None:
    os.setgroups([])
    os.setresgid(NOBODY, NOBODY, NOBODY)
    os.setresuid(NOBODY, NOBODY, NOBODY)


@pytest.mark.parametrize("become", [become_nobody, lambda: module.unshare(module.CLONE_NEWUSER)])
def test_unprivileged_user_may_only_list_and_watch(load: Load, become: Callable[[], None]) -> None:
    load(print=0)

    def ask_and_change() -> None:
        become()
        with rtshm.Control() as control, control.watch(timeout=0) as watch:
            assert control.get("default").id == 1
            assert len(control.list()) == 1
            assert list(watch) == []
            refused_creation(control)

    assert child.status_of(ask_and_change) == 0


def test_other_network_namespace_is_told_so(load: Load) -> None:
    load(print=0)

    def connect() -> None:
        module.unshare(module.CLONE_NEWNET)
        with pytest.raises(rtshm.ModuleNotLoadedError) as refused:
            rtshm.Control()
        assert refused.value.remedy == ELSEWHERE

    assert child.status_of(connect) == 0


def test_without_the_module_it_says_so() -> None:
    descriptors = set(os.listdir("/proc/self/fd"))
    with pytest.raises(rtshm.ModuleNotLoadedError) as refused:
        rtshm.Control()
    assert refused.value.errno == errno.ENOENT
    assert refused.value.remedy == NOT_LOADED
    assert set(os.listdir("/proc/self/fd")) == descriptors


def test_control_misses_the_module_and_finds_it_when_it_is_loaded_again(load: Load) -> None:
    load(print=0)
    with rtshm.Control() as control:
        module.unload()
        for ask in (control.list, lambda: control.get("default"), control.watch):
            with pytest.raises(rtshm.ModuleNotLoadedError) as refused:
                ask()
            assert refused.value.remedy == NOT_LOADED
        load(print=0)
        assert control.get("default").id == 1


def test_close_twice_and_use_after_close(control: rtshm.Control) -> None:
    control.close()
    control.close()
    uses: list[Callable[[], object]] = [
        control.list,
        control.watch,
        lambda: control.get("default"),
        lambda: control.create("a"),
        lambda: control.set("default"),
        lambda: control.delete("default"),
        lambda: control.__enter__(),
    ]
    for use in uses:
        with pytest.raises(rtshm.ClosedError, match="Control closed"):
            use()


# The list.


def test_list_has_all_regions_in_the_order_of_their_making(
    control: rtshm.Control, many: list[str]
) -> None:
    regions = control.list()
    assert [region.name for region in regions] == ["default", *many]
    assert [region.id for region in regions] == list(range(1, MANY + 2))
    assert settings(regions[-1]) == settings(control.get(many[-1]))


@pytest.fixture
def more(control: rtshm.Control, many: list[str]) -> list[str]:
    """Names of 2 * MANY regions: more than the kernel describes before the first are read."""
    names = [f"s{number:02}" for number in range(MANY)]
    for name in names:
        control.create(name, period=NEVER, layout=LAYOUT)
    return [*many, *names]


def between_datagrams(
    monkeypatch: pytest.MonkeyPatch, control: rtshm.Control, act: Callable[[], object]
) -> None:
    """Have `act` done after each datagram that `control` receives."""
    receive = Link._datagram

    def receive_and_act(link: Link, flags: int = 0) -> bytes:
        datagram = receive(link, flags)
        if link is control._link:
            act()
        return datagram

    monkeypatch.setattr(Link, "_datagram", receive_and_act)


def test_list_that_changes_while_it_is_read_is_read_again(
    control: rtshm.Control, more: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    with rtshm.Control() as other:
        todo: list[Callable[[], object]] = [
            lambda: other.create("last", period=NEVER),
            lambda: other.delete("default"),
        ]
        between_datagrams(monkeypatch, control, lambda: todo.pop(0)() if todo else None)
        assert [region.name for region in control.list()] == [*more, "last"]
    assert not todo


def test_list_that_changes_at_every_try_is_refused(
    control: rtshm.Control, more: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    with rtshm.Control() as other, monkeypatch.context() as patch:
        periods = itertools.count(1_000_000_000)
        between_datagrams(patch, control, lambda: other.set("default", period=next(periods)))
        with pytest.raises(BlockingIOError) as refused:
            control.list()
    assert refused.value.errno == errno.EAGAIN
    assert refused.value.strerror == "the list changed while it was read, 20 times in a row"
    assert len(control.list()) == len(more) + 1


# The exchange.


class InterruptedHere(BaseException):
    """As KeyboardInterrupt is: an Exception in its decoding pyroute2 takes for a wrong message."""


def test_interrupted_request_disturbs_no_later_one(control: rtshm.Control, many: list[str]) -> None:
    descriptors = set(os.listdir("/proc/self/fd"))

    def interrupt(*_: object) -> None:
        raise InterruptedHere

    interrupted = 0
    random.seed(1)
    before = signal.signal(signal.SIGALRM, interrupt)
    try:
        while interrupted < 100:
            try:
                # A list takes some 5 ms under emulation, and less elsewhere. Again, since
                # what is raised in a __del__ ends nothing.
                signal.setitimer(signal.ITIMER_REAL, random.uniform(1e-5, 5e-3), 1)
                while True:
                    control.list()
            except InterruptedHere:
                signal.setitimer(signal.ITIMER_REAL, 0)
                interrupted += 1
            if interrupted % 2:
                assert control.get("r12").name == "r12"
            assert len(control.list()) == MANY + 1
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
    assert set(os.listdir("/proc/self/fd")) == descriptors


def test_answer_to_another_request_is_passed_over(control: rtshm.Control) -> None:
    stale = messages.encode(Command.REGION_GET, name="default")
    struct.pack_into("=HHI", stale, 4, control._family.id, 1, 2**31)
    control.create("motor")
    control._link._socket.send(stale)
    assert control.get("motor").name == "motor"
    assert control.get("default").name == "default"


def test_answer_longer_than_the_buffer_is_an_error(
    control: rtshm.Control, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(netlink, "DATAGRAM_BYTES", 128)
        with pytest.raises(OSError) as refused:
            control.get("default")
    assert refused.value.errno == errno.EMSGSIZE
    assert control.get("default").name == "default"


def test_missing_answer_is_an_error_after_a_while(
    load: Load, monkeypatch: pytest.MonkeyPatch
) -> None:
    load(print=0)
    monkeypatch.setattr(netlink, "ANSWER_SECONDS", 1)
    with rtshm.Control() as control:
        with monkeypatch.context() as patch:
            # A message that is not a request, and wants no acknowledgement, has no answer.
            patch.setattr(netlink, "NLM_F_REQUEST", 0)
            patch.setattr(netlink, "NLM_F_ACK", 0)
            with pytest.raises(TimeoutError) as refused:
                control.get("default")
        assert refused.value.errno == errno.ETIMEDOUT
        assert refused.value.strerror == "the kernel did not answer within 1 s"
        assert control.get("default").name == "default"


def test_threads_share_a_control(control: rtshm.Control, many: list[str]) -> None:
    wrong: list[str] = []

    def ask(name: str) -> None:
        for _ in range(20):
            if control.get(name).name != name or len(control.list()) != MANY + 1:
                wrong.append(name)

    threads = [threading.Thread(target=ask, args=[name]) for name in many[:4]]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []


def test_control_works_inside_an_event_loop(control: rtshm.Control) -> None:
    async def ask() -> str:
        return control.get("default").name

    assert asyncio.run(ask()) == "default"


# Events.


def short(event: Event) -> tuple[str, object]:
    assert not isinstance(event, rtshm.Overrun)
    return type(event).__name__, (event.region.name, event.region.period_ns)


def act(control: rtshm.Control) -> list[tuple[str, object]]:
    """Make, change and remove regions; the events that tell of it."""
    control.create("a", period=NEVER)
    control.create("b", period=1_000_000_000)
    control.set("a", period=2_000_000_000)
    control.delete("b")
    control.set("default", print=rtshm.PrintMode.CHANGES)
    control.delete("a")
    return [
        ("Created", ("a", NEVER_NS)),
        ("Created", ("b", 1_000_000_000)),
        ("Changed", ("a", 2_000_000_000)),
        ("Deleted", ("b", 1_000_000_000)),
        ("Changed", ("default", NEVER_NS)),
        ("Deleted", ("a", 2_000_000_000)),
    ]


def test_events_come_in_the_order_of_what_they_tell(control: rtshm.Control) -> None:
    with control.watch(timeout=LIFETIME) as watch:
        wanted = act(control)
        assert [short(next(watch)) for _ in wanted] == wanted


def test_events_come_in_their_order_to_a_task_too(control: rtshm.Control) -> None:
    async def follow() -> list[tuple[str, object]]:
        found = []
        with control.watch(timeout=timedelta(seconds=PATIENCE)) as watch:
            loop = asyncio.get_running_loop()
            wanted = loop.run_in_executor(None, act, control)
            async for event in watch:
                found.append(short(event))
                if len(found) == 6:
                    break
            assert not loop.remove_reader(watch.fileno())
            assert found == await wanted
        return found

    assert len(asyncio.run(follow())) == 6


def test_event_has_the_region_as_it_was_then(control: rtshm.Control) -> None:
    with control.watch(timeout=LIFETIME) as watch:
        made = control.create("motor", size=2 * PAGE, layout="x:i32", period=NEVER)
        control.delete("motor")
        created, deleted = next(watch), next(watch)
    assert isinstance(created, rtshm.Created)
    assert isinstance(deleted, rtshm.Deleted)
    assert settings(created.region) == settings(deleted.region) == settings(made)


def test_set_that_changes_nothing_sends_no_event(control: rtshm.Control) -> None:
    with control.watch(timeout=LIFETIME) as watch:
        control.set("default")
        control.set("default", period=NEVER, print=rtshm.PrintMode.OFF)
        control.create("motor")
        assert short(next(watch)) == ("Created", ("motor", 500_000_000))


def test_watch_outlives_its_control(control: rtshm.Control) -> None:
    watch = control.watch(timeout=LIFETIME)
    control.close()
    with watch, rtshm.Control() as another:
        another.create("motor")
        assert short(next(watch)) == ("Created", ("motor", 500_000_000))


async def events_of(watch: Watch) -> list[Event]:
    return [event async for event in watch]


@pytest.mark.parametrize("timeout", [0.1, 0, -1, timedelta(milliseconds=100)])
def test_watch_ends_at_its_timeout_and_stays_ended(
    control: rtshm.Control, timeout: float | timedelta
) -> None:
    with control.watch(timeout) as watch, control.watch(timeout) as other:
        assert list(watch) == []
        assert asyncio.run(events_of(other)) == []
        control.create("motor")
        assert list(watch) == list(other) == []
        assert asyncio.run(events_of(other)) == []


def test_closed_watch_has_not_merely_ended(control: rtshm.Control) -> None:
    watch = control.watch()
    control.create("motor")
    watch.close()
    watch.close()
    uses: list[Callable[[], object]] = [watch.fileno, watch.__enter__, lambda: list(watch)]
    for use in uses:
        with pytest.raises(rtshm.ClosedError, match="Watch closed"):
            use()


def test_close_ends_the_waiting_of_another_task(control: rtshm.Control) -> None:
    async def follow_and_close() -> None:
        watch = control.watch()
        waiting = asyncio.ensure_future(events_of(watch))
        while not watch._waiters:
            await asyncio.sleep(0)
        watch.close()
        with pytest.raises(rtshm.ClosedError, match="Watch closed"):
            await asyncio.wait_for(waiting, PATIENCE)

    asyncio.run(follow_and_close())


def test_cancelled_wait_loses_no_event(control: rtshm.Control) -> None:
    async def cancel_and_go_on() -> tuple[str, object]:
        with control.watch(timeout=LIFETIME) as watch:
            for _ in range(3):
                waiting = asyncio.ensure_future(anext(watch))
                while not watch._waiters:
                    await asyncio.sleep(0)
                waiting.cancel()
                with pytest.raises(asyncio.CancelledError):
                    await waiting
                assert not asyncio.get_running_loop().remove_reader(watch.fileno())
            control.create("motor")
            return short(await anext(watch))

    assert asyncio.run(cancel_and_go_on()) == ("Created", ("motor", 500_000_000))


@pytest.mark.promise("client: The client survives fork, signals, a kill and a second close")
def test_control_c_leaves_the_watch_usable(control: rtshm.Control) -> None:
    main = threading.main_thread().ident
    assert main
    with control.watch() as watch:
        with when_polling(lambda: signal.pthread_kill(main, signal.SIGINT)):
            with pytest.raises(KeyboardInterrupt):
                next(watch)
        control.create("motor")
        assert short(next(watch)) == ("Created", ("motor", 500_000_000))


def test_unloaded_module_ends_the_watch(load: Load) -> None:
    load(print=0)
    with rtshm.Control() as control:
        watch, other = control.watch(), control.watch()
    control = rtshm.Control()
    control.create("motor")
    module.unload()
    assert short(next(watch)) == ("Created", ("motor", 500_000_000))
    with pytest.raises(OSError, match="the module was unloaded") as ended:
        next(watch)
    assert ended.value.errno == errno.ENODEV
    assert list(watch) == []

    async def follow() -> None:
        await anext(other)
        with pytest.raises(OSError, match="the module was unloaded"):
            await anext(other)

    asyncio.run(follow())
    assert other.closed
    control.close()


# Overruns.


def shrink(watch: Watch) -> None:
    """Have the kernel keep a handful of events for the watch."""
    with socket.socket(fileno=os.dup(watch.fileno())) as same:
        same.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1)


def flood(control: rtshm.Control) -> None:
    for _ in range(100):
        control.create("flood", period=NEVER)
        control.delete("flood")


@pytest.mark.promise(
    "regions: A lost event is reported with the list as it is then, and later events are exact"
)
def test_overrun_has_the_list_and_the_watch_goes_on(control: rtshm.Control) -> None:
    with control.watch(timeout=LIFETIME) as watch:
        shrink(watch)
        control.create("kept", period=NEVER)
        flood(control)
        control.delete("default")
        overrun = next(watch)
        assert isinstance(overrun, rtshm.Overrun)
        assert [region.name for region in overrun.regions] == ["kept"]
        for _ in range(3):
            control.create("later", period=NEVER)
            assert short(next(watch)) == ("Created", ("later", NEVER_NS))
            control.delete("later")
            assert short(next(watch)) == ("Deleted", ("later", NEVER_NS))


def test_overrun_reaches_a_task(control: rtshm.Control) -> None:
    async def follow() -> Event:
        with control.watch(timeout=LIFETIME) as watch:
            shrink(watch)
            flood(control)
            return await anext(watch)

    overrun = asyncio.run(follow())
    assert isinstance(overrun, rtshm.Overrun)
    assert [region.name for region in overrun.regions] == ["default"]


def test_event_while_the_list_is_fetched_is_not_lost(
    control: rtshm.Control, monkeypatch: pytest.MonkeyPatch
) -> None:
    drain = Link.drain

    def act_and_drain(link: Link) -> None:
        control.create("before", period=NEVER)
        drain(link)
        control.create("after", period=NEVER)

    monkeypatch.setattr(Link, "drain", act_and_drain)
    with control.watch(timeout=LIFETIME) as watch:
        shrink(watch)
        flood(control)
        overrun = next(watch)
        assert isinstance(overrun, rtshm.Overrun)
        assert [region.name for region in overrun.regions] == ["default", "before", "after"]
        assert short(next(watch)) == ("Created", ("after", NEVER_NS))


@pytest.mark.promise(
    "regions: A lost event is reported with the list as it is then, and later events are exact"
)
def test_events_applied_to_the_list_give_the_true_list(control: rtshm.Control) -> None:
    known: dict[int, rtshm.RegionInfo] = {}
    overruns = 0
    random.seed(2)

    def toggle(name: str) -> None:
        try:
            control.create(name, period=NEVER)
        except FileExistsError:
            control.delete(name)

    def apply_one(watch: Watch) -> Event:
        nonlocal known, overruns
        match event := next(watch):
            case rtshm.Overrun():
                overruns += 1
                known = {region.id: region for region in event.regions}
            case rtshm.Deleted():
                known.pop(event.region.id, None)
            case _:
                known[event.region.id] = event.region
        return event

    with control.watch(timeout=LIFETIME) as watch:
        shrink(watch)
        for _ in range(300):
            toggle(f"r{random.randrange(8)}")
            # Each toggle leaves something to read: an event, or that it was lost.
            if random.random() < 0.4:
                apply_one(watch)
        # Until the event of a region that was made last is the last one.
        for number in itertools.count():
            control.create(last := f"end{number}", period=NEVER)
            while not isinstance(event := apply_one(watch), rtshm.Overrun):
                if event.region.name == last:
                    break
            else:
                continue
            break
    truth = {region.id: settings(region) for region in control.list()}
    assert {number: settings(region) for number, region in known.items()} == truth
    assert overruns > 3


def test_module_that_went_during_an_overrun_ends_the_watch(load: Load) -> None:
    load(print=0)
    with rtshm.Control() as control:
        reloaded, gone = control.watch(PATIENCE), control.watch(PATIENCE)
        shrink(reloaded)
        shrink(gone)
        flood(control)
    module.unload()
    with pytest.raises(rtshm.ModuleNotLoadedError) as missing:
        next(gone)
    assert missing.value.remedy == NOT_LOADED
    load(print=0)
    with pytest.raises(OSError, match="the module was unloaded") as ended:
        next(reloaded)
    assert ended.value.errno == errno.ENODEV
    assert list(gone) == list(reloaded) == []


# The memory of a deleted region.


@pytest.fixture
def motor(control: rtshm.Control) -> rtshm.RegionInfo:
    """A region whose first tick has been, and that has no other."""
    control.create("motor", period=NEVER)
    return first.tick("motor")


def test_waiting_for_a_region_that_is_deleted_ends_at_once(
    control: rtshm.Control, motor: rtshm.RegionInfo
) -> None:
    with rtshm.open("motor") as region, when_polling(lambda: control.delete("motor")):
        region.publish(1)
        with pytest.raises(rtshm.RegionDeletedError) as refused:
            region.wait_taken()
        assert refused.value.errno == errno.ENODEV
        assert refused.value.filename == str(motor.path)
        assert refused.value.remedy == "no tick will take the value"


@pytest.mark.parametrize("readonly", [False, True])
def test_deleted_region_keeps_its_memory_and_says_what_waits(
    control: rtshm.Control, motor: rtshm.RegionInfo, readonly: bool
) -> None:
    with rtshm.open("motor") as region, rtshm.open("motor", readonly=readonly) as waiter:
        control.delete("motor")
        waiter.wait_taken()
        region.publish(7)
        with pytest.raises(OSError) as refused:
            waiter.wait_taken(PATIENCE)
        assert refused.value.errno == errno.ENODEV
        assert (waiter.some_int, waiter.ready) == (7, True)
        region.ready = False
        waiter.wait_taken()
    with pytest.raises(FileNotFoundError):
        rtshm.open("motor")


def test_deleted_region_calls_a_task_back(control: rtshm.Control, motor: rtshm.RegionInfo) -> None:
    async def wait(region: rtshm.Region) -> None:
        called = asyncio.Event()
        loop = asyncio.get_running_loop()
        region.publish(1)
        loop.add_writer(region, called.set)
        control.delete("motor")
        await asyncio.wait_for(called.wait(), PATIENCE)
        loop.remove_writer(region)

    with rtshm.open("motor") as region:
        asyncio.run(wait(region))
