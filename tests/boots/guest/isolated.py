"""Ticks on a cpu that the scheduler leaves alone: `python3 -m tests.boots.guest.isolated CPU`.

A program, and no test of this suite: it takes a kernel with isolcpus=CPU, see
tests/boots/test_isolated.py.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

import rtshm

from tests.lib import first, ftrace, module

ISOLATED = Path("/sys/devices/system/cpu/isolated")
TICKS = 200


def main() -> None:
    cpu = int(sys.argv[1])
    assert ISOLATED.read_text().split() == [str(cpu)]
    assert cpu not in os.sched_getaffinity(0)
    module.load(print=0, period_ns=3_600_000_000_000)
    with rtshm.Control() as control, ftrace.tracing('region != "default"'):
        control.create("pinned", period=1_000_000, cpu=cpu)
        # Also by a process on the cpu that is set aside.
        os.sched_setaffinity(0, {cpu})
        free = control.create("free", period=1_000_000)
        assert (free.cpu, free.timer_cpu == cpu) == (None, False)
        os.sched_setaffinity(0, set(range(os.cpu_count() or 1)) - {cpu})
        for name in ("pinned", "free"):
            first.tick(name, TICKS)
        for name in ("pinned", "free"):
            control.delete(name)
        seen = {(tick.region, tick.cpu == cpu) for tick in ftrace.ticks()}
    assert seen == {("pinned", True), ("free", False)}
    module.unload()
    print("isolated: passed")


if __name__ == "__main__":
    main()
