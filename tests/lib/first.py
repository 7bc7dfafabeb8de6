"""The first ticks of a region. One with a long period has one, at once, and no other then."""

from __future__ import annotations

import rtshm

from tests.lib.waiting import wait_until


def tick(name: str = "default", count: int = 1) -> rtshm.RegionInfo:
    """Wait for this number of ticks; the region then."""
    with rtshm.Control() as control:
        wait_until(lambda: control.get(name).counters.ticks >= count, f"{count} ticks of {name}")
        return control.get(name)
