"""What a lead does for how late ticks are: `python3 -m tests.guest.lead`.

A program, and no test of this suite: it takes time that counts instructions, see
tests/vm/test_lead.py.
"""

from __future__ import annotations

import numpy as np
import rtshm

from tests.guest import module

TICKS = 1000
LEAD_NS = 10_000
# A look at the clock, of those that the cpu waits with, and the way from the last to the tick's
# own: some hundred instructions of 2 ns.
NEXT_LOOK_NS = 300


def lateness_ns(control: rtshm.Control, lead_ns: int) -> np.ndarray[tuple[int], np.dtype[np.int64]]:
    control.create("l", period=1_000_000, lead=lead_ns, record_depth=TICKS)
    with rtshm.Samples("l", oldest=True) as samples:
        found = [next(samples).lateness_ns for _ in range(TICKS)]
    control.delete("l")
    # The first is due at once.
    return np.array(found[1:])


def main() -> None:
    module.load(print=0, period_ns=3_600_000_000_000)
    with rtshm.Control() as control:
        without = lateness_ns(control, 0)
        waited = lateness_ns(control, LEAD_NS)
    # The interrupt takes some time to come; and most of it is gone, up to the lead.
    assert without.min() > NEXT_LOOK_NS, without
    assert np.percentile(waited, 99) <= NEXT_LOOK_NS, waited
    module.unload()
    print("lead: passed")


if __name__ == "__main__":
    main()
