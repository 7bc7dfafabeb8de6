"""Timers: what a period may be, what they count, and what happens to them with the cpus."""

from __future__ import annotations

import errno
import os
import random
import select
import time
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import rtshm
from rtshm import Control

from tests.lib import first, genl
from tests.lib.child import killed
from tests.lib.genl import NEW, SET, Genl, Refused, attrs
from tests.lib.module import LIFETIME, PATIENCE, PERIOD_MIN_NS

if TYPE_CHECKING:
    from tests.lib.fixtures import Load

MS = 1_000_000
LEAD_NS = 20_000
PERIOD_MAX_NS = 3_600_000_000_000
CPU1 = Path("/sys/devices/system/cpu/cpu1/online")
NEVER = "period-ns: a region cannot gain or lose its period"


def periods(count: int) -> list[int]:
    """Edges first, then numbers of any size: all that 64 bits can say."""
    edges = [0, 1, PERIOD_MIN_NS - 1, PERIOD_MIN_NS, PERIOD_MIN_NS + 1]
    edges += [PERIOD_MAX_NS - 1, PERIOD_MAX_NS, PERIOD_MAX_NS + 1]
    edges += [2**bits + step for bits in (31, 32, 62, 63) for step in (-1, 0, 1)]
    edges += [2**64 - 1, 2**64 - PERIOD_MIN_NS, 10**9, 999_999_999]
    numbers = random.Random(20261122)
    return [*edges, *(numbers.getrandbits(numbers.randint(1, 64)) for _ in range(count))][:count]


@pytest.mark.promise("limits: A value outside its limits is refused with the limit")
@pytest.mark.amounts("floor")
def test_period_is_within_its_limits_whatever_is_asked_for(amounts: list[int], load: Load) -> None:
    (count,) = amounts
    load(print=0)
    with Genl() as link:
        link.ask(NEW, attrs(name="a"))
        for period in periods(count):
            code, text = 0, ""
            try:
                link.ask(SET, attrs(name="a", period_ns=period))
            except Refused as refused:
                code, text = refused.errno or 0, refused.text
            inside = PERIOD_MIN_NS <= period <= PERIOD_MAX_NS
            if not period:
                assert (code, text) == (errno.EINVAL, NEVER), period
            elif not inside:
                assert code == errno.ERANGE, period
                assert text.startswith("period-ns: give 100000 "), text
            else:
                assert (code, text) == (0, ""), period
                reply = dict(genl.walk(link.ask(genl.GET, attrs(name="a"))[0].payload[4:]))
                assert int.from_bytes(reply[genl.number("period-ns")], "little") == period


@pytest.mark.promise("ticks: Each period of each region is a tick or is counted as missed")
@pytest.mark.amounts("ticks")
def test_every_period_of_eight_timers_is_a_tick_or_is_missed(
    amounts: list[int], load: Load
) -> None:
    (ticks,) = amounts
    load(print=0, period_ns=PERIOD_MAX_NS)
    names = [f"t{number}" for number in range(8)]
    bounds: dict[str, tuple[int, int]] = {}
    total = 0
    with Control() as control, control.watch(timeout=LIFETIME) as events:
        begins = {}
        for name in names:
            before = time.monotonic_ns()
            control.create(name, period=MS)
            begins[name] = (before, time.monotonic_ns())
        time.sleep(ticks / len(names) / 1000)
        for name in names:
            before = time.monotonic_ns()
            control.delete(name)
            after = time.monotonic_ns()
            first, last = begins[name]
            # The first tick, at once, is one more than the periods gone by.
            bounds[name] = ((before - last) // MS, (after - first) // MS + 1)
        deleted = 0
        while deleted < len(names):
            event = next(events)
            if not isinstance(event, rtshm.Deleted):
                continue
            deleted += 1
            counters = event.region.counters
            low, high = bounds[event.region.name]
            assert low <= counters.ticks + counters.missed <= high, event.region.name
            total += counters.ticks + counters.missed
    assert total >= ticks


@pytest.mark.promise(
    "ticks: A timer runs on the CPU that was asked for, and on another one while that is offline"
)
@pytest.mark.amounts("hotplug")
def test_ticks_go_on_while_a_cpu_comes_and_goes(amounts: list[int], load: Load) -> None:
    (cycles,) = amounts
    load(print=0, period_ns=MS)
    with Control() as control, ExitStack() as files:
        for cpu in (None, 0, 1):
            control.create(f"cpu{cpu}".lower(), period=MS, cpu=cpu, history=64, lead=LEAD_NS)
        names = ["default", "cpunone", "cpu0", "cpu1"]

        def publish() -> None:
            with rtshm.open("cpu1") as region:
                while True:
                    region.publish(1)

        files.enter_context(killed(publish))
        try:
            for cycle in range(2 * cycles):
                CPU1.write_text(str(cycle % 2))
                before = {name: control.get(name).counters.ticks for name in names}
                for name, ticks in before.items():
                    first.tick(name, ticks + 3)
        finally:
            CPU1.write_text("1")


@pytest.mark.promise("ticks: A tick does nothing that PREEMPT_RT forbids")
@pytest.mark.amounts("nesting-seconds")
def test_locks_nest_as_they_may_in_an_interrupt_of_preempt_rt(
    amounts: list[int], load: Load
) -> None:
    """Ticks that take, print, record and wake, are waited for, with pollers, readers and events."""
    (seconds,) = amounts
    load(print=2, period_ns=MS)
    deadline = time.monotonic() + seconds

    def poll(path: str, announces: bool) -> None:
        fd = os.open(path, os.O_RDWR if announces else os.O_RDONLY | os.O_NONBLOCK)
        poller = select.poll()
        poller.register(fd, select.POLLOUT if announces else select.POLLIN)
        value = 0
        while True:
            if announces:
                value += 1
                os.pwrite(fd, value.to_bytes(4, "little") + b"\1\0\0\0", 0)
            assert poller.poll(PATIENCE * 1000)
            if not announces:
                os.read(fd, 65536)

    with Control() as control, ExitStack() as children:
        control.create("a", period=MS, history=256, print=rtshm.PrintMode.CHANGES, lead=LEAD_NS)
        children.enter_context(killed(lambda: poll("/dev/rtshm/default", True)))
        children.enter_context(killed(lambda: poll("/dev/rtshm/a", True)))
        children.enter_context(killed(lambda: poll("/dev/rtshm/a.samples", False)))
        with control.watch(timeout=LIFETIME) as events:
            while time.monotonic() < deadline:
                control.create("b", period=MS, cpu=1, lead=LEAD_NS)
                control.delete("b")
                assert isinstance(next(events), rtshm.Created)
                assert isinstance(next(events), rtshm.Deleted)
    assert "debug_locks:                             1" in Path("/proc/lockdep_stats").read_text()
