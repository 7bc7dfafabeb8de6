"""What a tick costs: of rtshm, of a timer that does nothing, of a BPF timer.

It is the time that a loop takes longer in which ticks fall, for each of them:
the interrupt around a tick is included.
"""

from __future__ import annotations

import time
import timeit
from contextlib import contextmanager
from datetime import timedelta
from functools import partial
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING

import rtshm

from bench import bare, bpf
from bench.figures import INSTRUCTION_NS
from tests.lib import module
from tests.lib.ftrace import EVENT
from tests.lib.module import CHECKOUT

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from contextlib import AbstractContextManager

    from bench.figures import Figures

RECORD_BYTES = 24
DEPTH = 65_536
# As short as can be without a tick missed: what else interrupts the loop counts less.
TICK = timedelta(microseconds=20)
TICK_NS = 20_000
LEAD = timedelta(microseconds=5)
# So many turns of an empty loop that some thousand ticks fall into them.
TURNS = 400_000
ROUNDS = 5
# What making a region leaves to be done is done by then.
SETTLED = 0.05
# Its task number 9 does nothing.
PROBE = Path("/sys/module/rtshm_probe/parameters/run")
# The sum of its interrupts, from when each was due: to its handler, or to the tick.
HANDLED = Path("/sys/module/rtshm_probe/parameters/handled_ns")
KICKS = 10_000

RECORDING = 1.5
OF_BARE = 1.5
OF_BPF = 0.7
EMPTY_TASK = 60
SAMPLE = 83
EMPTY_PROGRAM = 160
KICK = 1.1

PROGRAM = CHECKOUT / "tests/module/tasks/empty.bpf.o"
CONTROLLER = CHECKOUT / "client/examples/pi.bpf.o"
CONTROLLER_MODULE = CHECKOUT / "kmod/examples/pi/rtshm_pi.ko"


def loop() -> None:
    for _ in range(TURNS):
        pass


def warm() -> None:
    """Python runs a loop as fast as it gets only after some turns."""
    for _ in range(ROUNDS):
        loop()


def instructions(
    ticking: Callable[[], AbstractContextManager[Callable[[], int]]], rounds: int = ROUNDS
) -> float:
    """Of one tick of what `ticking()` keeps ticking; it gives a function that counts ticks.

    The loop without ticks is timed before and after each with them, and the shorter
    counts: Python may run it faster from some turn on, and slower where its numbers
    come to lie at the end of a piece of its heap.
    """
    costs = []
    for _ in range(rounds):
        time.sleep(SETTLED)
        without = timeit.timeit(loop, number=1)
        with ticking() as ticks:
            time.sleep(SETTLED)
            before = ticks()
            seconds = timeit.timeit(loop, number=1)
            after = ticks()
        time.sleep(SETTLED)
        without = min(without, timeit.timeit(loop, number=1))
        costs.append((seconds - without) / (after - before) * 1e9 / INSTRUCTION_NS)
    found = median(costs)
    assert found > 0, f"something else ran in the loop without ticks: {costs}"
    return found


def of_rtshm(
    control: rtshm.Control,
    *,
    depth: int = 0,
    readers: int = 0,
    task: bool = False,
    program: Path | None = None,
    ready_made: Callable[[], object] | None = None,
    lead: timedelta | None = None,
) -> Callable[[], AbstractContextManager[Callable[[], int]]]:
    @contextmanager
    def ticking() -> Iterator[Callable[[], int]]:
        control.create(
            "loop",
            period=TICK,
            history=depth,
            record_bytes=RECORD_BYTES,
            lead=lead,
            layout="setpoint:i32 safe:i32",
        )
        if task:
            PROBE.write_text("add 9 loop")
        if program:
            rtshm.Task("loop", program)
        if ready_made:
            ready_made()
        files = [rtshm.Samples("loop") for _ in range(readers)]
        try:
            yield lambda: control.get("loop").counters.ticks
            found = control.get("loop").counters
        finally:
            for file in files:
                file.close()
            control.delete("loop")
        # Where time is the host's, ticks that it does not give are not counted.
        assert found.missed < found.ticks / 100, f"{found.missed} ticks missed"

    return ticking


def of_controller(
    control: rtshm.Control,
) -> Callable[[], AbstractContextManager[Callable[[], int]]]:
    """The module that client/examples/pi.bpf.c is the like of."""

    @contextmanager
    def ticking() -> Iterator[Callable[[], int]]:
        with of_rtshm(control)() as ticks:
            module.insert(CONTROLLER_MODULE, region="loop")
            try:
                yield ticks
            finally:
                module.remove("rtshm_pi")

    return ticking


def handled(command: str) -> float:
    """In instructions, of one of the interrupts of the probe's timer."""
    PROBE.write_text(f"{command} {KICKS}")
    return int(HANDLED.read_text()) / KICKS / INSTRUCTION_NS


def of_kick(control: rtshm.Control) -> float:
    """From when an interrupt was due whose handler kicks a region, to the tick."""
    control.create("kicked", period="none")
    PROBE.write_text("add 0 kicked")
    try:
        return handled("kick 0")
    finally:
        PROBE.write_text("remove 0")
        control.delete("kicked")


@contextmanager
def of_bare() -> Iterator[Callable[[], int]]:
    with bare.ticking(TICK_NS):
        yield bare.ticks


def measure(figures: Figures) -> None:
    def add(name: str, ticking: Callable[[], AbstractContextManager[Callable[[], int]]]) -> float:
        return figures.add(name, instructions(ticking), "instructions")

    warm()
    with rtshm.Control() as control, bpf.Peer() as peer:

        @contextmanager
        def of_bpf() -> Iterator[Callable[[], int]]:
            with peer.ticking(TICK_NS):
                yield peer.ticks

        @contextmanager
        def of_cpu_clock() -> Iterator[Callable[[], int]]:
            with peer.clocking(TICK_NS):
                yield peer.clock_ticks

        nothing = add("a tick of a bare hrtimer that does nothing", of_bare)
        idle = add("a tick of rtshm that does not record", of_rtshm(control))
        recording = add("a tick that records 24 bytes", of_rtshm(control, depth=DEPTH))
        watched = add(
            "a tick that records, with 8 readers that do not wait",
            of_rtshm(control, depth=DEPTH, readers=8),
        )
        task = add("a tick with an empty task", of_rtshm(control, task=True))
        program = add("a tick with an empty BPF task", of_rtshm(control, program=PROGRAM))
        add("a tick with the PI controller in C", of_controller(control))
        add("a tick with the PI controller in BPF", of_rtshm(control, program=CONTROLLER))
        guard = partial(rtshm.SafeValues, "loop", after="1h", setpoint=0)
        add("a tick with safe values, not in place", of_rtshm(control, ready_made=guard))
        queue = partial(rtshm.Queue, "loop", "setpoint")
        add("a tick with a queue that is empty", of_rtshm(control, ready_made=queue))
        add("a tick that is waited for 5 us", of_rtshm(control, lead=LEAD))
        (EVENT / "enable").write_text("1")
        add("a tick with the tracepoint on", of_rtshm(control))
        (EVENT / "enable").write_text("0")
        of_a_bpf_timer = add("a tick of a BPF timer that takes a mapped word", of_bpf)
        of_perf = add("a tick of BPF on perf's cpu-clock, the same", of_cpu_clock)
        interrupt = figures.add(
            "from an interrupt to its handler", handled("interrupt"), "instructions"
        )
        kick = figures.add(
            "from an interrupt to the tick that its handler kicks", of_kick(control), "instructions"
        )
    figures.add("an idle tick / a bare hrtimer's", idle / nothing, most=OF_BARE)
    figures.add("an idle tick / a BPF timer's", idle / of_a_bpf_timer, most=OF_BPF)
    figures.add("an idle tick / one of BPF on perf's cpu-clock", idle / of_perf)
    figures.add("from an interrupt to a kicked tick / to its handler", kick / interrupt, most=KICK)
    figures.add("a tick that records / one that does not", recording / idle, most=RECORDING)
    figures.add("a sample of 24 bytes, more", recording - idle, "instructions", most=SAMPLE)
    figures.add("  with 8 readers / one that does not", watched / idle, most=RECORDING)
    figures.add("an empty task, more", task - idle, "instructions", most=EMPTY_TASK)
    figures.add("an empty BPF task, more", program - idle, "instructions", most=EMPTY_PROGRAM)
