"""What a tick costs: one that records, and one that runs a task.

Runs in the guest with rtshm and tests/modules/probe loaded: `make bench`. The
machine counts instructions for time there, so that the figures repeat: a second
is 500,000,000 instructions. Exits with 1 if a limit is not kept.
"""

from __future__ import annotations

import sys
import timeit
from contextlib import ExitStack
from datetime import timedelta
from pathlib import Path
from statistics import median

import rtshm

from bench.figures import ROUNDS, Figures

RECORD_BYTES = 24
DEPTH = 65_536
TICK = timedelta(microseconds=100)
# So many turns of an empty loop that some thousand ticks fall into them.
TURNS = 2_000_000
# Its task number 9 does nothing.
PROBE = Path("/sys/module/rtshm_probe/parameters/run")

OF_A_TICK = 1.5
EMPTY_TASK = 60


def ticking(control: rtshm.Control, figures: Figures) -> None:
    """How much longer a loop takes in which ticks fall, for each of them."""

    def loop() -> None:
        for _ in range(TURNS):
            pass

    def tick_ns(depth: int = 0, readers: int = 0, task: bool = False) -> float:
        """Of one tick, the interrupt around it included.

        The loop without ticks is timed beside each with them: Python may run
        it faster from some turn on.
        """
        costs = []
        for _ in range(ROUNDS):
            bare = timeit.timeit(loop, number=1)
            control.create("loop", period=TICK, record_depth=depth, record_bytes=RECORD_BYTES)
            if task:
                PROBE.write_text("add 9 loop")
            with ExitStack() as files:
                for _ in range(readers):
                    files.enter_context(rtshm.Samples("loop"))
                before = control.get("loop").counters
                seconds = timeit.timeit(loop, number=1)
                after = control.get("loop").counters
            costs.append((seconds - bare) / (after.ticks - before.ticks) * 1e9)
            assert after.missed == before.missed, "run it where time is counted: ICOUNT=1"
            control.delete("loop")
        return median(costs)

    # Until it is as fast as it gets.
    for _ in range(ROUNDS):
        loop()
    without = tick_ns()
    recording = tick_ns(DEPTH)
    figures.line("a tick that does not record, instructions", f"{without / 2:.0f}")
    figures.line("a tick that records 24 bytes, instructions", f"{recording / 2:.0f}")
    figures.ratio("  of one that does not", recording / without, OF_A_TICK)
    figures.ratio("  with 8 readers that do not wait", tick_ns(DEPTH, 8) / without, OF_A_TICK)
    more = (tick_ns(task=True) - without) / 2
    figures.line(
        "an empty task, instructions more", f"{more:.0f}", f"<= {EMPTY_TASK}", more <= EMPTY_TASK
    )


def main() -> int:
    figures = Figures()
    with rtshm.Control() as control:
        ticking(control, figures)
    return 0 if figures.kept else 1


if __name__ == "__main__":
    sys.exit(main())
