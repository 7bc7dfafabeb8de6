"""`ready`: set by the writer, cleared by the tick that took the value, and nothing lost."""

from __future__ import annotations

import os
import random
import time
from functools import partial
from typing import TYPE_CHECKING

import pytest
import rtshm

from tests.lib import child, ftrace, module
from tests.lib.module import PATIENCE, PERIOD_MIN_NS
from tests.lib.waiting import wait_until

if TYPE_CHECKING:
    from tests.lib.fixtures import Load
    from tests.lib.kmsg import KernelLog


def test_tick_clears_ready_and_leaves_the_value(load: Load) -> None:
    load(print=0)
    with rtshm.open() as region:
        region.publish(42)
        region.wait_taken(PATIENCE)
        assert not region.ready
        assert region.some_int == 42
        assert bytes(region.memory[:8]) == b"\x2a\0\0\0\0\0\0\0"


def test_value_stored_without_announcement_is_printed(log: KernelLog, load: Load) -> None:
    load(period_ns=50_000_000)
    with rtshm.open() as region:
        region.some_int = 17
        module.wait_value(log, 17)
        assert not region.ready


@pytest.mark.parametrize("ready", [1, 2, 255])
def test_any_ready_but_zero_announces(load: Load, ready: int) -> None:
    load(period_ns=10_000_000, print=0)
    with ftrace.tracing("ready == 1"), rtshm.open() as region:
        os.pwrite(region.fileno(), bytes([5, 0, 0, 0, ready]), 0)
        region.wait_taken(PATIENCE)
        assert [tick.value for tick in ftrace.ticks(taken=5)] == [5]


@pytest.mark.promise("word: Each publication is taken exactly once")
def test_every_one_of_1000_publications_is_taken_once(load: Load) -> None:
    load(period_ns=PERIOD_MIN_NS, print=0)
    values = [number * 7_919 - 3_000_000 for number in range(1000)]
    with ftrace.tracing("ready == 1"), rtshm.open() as region:
        for value in values:
            region.publish(value)
            region.wait_taken(PATIENCE)
        taken = ftrace.ticks(taken=values[-1])
    assert [tick.value for tick in taken] == values
    assert {tick.region for tick in taken} == {"default"}


def test_announcement_that_nobody_waits_for_is_taken_by_the_newest(load: Load) -> None:
    """Unasked for, older values may pass unseen; the last one never does."""
    load(period_ns=PERIOD_MIN_NS, print=0)
    with ftrace.tracing("ready == 1"), rtshm.open() as region:
        for value in range(5000):
            region.publish(value)
        region.wait_taken(PATIENCE)
        taken = [tick.value for tick in ftrace.ticks(taken=4999)]
    assert taken[-1] == 4999
    assert taken == sorted(set(taken))


@pytest.mark.promise("word: A publication that comes while the tick takes another is kept")
@pytest.mark.needs("cpus")
def test_publication_is_there_at_once_whatever_the_tick_does(control: rtshm.Control) -> None:
    """A tick that stored back what it had loaded would undo one that came in between.
    Only cpus that run at once can show it: user-mode Linux (7.3-um) and KVM."""
    control.create("a", period=PERIOD_MIN_NS, cpu=0)
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {1})
    try:
        with rtshm.open("a") as region:
            for value in range(200_000):
                region.publish(value)
                assert region.some_int == value
    finally:
        os.sched_setaffinity(0, before)
    assert control.get("a").counters.published > 10, "hardly a tick took one of them"


@pytest.mark.promise("word: Two processes share the word")
def test_two_processes_share_the_word(load: Load) -> None:
    load(period_ns=20_000_000, print=0)

    def write() -> int:
        # A mapping of its own, not the one that the fork copied.
        with rtshm.open() as other:
            other.memory[100:105] = b"hello"
            other.publish(7)
            other.wait_taken(PATIENCE)
            return other.some_int

    with rtshm.open() as region:
        assert child.status_of(write) == 7
        assert region.some_int == 7
        assert bytes(region.memory[100:105]) == b"hello"


# tests/stress kills more of them.
@pytest.mark.promise("word: A writer killed at any instant leaves a whole word")
@pytest.mark.once
@pytest.mark.stock
def test_writers_killed_at_random_leave_whole_words(load: Load) -> None:
    """Each writer has a range of values of its own, written upwards. What a tick sees is one
    of them, never lower than before; the last one stored was announced, and taken."""
    load(period_ns=1_000_000, print=0)
    moments = random.Random(1)
    span = 10_000_000
    left: list[int] = []
    with ftrace.tracing(), rtshm.open() as region:

        def write(values: range) -> None:
            for value in values:
                region.publish(value)

        def is_written(values: range) -> bool:
            return region.some_int in values

        for number in range(1, 51):
            own = range(number * span, (number + 1) * span)
            with child.killed(partial(write, own)):
                wait_until(partial(is_written, own), "the writer writes")
                time.sleep(moments.uniform(0, 0.01))
            region.wait_taken(PATIENCE)
            left.append(region.some_int)
            assert left[-1] in own
            assert bytes(region.memory[4:8]) == bytes(4)
        ticks = ftrace.ticks(taken=left[-1])
    values = [tick.value for tick in ticks]
    assert values == sorted(values)
    taken = {tick.value for tick in ticks if tick.ready}
    assert set(left) <= taken
