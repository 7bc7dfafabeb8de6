"""Setpoints at 10 kHz from one writer in Python: `python3 -m tests.boots.guest.queue [SECONDS]`.

A program, and no test of this suite: it takes time that counts instructions, see
tests/boots/test_queue.py.
"""

from __future__ import annotations

import sys

import numpy
import rtshm

from tests.lib import module

PERIOD_NS = 100_000
MODULUS = 100_003


def main(seconds: int) -> None:
    count = seconds * 10**9 // PERIOD_NS
    module.load(print=0, history_max=1 << 20)
    with rtshm.Control() as control:
        control.create("r", period=PERIOD_NS, layout="setpoint:i32", history=1 << 20)
        with rtshm.Queue("r", "setpoint") as queue:
            queue.put(n * 7919 % MODULUS for n in range(1, count + 1))
            queue.drain()
            counts, task = queue.counts, queue.info
        with rtshm.Samples("r", oldest=True) as samples:
            seen = samples.read_array(1 << 20)
        missed = control.get("r").counters.missed
        control.delete("r")
    module.unload()
    print(f"{counts}, {missed} missed, at most {task.time_max_ns} ns in a tick")
    assert (counts.taken, counts.underruns, missed) == (count, 0, 0)
    # One value in each tick, and all of them.
    begin = int(numpy.flatnonzero(seen["setpoint"])[0])
    setpoints = seen["setpoint"][begin : begin + count]
    assert (setpoints == numpy.arange(1, count + 1, dtype="i8") * 7919 % MODULUS).all()
    assert (numpy.diff(seen["tick"]) == 1).all()


if __name__ == "__main__":
    main(int(sys.argv[1]) if sys.argv[1:] else 60)
