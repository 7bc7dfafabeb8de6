"""How long it takes from the tick to a program that waits for it.

A thread with SCHED_FIFO priority 90 that waits for a region's sample by read(2), poll(2) or
epoll_wait(2), compared with one that the kernel wakes by a timer of its own: clock_nanosleep(2), a
timerfd, cyclictest, and where the kernel has it, timerlat. Alone, and next to a loop of
priority 49 on the same cpu. And a program in Python that awaits samples in asyncio.
"""

from __future__ import annotations

import asyncio
import re
import subprocess
import time
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy
import rtshm

from bench.lateness import of_cyclictest
from tests.lib.ftrace import TRACEFS

if TYPE_CHECKING:
    from collections.abc import Iterator

    from bench.figures import Figures

    Wakes = numpy.ndarray[Any, numpy.dtype[Any]]

PROGRAM = Path(__file__).with_name("programs") / "wakes"
PERIOD_NS = 1_000_000
# As in wakes.c: apart from the ticks of the scheduler.
PHASE = timedelta(microseconds=300)
# Enough for the last of 1000 to be of two.
COUNT = 2_000
# Left out: what starts a program has an end in its first wakes.
FIRST = 200
PERCENT = 99.9
PRIORITY = 90
# Below that of the region's thread, which wakes who polls.
HOG = 49
# A process of a real-time priority may take all of a cpu.
RUNTIME = Path("/proc/sys/kernel/sched_rt_runtime_us")
REALTIME = Path("/sys/kernel/realtime")
# PREEMPT_RT expires a timerfd in a thread of priority 1: behind the loop, never.
STARVED = "its timer expires in a thread of priority 1, which the loop keeps from running"
# What the end of the program before leaves to be done is done by then.
SETTLED = 1.0

OF_NANOSLEEP = 1.2
TIMERS = ("clock_nanosleep", "timerfd")
WAITS = ("read", "poll", "epoll")


@contextmanager
def region() -> Iterator[None]:
    with rtshm.Control() as control:
        period = timedelta(microseconds=PERIOD_NS // 1000)
        control.create("wakes", period=period, phase=PHASE, history=64)
        try:
            yield
        finally:
            control.delete("wakes")


@contextmanager
def unthrottled() -> Iterator[None]:
    before = RUNTIME.read_text()
    RUNTIME.write_text("-1")
    try:
        yield
    finally:
        RUNTIME.write_text(before)


def woken(way: str, hog: int) -> Wakes:
    """A row for each wake: the ns since it was due, and since the tick."""
    command = [str(PROGRAM), way.removeprefix("clock_"), str(PERIOD_NS), str(FIRST + COUNT)]
    command += [str(PRIORITY), str(hog), "/dev/rtshm/wakes.samples"]
    time.sleep(SETTLED)
    found = subprocess.run(command, check=True, capture_output=True).stdout
    return numpy.frombuffer(found, "u8").reshape(-1, 2)[FIRST:]


def of_timerlat() -> Wakes | None:
    """The wakes of the kernel's own thread; None if it has none."""
    if "timerlat" not in (TRACEFS / "available_tracers").read_text().split():
        return None
    current = TRACEFS / "current_tracer"
    period = TRACEFS / "osnoise/timerlat_period_us"
    before = period.read_text()
    period.write_text(str(PERIOD_NS // 1000))
    current.write_text("timerlat")
    try:
        time.sleep(COUNT * PERIOD_NS / 1e9)
        (TRACEFS / "tracing_on").write_text("0")
        text = (TRACEFS / "trace").read_text()
    finally:
        current.write_text("nop")
        period.write_text(before)
        (TRACEFS / "tracing_on").write_text("1")
    found = re.findall(r"context +thread timer_latency +(\d+) ns", text)
    return numpy.array(found, "u8")


def of_asyncio() -> Wakes:
    """The ns since the tick, when Python has the sample."""

    async def wait() -> list[int]:
        found = []
        with rtshm.Samples("wakes") as samples:
            async for sample in samples:
                found.append(time.monotonic_ns() - sample.time_ns)
                if len(found) == FIRST + COUNT:
                    break
        return found

    return numpy.array(asyncio.run(wait()), "u8")[FIRST:]


def add(figures: Figures, name: str, found: Wakes) -> float:
    """Return the median."""
    value = figures.add(f"{name}, median", float(numpy.median(found)), "ns")
    figures.add(f"{name}, p99.9", float(numpy.percentile(found, PERCENT)), "ns")
    figures.add(f"{name}, latest", float(found.max()), "ns")
    return value


def beside(figures: Figures, hog: int) -> None:
    when = f"beside a loop of priority {hog}" if hog else "idle"
    timers = {}
    for way in TIMERS:
        if way == "timerfd" and hog and REALTIME.exists():
            figures.absent(f"{when}: {way}, median", STARVED)
        else:
            timers[way] = add(figures, f"{when}: {way}", woken(way, hog)[:, 0])
    with region():
        for way in WAITS:
            from_due, from_tick = woken(way, hog).T
            found = add(figures, f"{when}: {way}, from the tick", from_tick)
            add(figures, f"{when}: {way}, from when it was due", from_due)
            # The thread of the region, between the tick and who polls, has work of its own.
            most = OF_NANOSLEEP if way == "read" else None
            ratio = found / timers["clock_nanosleep"]
            figures.add(f"{when}: {way} / clock_nanosleep", ratio, most=most)


def measure(figures: Figures) -> None:
    # What they are made of is read from the disk, in interrupts that are long.
    woken("nanosleep", 0)
    of_cyclictest(PERIOD_NS, 50)
    beside(figures, 0)
    add(figures, "idle: cyclictest", of_cyclictest(PERIOD_NS, COUNT))
    timerlat = of_timerlat()
    if timerlat is None:
        figures.absent("idle: timerlat, median", "the kernel is built without it")
    else:
        add(figures, "idle: timerlat", timerlat)
    with region():
        add(figures, "idle: Python in asyncio, from the tick", of_asyncio())
    with unthrottled():
        beside(figures, HOG)
