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

from rtshm.errors import ClosedError, ExtraError, LayoutError

if TYPE_CHECKING:
    from rtshm.conditions import Conditions
    from rtshm.control import (
        Changed,
        Clock,
        Control,
        Counters,
        Created,
        Deleted,
        Overrun,
        PrintMode,
        RegionInfo,
        Task,
    )
    from rtshm.devmem import DevMem, open_devmem
    from rtshm.layout import Layout
    from rtshm.recording import Recording, load
    from rtshm.samples import Sample, Samples
    from rtshm.state import Region, open

__all__ = [
    "Changed",
    "Clock",
    "ClosedError",
    "Conditions",
    "Control",
    "Counters",
    "Created",
    "Deleted",
    "DevMem",
    "ExtraError",
    "Layout",
    "LayoutError",
    "Overrun",
    "PrintMode",
    "Recording",
    "Region",
    "RegionInfo",
    "Sample",
    "Samples",
    "Task",
    "load",
    "open",
    "open_devmem",
]

__version__ = "0.1.0"


def __getattr__(name: str) -> Any:
    """Import on first use: in an emulated guest construct takes half a second, pyroute2 two."""
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    homes = {
        "Conditions": "conditions",
        "DevMem": "devmem",
        "Layout": "layout",
        "Recording": "recording",
        "Region": "state",
        "Sample": "samples",
        "Samples": "samples",
        "load": "recording",
        "open": "state",
        "open_devmem": "devmem",
    }
    home = homes.get(name, "control")
    return getattr(importlib.import_module(f"rtshm.{home}"), name)
