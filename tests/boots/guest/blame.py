"""Name who kept interrupts off, 20 times: `python3 -m tests.boots.guest.blame`.

A program, and no test of this suite: it takes time that counts instructions, see
tests/boots/test_blame.py.
"""

from __future__ import annotations

import random
import time
from functools import partial
from pathlib import Path

import rtshm

from tests.lib import module
from tests.lib.child import killed

TIMES = 20
OFF_NS = 50_000
# More than all else makes a tick late here (25.1 us: a page fault that moves pages to the kernel's
# lists), and less than what is left of 50 us at random.
ABOVE = "35us"
RUN = Path("/sys/module/rtshm_probe/parameters/run")


def again(command: str, seed: int) -> None:
    """Keep interrupts off at random moments, for ever."""
    moments = random.Random(seed)
    while True:
        RUN.write_text(f"{command} {OFF_NS}")
        time.sleep(moments.uniform(0, 0.003))


def main() -> None:
    module.load(print=0, period_ns=3_600_000_000_000)
    module.insert(module.PROBE)
    with rtshm.Control() as control:
        control.create("motor", period=1_000_000, cpu=0)
        for number in range(TIMES):
            command = ("off", "work")[number % 2]
            with killed(partial(again, command, number)) as pid:
                late = rtshm.blame("motor", ABOVE, timeout=20)
            assert late, number
            assert late.by == "probe_interrupts_off [rtshm_probe]", late
            if command == "off":
                assert (late.call, late.pid) == ("write", pid), late
            else:
                assert (late.call, late.process[:7]) == ("", "kworker"), late
    module.remove("rtshm_probe")
    module.unload()
    print("blame: passed")


if __name__ == "__main__":
    main()
