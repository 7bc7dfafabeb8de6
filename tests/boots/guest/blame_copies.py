"""Name who makes ticks late next to copies of a page: `python3 -m tests.boots.guest.blame_copies`.

A program, and no test of this suite: it takes time that counts instructions, see
tests/boots/test_blame.py.
"""

from __future__ import annotations

import os
from contextlib import ExitStack
from typing import TYPE_CHECKING

import rtshm

from tests.boots.guest.readers import PAGE, PHASE_NS, PROCESSES, again
from tests.lib import module
from tests.lib.child import killed

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from rtshm import LateTick

TIMES = 20
# Each tick is later than this while it is traced, so that each is blamed on somebody.
ABOVE_EACH = "3us"
# A page that is copied in keeps interrupts off for this long, or less.
ABOVE_WRITES = "7us"
# What copies, and its caller: docs/blame.md says when the latter is named.
KEEPERS = ("rtshm_copy_in [rtshm]", "rtshm_state_transfer [rtshm]")


def blamed(act: Callable[[], object], above: str, times: int) -> Iterator[LateTick]:
    with ExitStack() as children:
        for _ in range(PROCESSES):
            children.enter_context(killed(lambda: again(act)))
        for _ in range(times):
            late = rtshm.blame("a", above, timeout=20)
            assert late
            yield late


def main() -> None:
    module.load(print=0, period_ns=3_600_000_000_000)
    with rtshm.Control() as control:
        control.create("a", period=1_000_000, phase=PHASE_NS, cpu=0)
        fd = os.open("/dev/rtshm/a", os.O_RDWR)
        interrupted = 0
        for late in blamed(lambda: os.pread(fd, PAGE, 0), ABOVE_EACH, TIMES):
            assert "[rtshm]" not in late.by, late
            interrupted += any(frame.endswith("[rtshm]") for frame in late.stack)
        # Some of the ticks did interrupt a copy.
        assert interrupted
        for late in blamed(lambda: os.pwrite(fd, bytes(PAGE), 0), ABOVE_WRITES, 3):
            assert (late.kind, late.by in KEEPERS) == ("function", True), late
        os.close(fd)
    module.unload()
    print("blame_copies: passed")


if __name__ == "__main__":
    main()
