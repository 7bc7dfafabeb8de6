"""Making and removing regions: what takes long keeps nobody else waiting."""

from __future__ import annotations

import errno
import os
import socket
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import rtshm

from tests.lib import first, ftrace
from tests.lib.child import killed
from tests.lib.genl import GET, Genl, attrs
from tests.lib.libc import PAGE
from tests.lib.module import PATIENCE, thread_of
from tests.lib.waiting import wait_until

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.lib.fixtures import Load

HOUR_NS = 3_600_000_000_000
MS = 1_000_000
LARGE = 200 << 20
OTHER = Path("/dev/rtshm/other.samples")


def looks_during(act: Callable[[], object], look: Callable[[], object]) -> int:
    """How many times `look` was done, one after another, until `act` was."""
    thread = threading.Thread(target=act)
    thread.start()
    looks = 0
    while thread.is_alive():
        look()
        looks += 1
    thread.join()
    return looks


def open_and_close() -> None:
    os.close(os.open(OTHER, os.O_RDONLY))


@pytest.mark.parametrize("large", ["region", "history"])
def test_making_something_large_keeps_no_reader_waiting(control: rtshm.Control, large: str) -> None:
    control.create("other", period=HOUR_NS, history=10)
    control.create("b", size=PAGE, period=HOUR_NS)

    def make() -> None:
        with rtshm.Control() as another:
            if large == "region":
                another.create("a", size=LARGE, period=HOUR_NS)
            else:
                another.set("b", history=60_000, record_bytes=4096)
                another.set("b", history=0)

    # The time of a look decides how many there are: as few instructions as can be.
    with Genl() as link:
        one = attrs(name="other")

        def look() -> None:
            open_and_close()
            link.ask(GET, one)

        # A waiter has looked once or twice by then.
        assert looks_during(make, look) > 10


def test_limit_of_bytes_holds_for_those_that_are_being_made(load: Load) -> None:
    count, fit, pages = 8, 5, 512
    load(print=0, bytes_max=(1 + fit * pages) * PAGE, period_ns=HOUR_NS)
    done: list[int] = []

    def make(name: str) -> None:
        with rtshm.Control() as control:
            try:
                control.create(name, size=pages * PAGE, period=HOUR_NS)
                done.append(0)
            except OSError as error:
                done.append(error.errno or -1)

    makers = [threading.Thread(target=make, args=(f"r{i}",)) for i in range(count)]
    for maker in makers:
        maker.start()
    for maker in makers:
        maker.join(PATIENCE)
    assert sorted(done) == fit * [0] + (count - fit) * [errno.ENOSPC]
    with rtshm.Control() as control:
        # A refused region leaves its name and its share of the rate.
        names = {region.name for region in control.list()} - {"default"}
        (refused, *_) = {f"r{i}" for i in range(count)} - names
        control.delete(names.pop())
        control.create(refused, size=pages * PAGE, period=HOUR_NS)


def test_two_that_make_the_same_region_make_one(control: rtshm.Control) -> None:
    for _ in range(5):
        done: list[int] = []

        def make(done: list[int] = done) -> None:
            with rtshm.Control() as another:
                try:
                    another.create("a", size=16 << 20, period=HOUR_NS)
                    done.append(0)
                except OSError as error:
                    done.append(error.errno or -1)

        makers = [threading.Thread(target=make) for _ in range(4)]
        for maker in makers:
            maker.start()
        for maker in makers:
            maker.join(PATIENCE)
        assert sorted(done) == [0, *3 * [errno.EEXIST]]
        control.delete("a")


def compute(cpu: int, priority: int) -> None:
    os.sched_setaffinity(0, {cpu})
    os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(priority))
    while True:
        pass


@pytest.mark.needs("cpus", "settings")
def test_delete_that_waits_for_its_thread_keeps_nobody_else_waiting(
    control: rtshm.Control,
) -> None:
    control.create("a", period=10 * MS, history=10, cpu=1)
    control.create("other", period=10 * MS, history=10, cpu=1)
    pid = thread_of("a")
    assert pid is not None
    os.sched_setaffinity(pid, {0})
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {1})
    runtime = Path("/proc/sys/kernel/sched_rt_runtime_us")
    throttling = runtime.read_text()
    runtime.write_text("-1")

    def delete() -> None:
        with rtshm.Control() as another:
            another.delete("a")

    deleter = threading.Thread(target=delete)
    try:
        with killed(lambda: compute(0, 60)):
            time.sleep(0.3)
            deleter.start()
            wait_until(lambda: "a" not in {region.name for region in control.list()}, "a deletion")
            assert deleter.is_alive(), "it did not have to wait"
            for _ in range(20):
                open_and_close()
                assert [region.name for region in control.list()] == ["default", "other"]
                assert deleter.is_alive(), "this waited for the deletion"
            with pytest.raises(OSError) as refused:
                control.create("a")
            assert refused.value.errno == errno.EEXIST
            with pytest.raises(OSError) as refused:
                control.delete("a")
            assert refused.value.errno == errno.ENOENT
    finally:
        runtime.write_text(throttling)
        os.sched_setaffinity(0, before)
        deleter.join(PATIENCE)
    control.create("a")


@pytest.mark.qemu
@pytest.mark.needs("hotplug")
def test_period_is_shortened_while_its_cpu_comes_and_goes(control: rtshm.Control) -> None:
    """The timer is on its own cpu afterwards; another region waits for none of it."""
    online = Path("/sys/devices/system/cpu/cpu1/online")
    control.create("a", period=10 * MS, cpu=1)

    def toggle() -> None:
        for state in 10 * "01":
            online.write_text(state)

    toggling = threading.Thread(target=toggle)
    toggling.start()
    try:
        while toggling.is_alive():
            for period in (10 * MS, 5 * MS):
                control.set("a", period=period)
    finally:
        toggling.join(PATIENCE)
        online.write_text("1")
    with ftrace.tracing('region == "a"'):
        assert {tick.cpu for tick in ftrace.at_least(20)} == {1}


UEVENTS = 15


def test_region_can_be_changed_when_udev_hears_of_it(control: rtshm.Control) -> None:
    """It is complete then: both nodes are there, and nothing can fail any more."""
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, UEVENTS) as heard:
        heard.bind((0, 1))
        heard.settimeout(PATIENCE)
        making = threading.Thread(target=control.create, args=("a",), kwargs={"history": 10})
        making.start()
        while not (message := heard.recv(8192)).startswith(b"add@"):
            pass
        with rtshm.Control() as another:
            assert another.set("a", period=HOUR_NS).period_ns == HOUR_NS
        making.join(PATIENCE)
        assert b"DEVNAME=rtshm/a\0" in message
        assert b"DEVNAME=rtshm/a.samples\0" in heard.recv(8192)


def test_region_that_cannot_be_made_is_heard_of_by_nobody(load: Load) -> None:
    load(print=0, bytes_max=4 * PAGE)
    with (
        rtshm.Control() as control,
        control.watch(timeout=PATIENCE) as watch,
        socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, UEVENTS) as heard,
    ):
        heard.bind((0, 1))
        with pytest.raises(OSError) as refused:
            # Its own page is there, the history is not.
            control.create("a", history=4 * PAGE // 40)
        assert refused.value.errno == errno.ENOSPC
        control.create("b")
        event = next(watch)
        assert isinstance(event, rtshm.Created)
        assert event.region.name == "b"
        assert b"DEVNAME=rtshm/b\0" in heard.recv(8192)


def test_record_bytes_of_a_region_without_history_change_and_it_ticks_on(
    control: rtshm.Control,
) -> None:
    control.create("a", period=MS, history=0)
    changed = control.set("a", record_bytes=16)
    assert (changed.record_bytes, changed.history) == (16, 0)
    ticks = control.get("a").counters.ticks
    first.tick("a", ticks + 10)
    assert not Path("/dev/rtshm/a.samples").exists()
