"""Memory shared with a periodic task inside the Linux kernel::

    import rtshm

    with rtshm.open("default") as region:
        region.publish(42)
        region.wait_taken(timeout=2)

A tick has then taken the value, and prints it in the kernel log.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from rtshm.errors import ClosedError, LayoutError

if TYPE_CHECKING:
    from rtshm.state import Region, open

__all__ = ["ClosedError", "LayoutError", "Region", "open"]


def __getattr__(name: str) -> Any:
    """Import what needs construct when it is first used: half a second in an emulated guest."""
    if name in __all__:
        from rtshm import state

        return getattr(state, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
