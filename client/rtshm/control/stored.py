"""The layout that the kernel stores with a region."""

from __future__ import annotations

from rtshm.control import Control


def text(name: str) -> str:
    """Return the text stored with a region, "" for none. Raise AccessError if it is not sent."""
    with Control() as control:
        return control.get(name).layout
