"""What is changed of a region while it ticks: its counters, its grid, its cpu, its access."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING

import pytest
import rtshm

from tests.lib import module
from tests.lib.module import PATIENCE, UNLOADED
from tests.lib.waiting import wait_until

if TYPE_CHECKING:
    from rtshm.kmsg import KernelLog

    from tests.lib.fixtures import Load

PERIOD_NS = 10_000_000
HOUR_NS = 3_600_000_000_000


def wait_ticks(control: rtshm.Control, count: int, name: str = "a") -> None:
    before = control.get(name).counters.ticks
    wait_until(lambda: control.get(name).counters.ticks >= before + count, f"{count} ticks")


def test_reset_counters_begin_at_zero_and_samples_go_on(control: rtshm.Control) -> None:
    control.create("a", period=PERIOD_NS, record_depth=1000)
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
