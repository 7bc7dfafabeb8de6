"""A clock that is set, and a period: no region sleeps through it, or is called late for it."""

from __future__ import annotations

import time

import pytest
import rtshm
from rtshm import Clock

from tests.lib import clocks, first
from tests.lib.waiting import wait_until

HOUR_NS = 3_600_000_000_000
SECOND_NS = 1_000_000_000
PERIOD_NS = 10_000_000
PHASE_NS = 3_000_000


def tick_number(control: rtshm.Control) -> int:
    return control.get("a").counters.ticks


@pytest.mark.promise("ticks: A clock set back delays no tick by more than a period")
@pytest.mark.needs("clock")
@pytest.mark.parametrize("clock", [Clock.REALTIME, Clock.TAI])
def test_region_goes_on_when_its_clock_is_set_back(control: rtshm.Control, clock: Clock) -> None:
    control.create("a", period=PERIOD_NS, clock=clock, phase=PHASE_NS, history=100)
    first.tick("a", 5)
    with clocks.stepped(-HOUR_NS):
        first.tick("a", tick_number(control) + 10)
        with rtshm.Samples("a") as samples:
            next(samples)
            sample = next(samples)
        source = time.CLOCK_REALTIME if clock is Clock.REALTIME else time.CLOCK_TAI
        ahead, _ = clocks.ahead_ns(source)
        off = (sample.time_ns - sample.lateness_ns + ahead - PHASE_NS) % PERIOD_NS
        assert min(off, PERIOD_NS - off) < 1_000_000, "not on the grid of the clock"
        counters = control.get("a").counters
        assert counters.lateness_max_ns < HOUR_NS // 100
        assert counters.missed < 100


@pytest.mark.needs("clock")
def test_clock_set_ahead_is_missed_periods_and_no_lateness(control: rtshm.Control) -> None:
    control.create("a", period=PERIOD_NS, clock=Clock.REALTIME, phase=PHASE_NS)
    first.tick("a", 5)
    with clocks.stepped(HOUR_NS):
        hour = HOUR_NS // PERIOD_NS
        wait_until(lambda: control.get("a").counters.missed >= hour, "an hour of missed periods")
        counters = control.get("a").counters
        assert counters.missed <= hour + 1000
        assert counters.lateness_max_ns < HOUR_NS // 100


@pytest.mark.needs("clock")
def test_step_ahead_to_a_grid_that_began_before_the_boot_stops_no_region(
    control: rtshm.Control,
) -> None:
    """On CLOCK_MONOTONIC the tick before the step was due at a negative time."""
    period_ns = 2 * time.monotonic_ns() + 10 * SECOND_NS
    first_ns = time.clock_gettime_ns(time.CLOCK_REALTIME) + SECOND_NS
    control.create("a", period=period_ns, clock=Clock.REALTIME, phase=first_ns % period_ns)
    # The tick after the first is due a second after it.
    with clocks.stepped(period_ns - SECOND_NS):
        first.tick("a", 2)


def test_shorter_period_applies_at_once(control: rtshm.Control) -> None:
    control.create("a", period=HOUR_NS)
    before = first.tick("a").counters
    assert before.ticks == 1
    control.set("a", period=PERIOD_NS)
    after = first.tick("a", 10).counters
    assert after.ticks + after.missed <= before.ticks + 200, "the hour counts as missed"


def test_shorter_period_does_not_start_a_region_before_its_time(control: rtshm.Control) -> None:
    control.create("a", period=HOUR_NS, start_ns=time.monotonic_ns() + 60 * 10**9)
    control.set("a", period=PERIOD_NS)
    time.sleep(0.2)
    assert tick_number(control) == 0


@pytest.mark.needs("cpus")
def test_shorter_period_keeps_the_cpu_of_a_region(control: rtshm.Control) -> None:
    control.create("a", period=HOUR_NS, cpu=1)
    first.tick("a")
    for period in (1_000_000_000, PERIOD_NS, 1_000_000):
        control.set("a", period=period)
    assert first.tick("a", tick_number(control) + 10).cpu == 1
