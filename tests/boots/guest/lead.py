"""What a lead does for how late ticks are: `python3 -m tests.boots.guest.lead`.

A program, and no test of this suite: it takes time that counts instructions, see
tests/boots/test_lead.py.
"""

from __future__ import annotations

import os
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import numpy as np
import rtshm

from tests.lib import module
from tests.lib.child import killed

if TYPE_CHECKING:
    from collections.abc import Iterator

TICKS = 1000
LEAD_NS = 10_000
# What two processes that take turns keep interrupts off for, and more than nothing does.
KEPT_NS = 2_000
# A look at the clock, of those that the cpu waits with, and the way from the last to the tick's
# own: some hundred instructions of 2 ns.
NEXT_LOOK_NS = 300


@contextmanager
def switching() -> Iterator[None]:
    """Two processes that wake each other, again and again: interrupts are off for a switch."""
    there, back = os.pipe(), os.pipe()

    def wake(read: int, write: int) -> None:
        while True:
            os.read(read, 1)
            os.write(write, b".")

    with killed(lambda: wake(there[0], back[1])), killed(lambda: wake(back[0], there[1])):
        os.write(there[1], b".")
        yield


def lateness_ns(control: rtshm.Control, lead_ns: int) -> np.ndarray[Any, np.dtype[np.int64]]:
    control.create("l", period=1_000_000, lead=lead_ns, history=TICKS)
    with rtshm.Samples("l", oldest=True) as samples:
        found = [next(samples).lateness_ns for _ in range(TICKS)]
    control.delete("l")
    # The first is due at once.
    return np.array(found[1:])


def main() -> None:
    module.load(print=0, period_ns=3_600_000_000_000)
    with rtshm.Control() as control, switching():
        without = lateness_ns(control, 0)
        waited = lateness_ns(control, LEAD_NS)
    seen = [np.percentile(each, [0, 50, 95, 99, 99.5, 100]).tolist() for each in (without, waited)]
    # Interrupts are kept, more than one in a hundred, and not longer than the lead but for few.
    assert without.min() > NEXT_LOOK_NS, seen
    assert np.percentile(without, 99) > KEPT_NS, seen
    assert np.percentile(without, 99.5) < LEAD_NS, seen
    # None of those makes its tick late.
    assert np.percentile(waited, 99.5) <= NEXT_LOOK_NS, seen
    module.unload()
    print("lead: passed")


if __name__ == "__main__":
    main()
