"""bench/modules/bare: a timer that does nothing, and values by system calls."""

from __future__ import annotations

from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import numpy

if TYPE_CHECKING:
    from collections.abc import Iterator

PARAMETERS = Path("/sys/module/rtshm_bare/parameters")
VALUE = PARAMETERS / "value"
DEVICE = Path("/dev/rtshm_bare")
# _IO('b', 0)
IOC_VALUE = ord("b") << 8


@contextmanager
def ticking(period_ns: int, *, keep: bool = False) -> Iterator[None]:
    (PARAMETERS / "keep").write_text(str(int(keep)))
    (PARAMETERS / "period_ns").write_text(str(period_ns))
    try:
        yield
    finally:
        (PARAMETERS / "period_ns").write_text("0")


def ticks() -> int:
    return int((PARAMETERS / "ticks").read_text())


def lateness_ns() -> numpy.ndarray[tuple[int], numpy.dtype[numpy.uint32]]:
    """Of each tick since the timer was started, 65,536 at most."""
    return numpy.frombuffer(DEVICE.read_bytes(), "u4")
