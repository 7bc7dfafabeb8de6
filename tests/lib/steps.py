"""Setting the clocks that can be set: CLOCK_REALTIME, and CLOCK_TAI with it."""

from __future__ import annotations

import struct
from contextlib import contextmanager
from typing import TYPE_CHECKING

from tests.lib.libc import adjtimex

if TYPE_CHECKING:
    from collections.abc import Iterator

# struct timex of adjtimex(2), on 64 bits: its size, and where its time is.
_BYTES, _TIME = 208, 72
_ADJ_SETOFFSET, _ADJ_NANO = 0x0100, 0x2000


def step(delta_ns: int) -> None:
    """Set the clocks ahead by exactly so much, also while they go on; back, if it is negative.

    Reading the clock and setting it would lose the time between the two.
    """
    timex = bytearray(_BYTES)
    struct.pack_into("=I", timex, 0, _ADJ_SETOFFSET | _ADJ_NANO)
    struct.pack_into("=qq", timex, _TIME, *divmod(delta_ns, 1_000_000_000))
    adjtimex(timex)


@contextmanager
def stepped(delta_ns: int) -> Iterator[None]:
    """The clocks are ahead by so much for the block."""
    step(delta_ns)
    try:
        yield
    finally:
        step(-delta_ns)
