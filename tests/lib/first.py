"""The first tick of a region, at once: after it, one with a long period has no other."""

from __future__ import annotations

import time

import rtshm

from tests.lib.module import PATIENCE


def tick(name: str = "default") -> rtshm.RegionInfo:
    """Wait until it has been; the region then."""
    deadline = time.monotonic() + PATIENCE
    with rtshm.Control() as control:
        while not (region := control.get(name)).counters.ticks:
            assert time.monotonic() < deadline, f"{name}: no tick in {PATIENCE} s"
    return region
