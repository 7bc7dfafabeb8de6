"""The layout that the kernel stores with a region, for those who may not open its node."""

from __future__ import annotations

from rtshm.control import Control
from rtshm.errors import LayoutError, no_layout
from rtshm.layout import Layout


def text(name: str) -> str:
    """Return the text stored with a region, "" for none."""
    with Control() as control:
        return control.get(name).layout


def layout(name: str) -> Layout:
    """Return the layout stored with a region. Raise LayoutError if there is none."""
    stored = text(name)
    if not stored:
        raise no_layout(name)
    try:
        return Layout(stored)
    except LayoutError as error:
        raise LayoutError(f"{name}: the stored layout {stored!r}: {error}") from None
