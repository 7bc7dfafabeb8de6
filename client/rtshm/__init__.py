"""Memory shared with a periodic task inside the Linux kernel::

    import rtshm

    with rtshm.open("default") as region:
        region.publish(42)
        region.wait_taken(timeout=2)

A tick has then taken the value, and prints it in the kernel log.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from rtshm.errors import ClosedError, LayoutError

if TYPE_CHECKING:
    from rtshm.control import (
        Changed,
        Control,
        Counters,
        Created,
        Deleted,
        Overrun,
        PrintMode,
        RegionInfo,
    )
    from rtshm.layout import Layout
    from rtshm.samples import Sample, Samples
    from rtshm.state import Region, open

__all__ = [
    "Changed",
    "ClosedError",
    "Control",
    "Counters",
    "Created",
    "Deleted",
    "Layout",
    "LayoutError",
    "Overrun",
    "PrintMode",
    "Region",
    "RegionInfo",
    "Sample",
    "Samples",
    "open",
]


def __getattr__(name: str) -> Any:
    """Import on first use: in an emulated guest construct takes half a second, pyroute2 two."""
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    homes = {
        "Layout": "layout",
        "Region": "state",
        "Sample": "samples",
        "Samples": "samples",
        "open": "state",
    }
    home = homes.get(name, "control")
    return getattr(importlib.import_module(f"rtshm.{home}"), name)
