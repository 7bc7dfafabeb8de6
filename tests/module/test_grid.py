"""When the ticks are due: phase, start, clock, lead."""

from __future__ import annotations

import errno
import time
from typing import Any

import pytest
import rtshm
from rtshm import Clock

from tests.lib import clocks, first
from tests.lib.module import PATIENCE

PERIOD_NS = 10_000_000
BACK_NS = 50_000_000
CLOCKS = {
    Clock.MONOTONIC: time.CLOCK_MONOTONIC,
    Clock.REALTIME: time.CLOCK_REALTIME,
    Clock.TAI: time.CLOCK_TAI,
}


def samples(name: str, count: int) -> list[rtshm.Sample]:
    with rtshm.Samples(name, oldest=True) as history:
        return [next(history) for _ in range(count)]


@pytest.mark.promise("ticks: A phase is kept on its clock")
@pytest.mark.parametrize("clock", list(Clock))
def test_phase_is_kept_on_its_clock(control: rtshm.Control, clock: Clock) -> None:
    phase_ns = 3_000_000
    info = control.create("p", period=PERIOD_NS, clock=clock, phase=phase_ns, history=64)
    assert (info.clock, info.phase_ns, info.start_ns) == (clock, phase_ns, None)
    ahead, error = clocks.ahead_ns(CLOCKS[clock]) if clock is not Clock.MONOTONIC else (0, 0)
    for sample in samples("p", 10):
        due = sample.time_ns - sample.lateness_ns + ahead
        off = (due - phase_ns + PERIOD_NS // 2) % PERIOD_NS - PERIOD_NS // 2
        assert abs(off) <= error


@pytest.mark.promise("ticks: Two regions of one period keep their distance")
def test_two_regions_of_a_period_keep_their_distance(control: rtshm.Control) -> None:
    for name, phase_ns in (("a", 0), ("b", 2_500_000)):
        control.create(name, period=PERIOD_NS, phase=phase_ns, history=64)
    due = {
        name: {(sample.time_ns - sample.lateness_ns) % PERIOD_NS for sample in samples(name, 20)}
        for name in "ab"
    }
    assert due == {"a": {0}, "b": {2_500_000}}


@pytest.mark.promise("ticks: The start is the deadline of the first tick")
def test_start_is_when_the_first_tick_is_due(control: rtshm.Control) -> None:
    start_ns = time.monotonic_ns() + 300_000_000
    info = control.create("s", period=PERIOD_NS, start_ns=start_ns, history=64)
    assert (info.start_ns, info.phase_ns, info.counters.ticks) == (start_ns, None, 0)
    first, *rest = samples("s", 3)
    assert (first.tick, first.time_ns - first.lateness_ns) == (1, start_ns)
    assert all((s.time_ns - s.lateness_ns - start_ns) % PERIOD_NS == 0 for s in rest)


def test_region_that_has_not_started_can_be_deleted(control: rtshm.Control) -> None:
    control.create("s", period=PERIOD_NS, start_ns=time.monotonic_ns() + 60_000_000_000)
    with control.watch(timeout=PATIENCE) as events:
        control.delete("s")
        counters = next(events).region.counters  # type: ignore[union-attr]
    assert (counters.ticks, counters.missed) == (0, 0)


REFUSED: list[tuple[dict[str, Any], int, str]] = [
    ({"phase": PERIOD_NS}, errno.ERANGE, "phase-ns: give less than period-ns"),
    (
        {"start_ns": 1},
        errno.ERANGE,
        "start-ns: must be in the future on that clock, at most one day",
    ),
    ({"start_ns": 2**64 - 1}, errno.ERANGE, "start-ns: must be in the future on that clock"),
    ({"phase": 2**64 - 1}, errno.ERANGE, "phase-ns: give less than period-ns"),
    ({"start_ns": 2**62, "phase": 0}, errno.EINVAL, "start-ns: give it or phase-ns, not both"),
    ({"lead": 100_001}, errno.ERANGE, "lead-ns: give at most 100000, and a quarter of period"),
    ({"lead": 2**64 - 1}, errno.ERANGE, "lead-ns: give at most 100000, and a quarter of"),
    ({"task_budget": 2**63}, errno.ERANGE, "task-budget-ns: give at most 3600000000000"),
]


def test_value_outside_its_limits_is_refused(control: rtshm.Control) -> None:
    for asked, number, words in REFUSED:
        with pytest.raises(OSError, match=words) as caught:
            control.create("x", period=PERIOD_NS, **asked)
        assert caught.value.errno == number, asked
    assert [region.name for region in control.list()] == ["default"]


@pytest.mark.promise("ticks: A clock set forward counts missed periods")
@pytest.mark.needs("clock")
def test_clock_that_is_set_ahead_misses_and_goes_on(control: rtshm.Control) -> None:
    """60 days of 1 ms: more periods than 32 bits have."""
    # As deep as a slow reader is behind: the one sample must not be overwritten.
    control.create("r", period=1_000_000, clock=Clock.REALTIME, history=16_384)
    periods = 60 * 86_400 * 1000
    with rtshm.Samples("r") as history:
        next(history)
        with clocks.stepped(periods * 1_000_000):
            missed = 0
            deadline = time.monotonic() + PATIENCE
            while missed < 2**32 - 1:
                missed = next(history).missed
                assert time.monotonic() < deadline, "no tick that missed sixty days"
            counters = control.get("r").counters
            assert periods <= counters.missed <= periods + PATIENCE * 1000
            next(history)
            control.delete("r")


@pytest.mark.needs("clock")
@pytest.mark.parametrize("lead", [0, 25_000])
def test_clock_that_is_set_back_delays_and_goes_on(control: rtshm.Control, lead: int) -> None:
    """Also while a tick runs, or is waited for: it must neither come again and again until the
    clock is there, nor be waited for as long."""
    # Before the region is there: its first ticks come while the answer is on its way.
    begin = time.monotonic()
    control.create("r", period=100_000, clock=Clock.REALTIME, lead=lead)
    back = 0
    try:
        for _ in range(50):
            before = control.get("r").counters
            clocks.step(-BACK_NS)
            back += 1
            first.tick("r", before.ticks + 10)
        counters = control.get("r").counters
        # A step by whole periods leaves the grid where it is.
        most = (time.monotonic() - begin) / 100e-6 + 1
        assert counters.ticks + counters.missed <= most
    finally:
        clocks.step(BACK_NS * back)


def test_phase_later_than_the_clock_is_waited_for(control: rtshm.Control) -> None:
    phase_ns = time.monotonic_ns() + 300_000_000
    control.create("p", period=3_600_000_000_000, phase=phase_ns, history=4)
    (first,) = samples("p", 1)
    assert first.time_ns - first.lateness_ns == phase_ns


@pytest.mark.promise("ticks: A lead hides interrupt latency up to its length, and no tick is early")
@pytest.mark.parametrize("clock", list(Clock))
def test_no_tick_is_before_it_is_due_with_a_lead(control: rtshm.Control, clock: Clock) -> None:
    """An early one would be off the grid: it has no lateness to be taken off."""
    info = control.create("l", period=PERIOD_NS, clock=clock, phase=0, lead=100_000, history=64)
    assert info.lead_ns == 100_000
    ahead, error = clocks.ahead_ns(CLOCKS[clock]) if clock is not Clock.MONOTONIC else (0, 0)
    for sample in samples("l", 30):
        due = sample.time_ns - sample.lateness_ns + ahead
        assert abs((due + PERIOD_NS // 2) % PERIOD_NS - PERIOD_NS // 2) <= error


def test_every_period_is_a_tick_or_missed_with_a_lead(control: rtshm.Control) -> None:
    period_ns, lead_ns = 400_000, 100_000
    for _ in range(5):
        with control.watch(timeout=PATIENCE) as events:
            start_ns = time.monotonic_ns() + 300_000_000
            control.create("l", period=period_ns, start_ns=start_ns, lead=lead_ns)
            while time.monotonic_ns() < start_ns + 20_000_000:
                time.sleep(0.01)
            before_ns = time.monotonic_ns()
            control.delete("l")
            after_ns = time.monotonic_ns()
            next(events)
            counters = next(events).region.counters  # type: ignore[union-attr]
        least, most = ((at - start_ns) // period_ns + 1 for at in (before_ns, after_ns))
        assert least <= counters.ticks + counters.missed <= most


def test_one_region_may_have_a_quarter_of_its_period(control: rtshm.Control) -> None:
    """Its period need not divide a second."""
    for period_ns in (100_000, 150_000, 300_000, 350_000, 399_999):
        lead_ns = period_ns // 4
        assert control.create("l", period=period_ns, lead=lead_ns).lead_ns == lead_ns
        control.delete("l")


@pytest.mark.promise("limits: A lead is at most a quarter of the period")
def test_lead_is_a_quarter_of_the_period_at_most(control: rtshm.Control) -> None:
    control.create("l", period=400_000, lead=100_000)
    for period_ns in (399_999, 100_000):
        with pytest.raises(OSError, match="lead-ns: give at most 100000, and a quarter") as caught:
            control.set("l", period=period_ns)
        assert caught.value.errno == errno.ERANGE
    assert control.get("l").period_ns == 400_000
    assert control.set("l", period=PERIOD_NS).lead_ns == 100_000


@pytest.mark.promise("limits: The leads of all regions leave a CPU three quarters of its time")
def test_leads_of_all_regions_leave_a_cpu_three_quarters_of_its_time(
    control: rtshm.Control,
) -> None:
    def refused() -> None:
        with pytest.raises(OSError, match="leads of all regions may add up to 250 ms") as caught:
            control.create("more", period=1_000_000, lead=1)
        assert caught.value.errno == errno.ENOSPC

    control.create("half", period=800_000, lead=100_000)
    control.create("rest", period=400_000, lead=50_000)
    refused()
    # What a region gives back, by its end or by a longer period, another may have.
    control.set("half", period=1_000_000)
    control.create("more", period=1_000_000, lead=25_000)
    with pytest.raises(OSError, match="leads of all regions may add up to 250 ms") as caught:
        control.set("half", period=999_000)
    assert caught.value.errno == errno.ENOSPC
    control.delete("more")
    control.set("half", period=800_000)
    refused()
    control.delete("rest")
    control.create("more", period=400_000, lead=50_000)
