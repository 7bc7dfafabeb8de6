"""The history of a region whose tick counter is about to pass a multiple of 2**32.

A program, and no test of this suite: it takes a module that was built to begin
so, see tests/boots/test_month.py.

    python3 -m tests.boots.guest.month TICKS      that the module has before its first
"""

from __future__ import annotations

import os
import sys
import time
from datetime import timedelta

import numpy
import rtshm

from tests.lib import module

DEPTH = 256
BEHIND = 100


def cross(control: rtshm.Control, before: int) -> None:
    """The first ticks, all of them, to as many behind the multiple as there are before it."""
    control.create("a", period=timedelta(milliseconds=1), history=DEPTH)
    with rtshm.Samples("a", oldest=True, watermark=20) as samples:
        ticks = [samples.read_array(DEPTH)["tick"]]
        while ticks[-1][-1] < before + 2 * BEHIND:
            ticks.append(samples.read_array(DEPTH)["tick"])
        assert samples.lost == 0
    seen = numpy.concatenate(ticks)
    assert seen[0] == before + 1
    assert (numpy.diff(seen) == 1).all()
    assert control.get("a").counters.ticks >= seen[-1] - before
    control.delete("a")


def lose(control: rtshm.Control, before: int) -> None:
    """A reader that reads nothing while the multiple passes sees exactly how much is lost."""
    control.create("a", period=timedelta(milliseconds=1), history=DEPTH)
    with rtshm.Samples("a", oldest=True) as samples:
        last = int(samples.read_array(1)["tick"][0])
        assert last == before + 1
        while control.get("a").counters.ticks < DEPTH + BEHIND // 2:
            time.sleep(0.01)
        array = samples.read_array(DEPTH)
        assert samples.lost == int(array["tick"][0]) - last - 1 > 0
        os.lseek(samples.fileno(), 0, os.SEEK_SET)
        kept = samples.read_array(2 * DEPTH)["tick"]
        assert (numpy.diff(kept) == 1).all()
        assert kept[0] < before + BEHIND < kept[-1]
    control.delete("a")


def main() -> None:
    before = int(sys.argv[1])
    module.load(print=0, period_ns=3_600_000_000_000)
    with rtshm.Control() as control:
        least = control.get("default").counters.lateness_min_ns
        assert least > 0, "the first tick is not the least late until now"
        cross(control, before)
        lose(control, before)
    module.unload()
    print("month: passed")


if __name__ == "__main__":
    main()
