"""What reads and writes of a region cost the ticks: `python3 -m tests.boots.guest.readers`.

A program, and no test of this suite: it takes time that counts instructions, see
tests/boots/test_wakes.py.
"""

from __future__ import annotations

import os
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

import numpy as np
import rtshm

from tests.lib import module
from tests.lib.child import killed

if TYPE_CHECKING:
    from collections.abc import Callable

TICKS = 1000
PROCESSES = 4
PAGE = 4096
# Apart from the scheduler's tick, which falls on whole milliseconds after some boots and
# then comes first.
PHASE_NS = 300_000
# A page is copied in with interrupts off: 512 stores, each of some instructions of 2 ns.
WRITE_NS = 8_000


def again(act: Callable[[], object]) -> None:
    while True:
        act()


def lateness_ns(
    control: rtshm.Control, act: Callable[[], object]
) -> np.ndarray[Any, np.dtype[np.int64]]:
    """Of the ticks of a region, while processes do something else with it, again and again."""
    with ExitStack() as children:
        for _ in range(PROCESSES):
            children.enter_context(killed(lambda: again(act)))
        with rtshm.Samples("a") as samples:
            return np.array([next(samples).lateness_ns for _ in range(TICKS)])


def main() -> None:
    module.load(print=0, period_ns=3_600_000_000_000)
    with rtshm.Control() as control:
        control.create("a", period=1_000_000, phase=PHASE_NS, history=TICKS, cpu=0)
        fd = os.open("/dev/rtshm/a", os.O_RDWR)
        zero = os.open("/dev/zero", os.O_RDONLY)
        page = bytes(PAGE)
        without = lateness_ns(control, lambda: os.pread(zero, PAGE, 0))
        read = lateness_ns(control, lambda: os.pread(fd, PAGE, 0))
        written = lateness_ns(control, lambda: os.pwrite(fd, page, 0))
        os.close(zero)
        os.close(fd)
    seen = [np.percentile(each, [50, 99, 100]).tolist() for each in (without, read, written)]
    assert np.percentile(read, 99) <= 1.1 * np.percentile(without, 99), seen
    assert np.percentile(written, 99) <= np.percentile(without, 99) + WRITE_NS, seen
    module.unload()
    print("readers: passed")


if __name__ == "__main__":
    main()
