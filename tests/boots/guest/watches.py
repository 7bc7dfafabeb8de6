"""What watches of one region cost another one: `python3 -m tests.boots.guest.watches`.

A program, and no test of this suite: it takes time that counts instructions, see
tests/boots/test_wakes.py.
"""

from __future__ import annotations

import os
import resource
import select
import time

import numpy as np
import rtshm

from tests.lib import module
from tests.lib.child import killed

FILES = 3000
SETS = 30
SECONDS = 2.0
NOBODY = 65534
# The watches come every 10 ms, and took up to 20 ms.
LATE_NS = 131_072
# The first ticks come while this program still frees what it made the region with, with
# interrupts off for up to 1.5 ms at a time.
FIRST = 100
# The last ones come while it opens and reads the samples, which keeps them off, too.
LAST = int(SECONDS * 1000)


def watch(write: int) -> None:
    """90,000 watches of one queue, armed about once a millisecond, by a user without rights."""
    os.setgroups([])
    os.setgid(NOBODY)
    os.setuid(NOBODY)
    fd = os.open("/dev/rtshm/flooded.samples", os.O_RDONLY | os.O_NONBLOCK)
    files = [fd, *(os.dup(fd) for _ in range(FILES - 1))]
    sets = [select.epoll() for _ in range(SETS)]
    for each in sets:
        for file in files:
            each.register(file, select.EPOLLIN | select.EPOLLET)
    os.write(write, b".")
    poll = select.poll()
    poll.register(fd, select.POLLIN)
    while True:
        os.lseek(fd, 0, os.SEEK_END)
        poll.poll(0)
        time.sleep(0.001)


def main() -> None:
    module.load(print=0, period_ns=3_600_000_000_000)
    resource.setrlimit(resource.RLIMIT_NOFILE, (FILES + 100, FILES + 100))
    read, write = os.pipe()
    with rtshm.Control() as control:
        control.create("flooded", period=10_000_000, history=64, mode=0o444, cpu=0)
        with killed(lambda: watch(write)):
            assert os.read(read, 1) == b"."
            control.create("victim", period=1_000_000, history=10_000, cpu=0)
            time.sleep(SECONDS)
            with rtshm.Samples("victim", oldest=True) as samples:
                ticks = samples.read_array(wait=False)[FIRST:LAST]
        assert len(ticks) > 0.9 * SECONDS * 1000
        assert ticks["missed"].sum() == 0
        assert ticks["lateness_ns"].max() < LATE_NS, np.sort(ticks["lateness_ns"])[-20:]
    module.unload()
    print("watches: passed")


if __name__ == "__main__":
    main()
