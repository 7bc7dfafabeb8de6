"""How soon a tick wakes who waits for it: `python3 -m tests.boots.guest.wakes`.

A program, and no test of this suite: it takes time that counts instructions, see
tests/boots/test_wakes.py. wakes.c measures.
"""

from __future__ import annotations

import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path

import rtshm

from tests.lib import module
from tests.lib.programs import compiled

PERIOD_NS = 1_000_000
COUNT = 2000
# Below the thread of the region, SCHED_FIFO 50, and above what irq_work has on PREEMPT_RT.
HOG_PRIORITY = 49
# Compared with clock_nanosleep() of the same thread.
# A tick looks at its region and records before it wakes; a reader copies the sample.
READ_FACTOR = 2
# The thread of the region comes between: two switches more.
POLL_FACTOR = 5


@dataclass(frozen=True, slots=True)
class Wakes:
    count: int
    median_ns: int
    p99_ns: int
    max_ns: int


def measure(program: Path, way: str, hog_priority: int) -> Wakes:
    node = [] if way == "nanosleep" else ["/dev/rtshm/w.samples"]
    command = [str(program), way, str(PERIOD_NS), str(COUNT), str(hog_priority), *node]
    said = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout
    return Wakes(*map(int, said.split()))


def check(program: Path, hog_priority: int) -> None:
    ways = ("nanosleep", "read", "poll", "epoll")
    seen = {way: measure(program, way, hog_priority) for way in ways}
    for way, found in seen.items():
        factor = READ_FACTOR if way in ("nanosleep", "read") else POLL_FACTOR
        assert found.count >= 0.99 * COUNT, seen
        assert found.median_ns <= factor * seen["nanosleep"].median_ns, seen
        assert found.p99_ns <= factor * seen["nanosleep"].p99_ns, seen


def main() -> None:
    module.load(print=0, period_ns=3_600_000_000_000)
    with tempfile.TemporaryDirectory() as folder, rtshm.Control() as control:
        program = compiled(Path(__file__).with_name("wakes.c"), Path(folder) / "wakes")
        control.create("w", period=PERIOD_NS, history=1000, cpu=0)
        for hog_priority in (0, HOG_PRIORITY):
            check(program, hog_priority)
    module.unload()
    print("wakes: passed")


if __name__ == "__main__":
    main()
