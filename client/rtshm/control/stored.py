"""The layout that the kernel stores with a region."""

from __future__ import annotations

from rtshm.control import Control
from rtshm.errors import LayoutError
from rtshm.layout import Layout


def text(name: str) -> str:
    """Return the text stored with a region, "" for none."""
    with Control() as control:
        return control.get(name).layout


def layout(name: str) -> Layout:
    """Return the layout stored with a region. Raise LayoutError if there is none."""
    stored = text(name)
    if not stored:
        error = LayoutError(f"{name}: no layout is stored with the region")
        error.add_note(f"make it with one: rtshm create {name} --layout 'speed:f64 gain:f32 _:x4'")
        raise error
    return _parsed(name, stored)


def check_agrees(name: str, given: Layout) -> None:
    """Raise LayoutError if the kernel stores a layout other than `given` with the region."""
    stored = text(name)
    if stored and _parsed(name, stored) != given:
        raise LayoutError(
            f"{name}: the layout given differs from the one stored with the region: "
            f"given {given.text!r}, stored {stored!r}"
        )


def _parsed(name: str, stored: str) -> Layout:
    try:
        return Layout.from_text(stored)
    except LayoutError as error:
        error.add_note(f"the layout that is stored with {name}: {stored}")
        raise
