"""Clocks of the kernel: stepped in one go, and compared."""

from __future__ import annotations

import ctypes
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING

from tests.lib import libc

if TYPE_CHECKING:
    from collections.abc import Iterator

ADJ_SETOFFSET, ADJ_NANO = 0x0100, 0x2000
SECOND_NS = 1_000_000_000


class Timex(ctypes.Structure):
    """The head of struct timex (linux/timex.h), and room for its rest."""

    _fields_ = (
        ("modes", ctypes.c_uint),
        ("unused", ctypes.c_long * 8),
        ("seconds", ctypes.c_long),
        ("nanoseconds", ctypes.c_long),
        ("rest", ctypes.c_long * 20),
    )


def step(delta_ns: int) -> None:
    """Set CLOCK_REALTIME ahead, and TAI with it, or back.

    By this amount exactly: what passes between clock_gettime() and clock_settime() would be lost.
    """
    seconds, nanoseconds = divmod(delta_ns, SECOND_NS)
    timex = Timex(modes=ADJ_SETOFFSET | ADJ_NANO, seconds=seconds, nanoseconds=nanoseconds)
    libc.clock_adjtime(time.CLOCK_REALTIME, timex)


@contextmanager
def stepped(delta_ns: int) -> Iterator[None]:
    """Set the clocks ahead by this time for the block."""
    step(delta_ns)
    try:
        yield
    finally:
        step(-delta_ns)


def ahead_ns(clock: int) -> tuple[int, int]:
    """How far the clock is ahead of CLOCK_MONOTONIC, and the error of that."""
    tries = []
    for _ in range(100):
        before = time.monotonic_ns()
        now = time.clock_gettime_ns(clock)
        after = time.monotonic_ns()
        tries.append((after - before, now - before))
    error, ahead = min(tries)
    return ahead, error
