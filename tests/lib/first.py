"""The first ticks of a region. One with a long period has one, at once, and no other then."""

from __future__ import annotations

import time

import rtshm

from tests.lib.module import PATIENCE


def tick(name: str = "default", count: int = 1) -> rtshm.RegionInfo:
    """Wait for this number of ticks; the region then."""
    deadline = time.monotonic() + PATIENCE
    with rtshm.Control() as control:
        while (region := control.get(name)).counters.ticks < count:
            assert time.monotonic() < deadline, f"{name}: no {count} ticks in {PATIENCE} s"
    return region
