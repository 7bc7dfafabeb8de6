"""Changes of a region while it ticks: its counters, its grid, its cpu, its access."""

from __future__ import annotations

import errno
import os
import re
import socket
import stat
import time
from contextlib import contextmanager
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import rtshm
from rtshm import Clock

from tests.lib import clocks, ftrace, module
from tests.lib.module import PATIENCE, UNLOADED
from tests.lib.waiting import wait_until

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.lib.fixtures import Load
    from tests.lib.kmsg import KernelLog

pytestmark = pytest.mark.same_on_rt

PERIOD_NS = 10_000_000
HOUR_NS = 3_600_000_000_000
PHASE_NS = 3_000_000
UEVENTS = 15
CPU1 = Path("/sys/devices/system/cpu/cpu1/online")


def wait_ticks(control: rtshm.Control, count: int, name: str = "a") -> None:
    before = control.get(name).counters.ticks
    wait_until(lambda: control.get(name).counters.ticks >= before + count, f"{count} ticks")


@pytest.mark.promise(
    "regions: Counters are reset in one step, and the tick numbers of samples continue"
)
def test_reset_counters_begin_at_zero_and_samples_go_on(control: rtshm.Control) -> None:
    control.create("a", period=PERIOD_NS, history=1000)
    with rtshm.open("a") as region, rtshm.Samples("a", oldest=True) as samples:
        region.publish(1)
        region.wait_taken(PATIENCE)
        wait_ticks(control, 10)
        before = control.get("a").counters
        assert before.published == 1
        after = control.set("a", reset_counters=True).counters
        assert after.ticks < before.ticks
        assert after.published == 0
        wait_ticks(control, 10)
        now = control.get("a").counters
        assert sum(now.lateness_histogram) == now.ticks
        assert now.lateness_min_ns <= now.lateness_mean_ns <= now.lateness_max_ns
        seen = [next(samples).tick for _ in range(before.ticks + 10)]
    assert seen[0] == 1
    assert all(later == tick + 1 for tick, later in pairwise(seen))
    assert seen[-1] >= before.ticks + 10


def test_reset_of_a_region_that_did_not_tick_since_has_no_lateness(
    control: rtshm.Control,
) -> None:
    control.create("a", period=HOUR_NS)
    wait_until(lambda: control.get("a").counters.ticks == 1, "the first tick")
    counters = control.set("a", reset_counters=True).counters
    assert counters == rtshm.Counters(0, 0, 0, 0, 0, 0, 32 * (0,))


def test_reset_is_an_event_and_changes_no_setting(control: rtshm.Control) -> None:
    before = control.create("a", period=HOUR_NS)
    wait_until(lambda: control.get("a").counters.ticks == 1, "the first tick")
    with control.watch(PATIENCE) as watch:
        after = control.set("a", reset_counters=True)
        event = next(watch)
    assert isinstance(event, rtshm.control.Changed)
    assert event.region == after
    assert after.counters.ticks == 0
    assert (after.period_ns, after.id) == (before.period_ns, before.id)


def test_refused_change_resets_no_counter(control: rtshm.Control) -> None:
    control.create("a", period=HOUR_NS)
    wait_until(lambda: control.get("a").counters.ticks == 1, "the first tick")
    with pytest.raises(OSError, match="period-ns"):
        control.set("a", period=1, reset_counters=True)
    assert control.get("a").counters.ticks == 1


def test_closing_line_counts_ticks_of_before_a_reset(log: KernelLog, load: Load) -> None:
    load(period_ns=HOUR_NS, print=0)
    with rtshm.Control() as control:
        control.create("a", period=PERIOD_NS)
        wait_ticks(control, 20)
        ticks = control.get("a").counters.ticks
        control.set("a", reset_counters=True)
    module.unload()
    line, _ = module.wait_line(log.lines(PATIENCE), UNLOADED)
    match = UNLOADED.fullmatch(line.text)
    assert match
    assert int(match[1]) >= ticks


def off_grid(period_ns: int, phase_ns: int) -> set[int]:
    """How far from the grid on CLOCK_MONOTONIC the next ten ticks are due."""
    with rtshm.Samples("a") as samples:
        seen = [next(samples) for _ in range(10)]
    return {(sample.time_ns - sample.lateness_ns - phase_ns) % period_ns for sample in seen}


@pytest.mark.promise("ticks: Phase, lead and CPU change while a region ticks")
def test_next_tick_after_another_phase_or_period_is_on_the_new_grid(
    control: rtshm.Control,
) -> None:
    control.create("a", period=PERIOD_NS, history=1000)
    for period_ns, phase_ns in ((PERIOD_NS, PHASE_NS), (PERIOD_NS, 0), (7_000_000, 1)):
        info = control.set("a", period=period_ns, phase=phase_ns)
        assert (info.period_ns, info.phase_ns) == (period_ns, phase_ns)
        assert off_grid(period_ns, phase_ns) == {0}
    control.set("a", period=5_000_000)
    assert off_grid(5_000_000, 1) == {0}
    with pytest.raises(OSError, match="phase-ns: give less than period-ns") as refused:
        control.set("a", period=1_000_000, phase=1_000_000)
    assert refused.value.errno == errno.ERANGE


def test_phase_of_an_hour_ends_the_wait_for_the_old_grid(control: rtshm.Control) -> None:
    control.create("a", period=HOUR_NS)
    wait_until(lambda: control.get("a").counters.ticks == 1, "the first tick")
    control.set("a", period=PERIOD_NS, phase=0)
    wait_ticks(control, 5)
    counters = control.get("a").counters
    assert counters.ticks + counters.missed < 1000, "the hour counts as missed"


def test_phase_on_a_clock_that_is_not_monotonic_is_set(control: rtshm.Control) -> None:
    control.create("a", period=PERIOD_NS, clock=Clock.TAI, phase=0, history=100)
    control.set("a", phase=PHASE_NS)
    ahead, _ = clocks.ahead_ns(time.CLOCK_TAI)
    off = {(each + ahead) % PERIOD_NS for each in off_grid(PERIOD_NS, PHASE_NS)}
    assert all(min(each, PERIOD_NS - each) < 1_000_000 for each in off)


def test_periods_add_up_over_changes_of_the_phase(control: rtshm.Control) -> None:
    begin = time.monotonic_ns()
    control.create("a", period=PERIOD_NS, phase=0)
    for step in range(100):
        control.set("a", phase=step % 10 * 1_000_000)
    counters = control.get("a").counters
    elapsed = time.monotonic_ns() - begin
    # A change of the phase takes or adds less than a period.
    assert counters.ticks + counters.missed <= elapsed // PERIOD_NS + 101


@pytest.mark.promise("ticks: Phase, lead and CPU change while a region ticks")
def test_lead_is_set_and_moves_no_tick(control: rtshm.Control) -> None:
    control.create("a", period=PERIOD_NS, phase=PHASE_NS, history=1000)
    for lead_ns in (50_000, 0, 100_000):
        assert control.set("a", lead=lead_ns).lead_ns == lead_ns
        assert off_grid(PERIOD_NS, PHASE_NS) == {0}
    with pytest.raises(OSError, match="lead-ns: give at most") as refused:
        control.set("a", lead=100_001)
    assert refused.value.errno == errno.ERANGE


@pytest.mark.promise("ticks: Phase, lead and CPU change while a region ticks")
@pytest.mark.needs("cpus")
def test_cpu_is_set_and_the_timer_moves(control: rtshm.Control) -> None:
    control.create("a", period=1_000_000, cpu=0, phase=0, history=1000)
    for cpu in (1, 0, 1):
        info = control.set("a", cpu=cpu)
        assert (info.cpu, info.timer_cpu) == (cpu, cpu)
        with ftrace.tracing('region == "a"'):
            assert {tick.cpu for tick in ftrace.at_least(20)} == {cpu}
    with pytest.raises(OSError, match="cpu: not online") as refused:
        control.set("a", cpu=4096)
    assert refused.value.errno == errno.ENODEV
    assert off_grid(1_000_000, 0) == {0}


@pytest.mark.promise(
    "ticks: A timer without a CPU goes to the one with the fewest ticks that is not isolated"
)
@pytest.mark.needs("cpus")
def test_timers_without_a_cpu_are_spread_by_their_ticks(control: rtshm.Control) -> None:
    """Whatever cpu their creator is on."""
    os.sched_setaffinity(0, {0})
    try:
        control.create("fast", period=1_000_000, cpu=1)
        slow = [control.create(f"s{number}", period=PERIOD_NS).timer_cpu for number in range(4)]
        assert slow == 4 * [0]
        control.delete("fast")
        spread = [control.create(f"n{number}", period=PERIOD_NS) for number in range(8)]
        assert {info.cpu for info in spread} == {None}
        assert [info.timer_cpu for info in spread].count(1) == 6
        control.create("b", period=1_000_000)
        assert control.set("b", cpu=0).timer_cpu == 0
        assert control.create("c", period=1_000_000).timer_cpu == 1
    finally:
        os.sched_setaffinity(0, {0, 1})


@pytest.mark.promise(
    "ticks: A timer without a CPU goes to the one with the fewest ticks that is not isolated"
)
@pytest.mark.qemu
@pytest.mark.needs("hotplug")
def test_cpu_of_a_timer_that_moved_with_hotplug_is_told(control: rtshm.Control) -> None:
    control.create("a", period=1_000_000, cpu=1)
    CPU1.write_text("0")
    try:
        assert (control.get("a").cpu, control.get("a").timer_cpu) == (1, 0)
        # What is set meanwhile leaves the timer where it is.
        assert control.set("a", period=2_000_000).timer_cpu == 0
        wait_ticks(control, 10)
        assert control.create("b").timer_cpu == 0
    finally:
        CPU1.write_text("1")
    assert control.get("a").timer_cpu == 1
    wait_ticks(control, 10)


TRACING = Path("/sys/kernel/tracing")


@contextmanager
def latency_requests() -> Iterator[Callable[[], list[tuple[str, str, int]]]]:
    """Requests about the idle states of cpus in the block: kind, cpu, us."""
    events = TRACING / "events/power"
    names = ("add", "remove")
    (TRACING / "trace").write_text("")
    for name in names:
        (events / f"dev_pm_qos_{name}_request/enable").write_text("1")
    pattern = re.compile(
        r"dev_pm_qos_(\w+)_request: device=(\w+) type=DEV_PM_QOS_RESUME_LATENCY new_value=(-?\d+)"
    )
    try:
        yield lambda: [
            (what, cpu, int(value))
            for what, cpu, value in pattern.findall((TRACING / "trace").read_text())
        ]
    finally:
        for name in names:
            (events / f"dev_pm_qos_{name}_request/enable").write_text("0")


@pytest.mark.promise(
    "ticks: A CPU latency limit keeps the timer's CPU, and no other, out of deep idle states"
)
@pytest.mark.stock
@pytest.mark.needs("cpus")
def test_idle_states_of_the_cpu_of_a_timer_are_limited_while_it_is_asked_for(
    control: rtshm.Control,
) -> None:
    with latency_requests() as asked:
        info = control.create("a", period=PERIOD_NS, cpu=1, cpu_latency="20us")
        assert info.cpu_latency_ns == 20_000
        control.set("a", cpu=0)
        control.set("a", cpu_latency=1_500)
        control.set("a", cpu_latency=0)
        control.set("a", cpu_latency="1s")
        control.delete("a")
        control.create("b", period=PERIOD_NS)
        control.delete("b")
        seen = asked()
    assert [(what, cpu, us) for what, cpu, us in seen if what == "add"] == [
        ("add", "cpu1", 20),
        ("add", "cpu0", 20),
        ("add", "cpu0", 1),
        ("add", "cpu0", 1_000_000),
    ]
    assert [what for what, _, _ in seen] == 4 * ["add", "remove"]
    with pytest.raises(OSError, match="cpu-latency-ns: give at most 1000000000") as refused:
        control.create("c", cpu_latency=1_000_000_001)
    assert refused.value.errno == errno.ERANGE


def access(node: Path) -> tuple[int, int, int]:
    now = node.stat()
    return stat.S_IMODE(now.st_mode), now.st_uid, now.st_gid


@pytest.mark.promise("access: Mode and owner can be changed, and udev is told")
def test_mode_and_owner_are_set_of_both_nodes(control: rtshm.Control) -> None:
    state, samples = Path("/dev/rtshm/a"), Path("/dev/rtshm/a.samples")
    assert control.create("a", history=10).access_default
    info = control.set("a", mode=0o640, uid=1, gid=2)
    assert (info.mode, info.uid, info.gid, info.access_default) == (0o640, 1, 2, False)
    assert (access(state), access(samples)) == ((0o640, 1, 2), (0o440, 1, 2))
    # A node that is made later has them from the kernel.
    control.set("a", history=0)
    control.set("a", history=10)
    assert access(samples) == (0o440, 1, 2)
    control.set("a", mode=0o600)
    assert (access(state), access(samples)) == ((0o600, 1, 2), (0o400, 1, 2))
    with pytest.raises(OSError, match="mode: give at most 0777"):
        control.set("a", mode=0o1777)


@pytest.mark.promise("access: Mode and owner can be changed, and udev is told")
def test_udev_is_told_of_another_mode(control: rtshm.Control) -> None:
    control.create("a", history=10)
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, UEVENTS) as heard:
        heard.bind((0, 1))
        heard.settimeout(PATIENCE)
        control.set("a", mode=0o640, gid=2)
        told: dict[str, dict[str, str]] = {}
        while len(told) < 2:
            first, *lines = heard.recv(8192).decode().split("\0")
            if first.startswith("change@") and "/rtshm/" in first:
                event = dict(line.split("=", 1) for line in lines if line)
                told[event["DEVNAME"]] = event
    for name, mode in (("rtshm/a", "0640"), ("rtshm/a.samples", "0440")):
        assert (told[name]["DEVMODE"], told[name]["DEVGID"]) == (mode, "2")
        assert "RTSHM_ACCESS" not in told[name]
