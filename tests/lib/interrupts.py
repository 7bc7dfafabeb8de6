"""Control-C at any instant of the client: some times in tests/client, more in tests/stress."""

from __future__ import annotations

import gc
import os
import random
import signal
import warnings

import rtshm
from rtshm import Control, Samples


def descriptors() -> set[str]:
    return set(os.listdir("/proc/self/fd"))


def leak_nothing(control: Control, times: int) -> None:
    """Interrupt the client at random: no descriptor, mapping or user of the region `a` stays."""

    def interrupt(_number: int, _frame: object) -> None:
        raise KeyboardInterrupt

    def use() -> None:
        with rtshm.open("a") as region:
            region.update(n=1)
            region.read()
            region.samples().close()
        # Not by read_array(): numpy makes dtypes that it refuses when it is interrupted.
        with Samples("a", oldest=True) as samples:
            next(samples)
        with Control() as other:
            other.get("a")

    chance = random.Random(1)
    before = descriptors()
    interrupted = 0
    handled = signal.signal(signal.SIGALRM, interrupt)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ResourceWarning)
            while interrupted < times:
                try:
                    # Again, since what is raised in a __del__ ends nothing.
                    signal.setitimer(signal.ITIMER_REAL, chance.uniform(1e-5, 0.02), 1)
                    while True:
                        use()
                except KeyboardInterrupt:
                    interrupted += 1
            signal.setitimer(signal.ITIMER_REAL, 0)
            gc.collect()
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, handled)
    assert descriptors() == before
    assert control.get("a").users == 0
