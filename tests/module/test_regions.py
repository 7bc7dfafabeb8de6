"""Regions by name: what they share with `default`, and what becomes of them."""

from __future__ import annotations

import errno
import mmap
import os
import select
import stat
import struct
import subprocess
import time
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import rtshm
from rtshm import Control, PrintMode

from tests.lib import first, ftrace, genl, libc, module, raw
from tests.lib.child import killed
from tests.lib.genl import DEL, NEW, Genl, Refused, attrs
from tests.lib.kmsg import KernelLog
from tests.lib.libc import PAGE
from tests.lib.module import LIFETIME, PATIENCE
from tests.lib.waiting import wait_until, when_polling

HOUR_NS = 3_600_000_000_000
DEVICES = Path("/dev/rtshm")
CPU1 = Path("/sys/devices/system/cpu/cpu1/online")


@pytest.mark.promise("regions: The node exists, with its mode and owner, when create returns")
@pytest.mark.same_on_rt
def test_node_has_its_mode_and_owner_when_it_appears_and_can_be_used_at_once(
    control: Control,
) -> None:
    """100 times, without udev: no moment in which it is not there or is somebody else's."""
    for number in range(100):
        control.create("a", mode=0o640, uid=1, gid=number)
        status = os.stat(DEVICES / "a")
        assert stat.S_IMODE(status.st_mode) == 0o640
        assert (status.st_uid, status.st_gid) == (1, number)
        with rtshm.open("a") as region:
            region.publish(number)
        control.delete("a")
        assert not (DEVICES / "a").exists()


@pytest.mark.promise("install: The udev event tells whether access is the default")
@pytest.mark.qemu
@pytest.mark.memmap
@pytest.mark.needs("raw")
@pytest.mark.same_on_rt
def test_event_tells_whether_access_is_the_default(control: Control) -> None:
    """By which the udev rule goes: a mode that was given may be the default one, too."""
    made: dict[str, dict[str, Any]] = {
        "plain": {},
        "moded": {"mode": 0o600},
        "owned": {"uid": 0},
        "grouped": {"gid": 0},
        "raw": {"phys": raw.ADDRESS},
    }
    for name, access in made.items():
        region = control.create(name, history=16, **access)
        assert region.access_default == (name == "plain")
        for device in (name, f"{name}.samples"):
            event = Path("/sys/class/rtshm", device, "uevent").read_text().splitlines()
            assert ("RTSHM_ACCESS=default" in event) == (name == "plain")


@pytest.mark.promise("regions: Regions share nothing")
def test_regions_share_nothing(control: Control) -> None:
    for name in ("a", "b"):
        control.create(name, size=2 * PAGE)
    with rtshm.open("a") as a, rtshm.open("b") as b, rtshm.open() as default:
        for value, region in enumerate((a, b, default), 1):
            region.some_int = value
        assert (a.some_int, b.some_int, default.some_int) == (1, 2, 3)
        assert (a.size, b.size, default.size) == (2 * PAGE, 2 * PAGE, PAGE)


@pytest.mark.promise(
    "regions: A region in use can be deleted: its users keep the memory, its name is free"
)
def test_deleted_region_stays_with_its_users_until_they_are_gone(control: Control) -> None:
    control.create("a", size=2 * PAGE)
    with rtshm.open("a") as old:
        old.some_int = 5
        control.delete("a")
        # The name is free at once, for other memory.
        control.create("a")
        with rtshm.open("a") as new:
            assert new.some_int == 0
            for value in range(10_000):
                old.some_int = value
                old.memory[PAGE] = value & 0xFF
            assert (old.some_int, old.memory[PAGE], new.some_int) == (9999, 9999 & 0xFF, 0)
            assert os.pread(old.fileno(), 4, 0) == struct.pack("=i", 9999)
            assert os.pwrite(old.fileno(), b"\1", 0) == 1
        control.delete("a")
        with pytest.raises(OSError) as refused:
            module.unload()
        assert refused.value.errno == errno.EAGAIN
    module.unload()


@pytest.mark.promise(
    "regions: A region in use can be deleted: its users keep the memory, its name is free"
)
def test_deleted_region_is_not_opened_again(control: Control) -> None:
    """Nor by the file of one who has it open, whose inode still knows the device."""
    control.create("a")
    fd = os.open(DEVICES / "a", os.O_RDWR)
    again = os.open(f"/proc/self/fd/{fd}", os.O_RDWR)
    assert control.get("a").users == 2
    control.delete("a")
    with pytest.raises(OSError) as refused:
        os.open(f"/proc/self/fd/{fd}", os.O_RDWR)
    assert refused.value.errno == errno.ENODEV
    os.close(again)
    os.close(fd)


@pytest.mark.same_on_rt
def test_node_made_by_hand_leads_to_no_other_region(control: Control, tmp_path: Path) -> None:
    control.create("a")
    node = tmp_path / "node"
    os.mknod(node, stat.S_IFCHR | 0o600, os.stat(DEVICES / "a").st_rdev)
    fd = os.open(node, os.O_RDWR)
    control.delete("a")
    # The number stays that of the old one for as long as somebody has it open.
    control.create("b")
    assert os.stat(DEVICES / "b").st_rdev != os.fstat(fd).st_rdev
    with pytest.raises(OSError) as refused:
        os.open(node, os.O_RDWR)
    assert refused.value.errno == errno.ENODEV
    os.close(fd)


@pytest.mark.promise("memory: Processes share over a fork and close in any order")
def test_users_are_open_files_and_a_mapping_holds_its_file(control: Control) -> None:
    def users() -> int:
        return control.get("default").users

    assert users() == 0
    fd = os.open(DEVICES / "default", os.O_RDWR)
    assert users() == 1
    with libc.mapped(fd):
        os.close(fd)
        assert users() == 1
        # A child has the same open file, not one more.
        with killed(lambda: time.sleep(600)):
            assert users() == 1
    assert users() == 0


@pytest.mark.promise(
    "regions: A region in use can be deleted: its users keep the memory, its name is free"
)
def test_delete_hangs_up_on_who_waits(control: Control) -> None:
    control.create("a", period=HOUR_NS)
    first.tick("a")
    with rtshm.open("a") as region:
        region.publish(1)
        poll = select.poll()
        poll.register(region.fileno(), select.POLLOUT)
        assert poll.poll(0) == []
        with when_polling(lambda: control.delete("a")):
            gone = poll.poll(PATIENCE * 1000)
        assert gone == [(region.fileno(), select.POLLHUP | select.POLLERR)]


@pytest.mark.promise("regions: A delete hangs up on those who wait")
def test_delete_is_seen_by_select_and_by_every_exclusive_waiter(control: Control) -> None:
    control.create("a", period=HOUR_NS)
    first.tick("a")
    with rtshm.open("a") as region:
        region.publish(1)
        waiters = [select.epoll() for _ in range(2)]
        for waiter in waiters:
            waiter.register(region.fileno(), select.EPOLLOUT | select.EPOLLEXCLUSIVE)
            assert waiter.poll(0) == []
        with when_polling(lambda: control.delete("a")):
            assert select.select([], [region], [], PATIENCE)[1] == [region]
        gone = [(region.fileno(), select.EPOLLHUP | select.EPOLLERR)]
        assert [waiter.poll(PATIENCE) for waiter in waiters] == [gone, gone]
        for waiter in waiters:
            waiter.close()


@pytest.mark.same_on_rt
def test_node_of_mode_0_is_nobodys(control: Control) -> None:
    """And not of the mode that devtmpfs gives to a node without one."""
    control.create("a", mode=0, uid=1)
    assert stat.S_IMODE(os.stat(DEVICES / "a").st_mode) == 0


@pytest.mark.same_on_rt
def test_set_to_the_same_value_is_not_a_change(control: Control) -> None:
    with control.watch(timeout=LIFETIME) as events:
        control.set("default", period=HOUR_NS, print=PrintMode.OFF)
        control.set("default")
        control.set("default", print=PrintMode.CHANGES)
        event = next(events)
    assert isinstance(event, rtshm.Changed)
    assert event.region.print == PrintMode.CHANGES


@pytest.mark.same_on_rt
def test_limits_stay_what_they_were_at_the_load(control: Control) -> None:
    """Whatever root makes of the mode of a parameter in sysfs."""
    parameter = module.PARAMETERS / "regions_max"
    parameter.chmod(0o644)
    with pytest.raises(OSError) as refused:
        parameter.write_text("1")
    assert refused.value.errno == errno.EIO
    assert parameter.read_text() == "256\n"


@pytest.mark.same_on_rt
def test_default_may_be_deleted_like_any_other(control: Control) -> None:
    control.delete("default")
    assert list(control.list()) == []
    control.create("default", period=1_000_000_000)
    assert control.get("default").id == 2


@pytest.mark.promise(
    "log: print=changes prints each change once, and the last one even if lines were withheld"
)
def test_changes_are_printed_once_each(control: Control, log: KernelLog) -> None:
    control.create("a", period=10_000_000, print=PrintMode.CHANGES)
    lines = log.lines(LIFETIME)
    module.wait_line(lines, "rtshm: a: shared mem=0")
    with rtshm.open("a") as region:
        for value in (1, 2):
            region.publish(value)
            assert module.wait_line(lines, f"rtshm: a: shared mem={value}")[1] == []
        # The same value again, for a hundred ticks, does not count as a change.
        region.publish(2)
        region.wait_taken(PATIENCE)
        ticks = control.get("a").counters.ticks
        while control.get("a").counters.ticks < ticks + 100:
            time.sleep(0.01)
        region.publish(-3)
        assert module.wait_line(lines, "rtshm: a: shared mem=-3")[1] == []
    control.delete("a")
    assert [line.text for line in log.lines(0)] == []


@pytest.mark.promise(
    "log: print=changes prints each change once, and the last one even if lines were withheld"
)
def test_last_change_is_printed_however_many_are_withheld(control: Control, log: KernelLog) -> None:
    control.create("a", period=1_000_000, print=PrintMode.CHANGES)
    with rtshm.open("a") as region:
        for value in range(1, 501):
            region.publish(value)
            region.wait_taken(PATIENCE)
    before = module.wait_line(log.lines(PATIENCE), "rtshm: a: shared mem=500")[1]
    control.delete("a")
    assert len(before) < 100
    assert [line for line in before if line.text.endswith("lines withheld")]


def test_printing_switched_on_again_prints_the_value_that_is_there(
    control: Control, log: KernelLog
) -> None:
    control.create("a", period=10_000_000, print=PrintMode.CHANGES)
    lines = log.lines(PATIENCE)
    module.wait_line(lines, "rtshm: a: shared mem=0")
    control.set("a", print=PrintMode.OFF)
    control.set("a", print=PrintMode.CHANGES)
    module.wait_line(lines, "rtshm: a: shared mem=0")


def test_counters_agree_with_one_another_and_with_the_trace(control: Control) -> None:
    with ftrace.tracing('region == "a"'):
        control.create("a", period=5_000_000)
        with rtshm.open("a") as region:
            for value in range(1, 21):
                region.publish(value)
                region.wait_taken(PATIENCE)
        with control.watch(timeout=LIFETIME) as events:
            control.delete("a")
            event = next(events)
        ticks = ftrace.ticks()
    assert isinstance(event, rtshm.Deleted)
    counters = event.region.counters
    late = [tick.lateness_ns for tick in ticks]
    assert counters.ticks == len(ticks)
    assert counters.published == 20
    assert counters.lateness_min_ns == min(late)
    assert counters.lateness_max_ns == max(late)
    assert counters.lateness_sum_ns == sum(late)
    assert counters.lateness_mean_ns == pytest.approx(sum(late) / len(late))
    bins = [0] * 32
    for lateness_ns in late:
        bins[min(max(lateness_ns, 1).bit_length() - 1, 31)] += 1
    assert list(counters.lateness_histogram) == bins


@pytest.mark.promise("ticks: Each period of each region is a tick or is counted as missed")
def test_100_regions_at_1_khz_lose_no_period(control: Control) -> None:
    """For each: ticks + missed is what has gone by of its grid, within one period."""
    period_ns = 1_000_000
    names = [f"r{number}" for number in range(100)]
    made: dict[str, tuple[int, int]] = {}
    for name in names:
        before = time.monotonic_ns()
        control.create(name, period=period_ns)
        made[name] = (before, time.monotonic_ns())
    off: dict[str, tuple[int, int, int]] = {}
    with control.watch(timeout=LIFETIME) as events:
        for name in names:
            before = time.monotonic_ns()
            control.delete(name)
            after = time.monotonic_ns()
            event = next(events)
            assert isinstance(event, rtshm.Deleted)
            assert event.region.name == name
            counters = event.region.counters
            assert counters.ticks > 0
            least = (before - made[name][1]) // period_ns
            most = (after - made[name][0]) // period_ns + 1
            if not least <= counters.ticks + counters.missed <= most:
                off[name] = (least, counters.ticks + counters.missed, most)
    assert off == {}


# KASAN keeps back what was freed, and kmemleak has memory of its own: they look for the same
# in other ways.
@pytest.mark.promise(
    "robustness: Regions that come and go leave neither memory nor lines in the log"
)
@pytest.mark.once
@pytest.mark.stock
def test_regions_in_turn_leave_memory_and_log_as_they_were(control: Control) -> None:
    def cycle(count: int) -> None:
        for number in range(count):
            control.create(f"r{number}", size=16 * PAGE, layout="x:f64", period=HOUR_NS)
            control.delete(f"r{number}")

    cycle(50)  # slabs and the like have their size by now
    with KernelLog(new_only=True, prefix="") as everything:
        before = module.available_bytes()
        cycle(300)
        # Memory that is freed after a grace period comes back by itself.
        wait_until(lambda: before - module.available_bytes() <= 300 << 10, "all memory is back")
        assert [line.text for line in everything.lines(0)] == []
    # What is not given back is seen.
    before = module.available_bytes()
    control.create("kept", size=2**23)
    assert before - module.available_bytes() > 300 << 10


@pytest.fixture
def many(control: Control) -> list[str]:
    """Regions that do not fit one datagram of a dump."""
    names = [f"r{number}" for number in range(80)]
    for name in names:
        control.create(name, layout="x" * 997 + ":u8", period=HOUR_NS)
    return ["default", *names]


def parts(link: Genl, between: tuple[int, bytes] | None = None) -> list[genl.Message]:
    """A dump; the request `between` is made by another socket when its first part is there."""
    link.send(link.message(genl.GET, flags=genl.NLM_F_DUMP))
    found = link.receive()
    assert found[-1].kind != genl.NLMSG_DONE, "all regions came at once: make them more"
    if between:
        with Genl() as other:
            other.ask(*between)
    while found[-1].kind != genl.NLMSG_DONE:
        found += link.receive()
    return found


@pytest.mark.promise("regions: A dump reports that the list changed under it")
@pytest.mark.same_on_rt
def test_dump_says_when_the_list_changed_under_it(control: Control, many: list[str]) -> None:
    changes = {
        "nothing": None,
        "set": (genl.SET, attrs(name="r79", print=2)),
        "del": (DEL, attrs(name="r79")),
        "new": (NEW, attrs(name="z")),
    }
    for change, request in changes.items():
        with Genl() as link:
            found = parts(link, request)
        interrupted = [message for message in found if message.flags & genl.NLM_F_DUMP_INTR]
        assert bool(interrupted) == (change != "nothing"), change
        if change == "del":
            many.remove("r79")
        assert [genl.name_of(m) for m in found if m.kind != genl.NLMSG_DONE] == many, change
        if change == "new":
            many.append("z")
        # The client reads again until it has one list.
        assert [info.name for info in control.list()] == many, change


def churn(name: str) -> None:
    """Make and delete a region of this name for ever, while others do the same."""
    requests = [(NEW, attrs(name=name, layout="x" * 1000)), (DEL, attrs(name=name))]
    with Genl() as link:
        while True:
            for command, attributes in requests:
                try:
                    link.ask(command, attributes)
                except Refused as refusal:
                    assert refusal.errno == (errno.EEXIST if command == NEW else errno.ENOENT)


@pytest.mark.promise("regions: A dump has each region once")
def test_dump_under_churn_has_every_region_once(control: Control, many: list[str]) -> None:
    with killed(lambda: churn("churn")), Genl() as link:
        for _ in range(25):
            names = [genl.name_of(m) for m in parts(link) if m.kind != genl.NLMSG_DONE]
            assert [name for name in names if name != "churn"] == many
            # Those that came since its beginning are not in it: it has an end.
            assert names.count("churn") <= 1


# tests/stress has more of this, and of the one after it, in C.
@pytest.mark.promise("robustness: Creating, changing and deleting race with ticks and opens")
@pytest.mark.once
@pytest.mark.stock
def test_open_races_with_create_and_delete(control: Control) -> None:
    """A region is there and works, or is not there: ENOENT of the node, ENXIO or ENODEV."""

    def opener() -> None:
        while True:
            try:
                fd = os.open(DEVICES / "a", os.O_RDWR)
            except OSError as error:
                assert error.errno in (errno.ENOENT, errno.ENXIO, errno.ENODEV), error
                continue
            with mmap.mmap(fd, PAGE) as memory:
                memory[:4] = b"\1\2\3\4"
                assert os.pread(fd, 4, 0) == b"\1\2\3\4"
            os.close(fd)

    with killed(opener), killed(opener):
        for _ in range(50):
            control.create("a", period=1_000_000)
            control.delete("a")
    control.create("a")
    assert control.get("a").users == 0


@pytest.mark.promise("robustness: The module can be unloaded while requests are in flight")
@pytest.mark.once
@pytest.mark.stock
def test_unload_while_requests_are_in_flight(control: Control, tmp_path: Path) -> None:
    """See flood.c for the requests."""
    control.close()
    flood = tmp_path / "flood"
    include = module.CHECKOUT / "kmod/include/uapi"
    source = Path(__file__).with_name("flood.c")
    subprocess.run(["gcc", "-O2", "-I", include, "-o", flood, source], check=True)
    counts = [tmp_path / f"count{number}" for number in range(3)]
    for count in counts:
        count.write_bytes(bytes(8))

    def have_sent(number: int) -> bool:
        sent = [int.from_bytes(count.read_bytes(), "little") for count in counts]
        return sum(sent) >= number

    floods = [subprocess.Popen([flood, count]) for count in counts]
    try:
        for loads in range(1, 6):
            wait_until(partial(have_sent, loads * 2000), f"{loads * 2000} requests")
            wait_until(unloaded, "no dump holds the module")
            module.load(print=0, period_ns=HOUR_NS)
        assert [each.poll() for each in floods] == [None] * len(floods)
    finally:
        for each in floods:
            each.kill()
            each.wait()
    # Nobody is left who asks, so nothing holds it.
    module.unload()


def unloaded() -> bool:
    """Whether the module could be unloaded: a dump that is under way holds it."""
    with suppress(BlockingIOError):
        module.unload()
    return not module.is_loaded()


@pytest.mark.promise(
    "ticks: A timer runs on the CPU that was asked for, and on another one while that is offline"
)
@pytest.mark.needs("cpus")
def test_timer_runs_on_the_cpu_that_was_asked_for(control: Control) -> None:
    for cpu in (0, 1):
        with ftrace.tracing(f'region == "a{cpu}"'):
            assert control.create(f"a{cpu}", period=5_000_000, cpu=cpu).cpu == cpu
            ticks = ftrace.at_least(6)
        assert {tick.cpu for tick in ticks} == {cpu}


def cpus_of_ticks(name: str) -> set[int]:
    """The cpus that a region of a short period ticks on just now."""
    with ftrace.tracing(f'region == "{name}"'):
        return {tick.cpu for tick in ftrace.at_least(50)}


@pytest.mark.promise(
    "ticks: A timer runs on the CPU that was asked for, and on another one while that is offline"
)
@pytest.mark.qemu
@pytest.mark.needs("hotplug")
def test_timer_leaves_its_cpu_while_that_is_offline(control: Control) -> None:
    """And with it what the tick leaves to be done: lines are printed, waiters are woken, and
    a region can be deleted, whatever came last on the cpu that went."""
    for _ in range(2):
        control.create("pinned", period=200_000, cpu=1, print=PrintMode.EVERY_TICK)
        control.create("any", period=200_000, print=PrintMode.EVERY_TICK)
        CPU1.write_text("0")
        try:
            with pytest.raises(OSError) as refused:
                control.create("refused", cpu=1)
            assert refused.value.errno == errno.ENODEV
            for name in ("pinned", "any"):
                assert cpus_of_ticks(name) == {0}
                with rtshm.open(name) as region:
                    for value in range(3):
                        region.publish(value)
                        region.wait_taken(PATIENCE)
            control.delete("any")
        finally:
            CPU1.write_text("1")
        assert cpus_of_ticks("pinned") == {1}
        control.delete("pinned")
