"""The ring of samples at its edges: overruns, whole records, and who is woken."""

from __future__ import annotations

import os
import select
import signal
import struct
import threading
import time
from bisect import bisect_left
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import timedelta
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING

import numpy
import pytest
import rtshm
from rtshm import Control, Samples

from tests.lib import first, ftrace
from tests.lib.child import killed
from tests.lib.module import LIFETIME, PATIENCE
from tests.lib.samples import (
    HEADER,
    HOUR_NS,
    MS,
    NODE,
    STRIDE,
    Sample,
    check_order,
    read,
    set_watermark,
)
from tests.lib.tearing import hostile
from tests.lib.waiting import wait_asleep

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


DEPTH = 32
FIELDS = 64
PLAIN = f"first:u64 rest:u64[{FIELDS - 1}]"


# Overruns.


@dataclass
class Reader:
    """One of several of a region, and what it knows by CLOCK_MONOTONIC."""

    fd: int
    last: int = 0
    """The tick of the last sample it has read; 0: it has read none."""
    due_ns: int = 0
    """When it is to read next."""


# Readers that come at each position come by the clock: this is about the ticks that come
# meanwhile. tests/host/test_arithmetic.py has all depths, positions and lags.
@pytest.mark.promise("history: Lost samples are exactly the gaps in the tick numbers")
@pytest.mark.once
@pytest.mark.stock
@pytest.mark.parametrize(("depth", "record_bytes"), [(1, 8), (3, 40)])
def test_overrun_at_each_position_gives_what_is_kept(
    control: Control, opened: Callable[..., int], depth: int, record_bytes: int
) -> None:
    """By a sample, by two, by a whole round and one more, wherever the next goes."""
    period_ns = 2 * MS
    control.create("a", period=period_ns, history=depth, record_bytes=record_bytes)
    amounts = {1, 2, depth, depth + 1, depth + 2, 2 * depth, 2 * depth + 1}
    wanted = {(at, behind) for at in range(depth) for behind in amounts}
    # By when each number surely was stored, from 0 on.
    stored_ns = [0]

    def check(samples: list[Sample], reader: Reader, begin_ns: int, end_ns: int) -> None:
        last = samples[-1].tick
        due_ns = samples[-1].time_ns - samples[-1].lateness_ns + period_ns
        if samples[-1].time_ns < begin_ns and end_ns < due_ns and reader.last:
            # No tick was during the read.
            first = max(reader.last + 1, last - depth + 1)
            assert [sample.tick for sample in samples] == list(range(first, last + 1))
            wanted.discard((last % depth, last - reader.last))
        check_order(samples, period_ns)
        for sample in samples:
            stored = sample.record[8:]
            if stored:
                (number,) = struct.unpack_from("=Q", stored)
                assert stored == struct.pack("=Q", number) * (len(stored) // 8)  # whole
                least = bisect_left(stored_ns, sample.time_ns) - 1
                assert least <= number < len(stored_ns)

    def due_ns(last: Sample, index: int) -> int:
        """When to read next, for what is still wanted or to get to where that begins."""
        at, behind = sorted(wanted)[index % len(wanted)]
        ticks: int = (at - behind - last.tick) % depth or behind
        return last.time_ns - last.lateness_ns + ticks * period_ns + MS // 2

    readers = [Reader(opened(os.O_RDONLY | os.O_NONBLOCK)) for _ in range(6)]
    deadline = time.monotonic() + LIFETIME
    with rtshm.open("a") as region:
        while wanted:
            assert time.monotonic() < deadline, f"not seen within {LIFETIME} s: {sorted(wanted)}"
            # The fewer are wanted, the fewer readers delay one another.
            reader = min(readers[: len(wanted)], key=lambda reader: reader.due_ns)
            time.sleep(max(reader.due_ns - time.monotonic_ns(), 0) / 1e9)
            if record_bytes > 8:
                words = (record_bytes // 8 - 1) * [len(stored_ns)]
                os.pwrite(region.fileno(), struct.pack(f"={len(words)}Q", *words), 8)
                stored_ns.append(time.monotonic_ns())
            begin_ns = time.monotonic_ns()
            try:
                samples = read(reader.fd, most=2 * depth, stride=HEADER.size + record_bytes)
            except BlockingIOError:
                reader.due_ns += period_ns
                continue
            check(samples, reader, begin_ns, time.monotonic_ns())
            reader.last = samples[-1].tick
            if wanted:
                reader.due_ns = due_ns(samples[-1], readers.index(reader))


# Whole.


def run_ticks(control: Control, count: int) -> int:
    """Let `a` tick so often, at least; how often it did."""
    begin = control.get("a").counters.ticks
    return first.tick("a", begin + count).counters.ticks - begin


def records(control: Control, samples: Samples, wanted: int) -> tuple[int, int]:
    """Count the samples whose record differs from the one before, and those that are torn.

    Now and then the ring is overrun.
    """
    changed = torn = seen = 0
    deadline = time.monotonic() + LIFETIME
    for reads in count():
        if seen >= wanted:
            break
        assert time.monotonic() < deadline, (seen, changed, torn, samples.lost)
        if reads % 20 == 0:
            run_ticks(control, 2 * DEPTH)
        array = samples.read_array(1000)
        assert (numpy.diff(array["tick"]) == 1).all()
        seen += len(array)
        changed += int((numpy.diff(array["first"]) != 0).sum())
        torn += int((array["rest"] != array["first"][:, None]).any(axis=1).sum())
    return changed, torn


@pytest.fixture
def plain(control: Control) -> Iterator[Samples]:
    """Of a region that ticks at 5 kHz, with a ring that is overrun often."""
    control.create(
        "a",
        period=timedelta(microseconds=200),
        history=DEPTH,
        record_bytes=8 + 8 * FIELDS,
        layout=PLAIN,
    )
    with Samples("a", watermark=16) as samples:
        yield samples


@pytest.mark.promise("history: A sample never has half of a write()")
def test_sample_never_has_half_a_write(control: Control, tear: Path, plain: Samples) -> None:
    with hostile(tear, "write", "a", FIELDS):
        changed, torn = records(control, plain, 1000)
    assert changed > 100
    assert plain.lost > 0, "no overrun, which could tear a sample, too"
    assert torn == 0


@pytest.mark.promise("history: A sample never has half of a write()")
@pytest.mark.once
def test_sample_has_half_of_plain_stores(control: Control, tear: Path, plain: Samples) -> None:
    """That the test above can fail."""
    with hostile(tear, "store", "a", FIELDS):
        changed, torn = records(control, plain, 1000)
    assert changed > 100
    assert torn > 0


# Waking.


# Kernels with debugging are built without kprobes.
@pytest.mark.promise("history: A tick wakes nobody in vain, and a reader once per watermark")
@pytest.mark.stock
@pytest.mark.needs("kprobes")
def test_tick_wakes_nobody_where_nobody_waits(control: Control) -> None:
    """Not even the thread of the region."""
    control.create("a", period=MS, history=100)
    with ExitStack() as files:
        for _ in range(3):
            fd = os.open(NODE, os.O_RDONLY)
            files.callback(os.close, fd)
            os.read(fd, 4096)
        with ftrace.calls("rtshm_thread_wake") as reports:
            run_ticks(control, 500)
            assert reports() == 0


@pytest.mark.promise("history: A tick wakes nobody in vain, and a reader once per watermark")
@pytest.mark.stock
@pytest.mark.needs("kprobes")
def test_reader_is_woken_once_for_as_many_ticks_as_it_asked_for(control: Control) -> None:
    # It is not overrun if this process is late.
    control.create("a", period=MS, history=2000)
    watermark, turns = 50, 10
    fd = os.open(NODE, os.O_RDONLY)
    try:
        set_watermark(fd, watermark)
        poll = select.poll()
        poll.register(fd, select.POLLIN)
        ticks: list[int] = []
        with ftrace.calls("rtshm_thread_wake") as reports:
            for turn in range(turns):
                if turn % 2:
                    poll.poll()
                samples = read(fd, most=watermark)
                assert len(samples) == watermark
                ticks += [sample.tick for sample in samples]
            assert 1 <= reports() <= turns
        assert ticks[-1] - ticks[0] + 1 == len(ticks) == turns * watermark
    finally:
        os.close(fd)


def switches(pid: int) -> int:
    """How often a process has waited."""
    status = Path(f"/proc/{pid}/status").read_text()
    (line,) = [line for line in status.splitlines() if line.startswith("voluntary_ctxt_switches")]
    return int(line.split()[1])


@pytest.mark.promise("history: A tick wakes nobody in vain, and a reader once per watermark")
def test_reader_that_waits_sleeps_through_the_ticks_before_its_watermark(control: Control) -> None:
    control.create("a", period=MS, history=1000)

    def act() -> None:
        fd = os.open(NODE, os.O_RDONLY)
        set_watermark(fd, 100)
        while True:
            os.read(fd, 100 * (HEADER.size + 8))

    with killed(act) as pid:
        run_ticks(control, 200)
        begin = control.get("a").counters.ticks
        before = switches(pid)
        run_ticks(control, 1000)
        after = switches(pid)
        ticks = control.get("a").counters.ticks - begin
    assert 1 <= after - before <= ticks // 100 + 1


@pytest.mark.promise("history: Readers never block each other")
def test_wake_up_reaches_each_exclusive_poller_whose_watermark_it_is(
    control: Control, opened: Callable[..., int]
) -> None:
    """The first in the queue waits for another one, and would take the wake-up for itself."""
    control.create("a", period=5 * MS, history=2000)
    late, early = opened(os.O_RDONLY | os.O_NONBLOCK), opened(os.O_RDONLY | os.O_NONBLOCK)
    set_watermark(late, 1000)
    set_watermark(early, 10)
    with ExitStack() as polls:
        late_poll, early_poll = (polls.enter_context(select.epoll()) for _ in range(2))
        late_poll.register(late, select.EPOLLIN | select.EPOLLEXCLUSIVE)
        waiting = threading.Thread(target=late_poll.poll, args=(PATIENCE,))
        waiting.start()
        try:
            early_poll.register(early, select.EPOLLIN | select.EPOLLEXCLUSIVE)
            for _ in range(5):
                assert early_poll.poll(PATIENCE) == [(early, select.EPOLLIN)]
                assert 10 <= len(read(early)) < 500
        finally:
            control.delete("a")
            waiting.join(PATIENCE)
    assert not waiting.is_alive()


@pytest.mark.promise("history: Readers never block each other")
def test_poll_does_not_wait_for_a_read_of_the_same_file(control: Control) -> None:
    control.create("a", period=HOUR_NS, history=10)
    fd = os.open(NODE, os.O_RDONLY)
    got: list[bytes] = []
    waiting = threading.Thread(target=lambda: got.append(os.read(fd, 4096)))
    try:
        os.lseek(fd, 0, os.SEEK_SET)
        read(fd)
        waiting.start()
        wait_asleep(Path(f"/proc/self/task/{waiting.native_id}"))
        poll = select.poll()
        poll.register(fd, select.POLLIN)
        # Either would be stuck until the region is deleted.
        assert poll.poll(0) == []
        set_watermark(fd, 2)
        # A seek to the oldest lets the waiting reader have it again.
        os.lseek(fd, 0, os.SEEK_SET)
        control.delete("a")
        waiting.join(PATIENCE)
        assert len(got) == 1
    finally:
        os.close(fd)


# Ends.


@pytest.mark.promise("history: A waiting reader can be killed, interrupted or closed")
def test_reader_is_killed_while_it_waits(control: Control) -> None:
    control.create("a", period=HOUR_NS, history=10)

    def act() -> None:
        fd = os.open(NODE, os.O_RDONLY)
        while True:
            os.read(fd, 4096)

    with killed(act) as pid:
        wait_asleep(Path(f"/proc/{pid}"))
    control.set("a", history=5)


@pytest.mark.promise("history: A waiting reader can be killed, interrupted or closed")
def test_read_that_waits_goes_on_where_its_descriptor_is_closed(control: Control) -> None:
    """It has the samples open until its end, which is that of the region here."""
    control.create("a", period=HOUR_NS, history=10)
    fd = os.open(NODE, os.O_RDONLY)
    os.lseek(fd, 0, os.SEEK_SET)
    read(fd)
    got: list[bytes] = []
    waiting = threading.Thread(target=lambda: got.append(os.read(fd, 4096)))
    waiting.start()
    wait_asleep(Path(f"/proc/self/task/{waiting.native_id}"))
    os.close(fd)
    control.delete("a")
    waiting.join(PATIENCE)
    assert got == [b""]


@pytest.mark.promise("history: A waiting reader can be killed, interrupted or closed")
def test_signal_leaves_what_was_not_read(control: Control) -> None:
    """A reader interrupted while it waits for a watermark gets all samples afterwards."""
    control.create("a", period=10 * MS, history=1000)
    earliest = control.get("a").counters.ticks + 1
    fd = os.open(NODE, os.O_RDONLY)
    latest = control.get("a").counters.ticks + 1

    def stop(*_: object) -> None:
        raise InterruptedError

    before = signal.signal(signal.SIGALRM, stop)
    try:
        set_watermark(fd, 400)
        for _ in range(3):
            with pytest.raises(InterruptedError):
                signal.setitimer(signal.ITIMER_REAL, 0.1)
                os.read(fd, 1000 * STRIDE)
        set_watermark(fd, 1)
        end = control.get("a").counters.ticks
        ticks = [sample.tick for sample in read(fd)]
        # From the first that came after it was opened.
        assert earliest <= ticks[0] <= latest
        assert ticks[-1] >= end >= latest
        assert ticks == list(range(ticks[0], ticks[0] + len(ticks)))
    finally:
        signal.signal(signal.SIGALRM, before)
        os.close(fd)


def test_samples_closed_by_another_thread_end_an_iteration_with_its_error(
    control: Control,
) -> None:
    control.create("a", period=100 * MS, history=10)
    samples = Samples("a", watermark=5)
    raised: list[BaseException] = []

    def iterate() -> None:
        try:
            for _ in samples:
                pass
        except rtshm.ClosedError as error:
            raised.append(error)

    iterating = threading.Thread(target=iterate)
    iterating.start()
    samples.close()
    iterating.join(PATIENCE)
    assert len(raised) == 1
