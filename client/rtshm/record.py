"""The fields of a region by name: the record that begins after the word.

Up to a page, a read(2) or write(2) of a region is one step for every tick and
for each other. So a record goes in and out by one of them, and what takes more
is refused.
"""

from __future__ import annotations

import mmap
import os
from typing import TYPE_CHECKING, Any

from rtshm.abi import LAYOUT_OFFSET
from rtshm.errors import LayoutError
from rtshm.layout import Layout

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

ATOMIC_MAX = mmap.PAGESIZE
"""Bytes that a read(2) or write(2) of a region moves in one step."""


def stored(name: str) -> Layout:
    """The layout that the kernel stores with a region. LayoutError if there is none."""
    text = stored_text(name)
    if not text:
        error = LayoutError(f"{name}: no layout is stored with the region")
        error.add_note(f"make it with one: rtshm create {name} --layout 'speed:f64 gain:f32 _:x4'")
        raise error
    return _parsed(name, text)


def stored_text(name: str) -> str:
    # Here, because pyroute2 is slow to import.
    from rtshm.control import Control

    with Control() as control:
        return control.get(name).layout


def _parsed(name: str, text: str) -> Layout:
    try:
        return Layout.from_text(text)
    except LayoutError as error:
        error.add_note(f"the layout that is stored with {name}: {text}")
        raise


def check_agrees(name: str, layout: Layout) -> None:
    """LayoutError if the kernel stores another layout with the region than this."""
    text = stored_text(name)
    if text and _parsed(name, text) != layout:
        raise LayoutError(
            f"{name}: the layout given differs from the one stored with the region: "
            f"given {layout.text!r}, stored {text!r}"
        )


def check_fits(path: Path, layout: Layout, size: int) -> None:
    room = size - LAYOUT_OFFSET
    if layout.size > room:
        raise LayoutError(
            f"{path}: the layout has {layout.size} bytes, and the region {room} "
            f"after its first {LAYOUT_OFFSET}"
        )


def read(fd: int, layout: Layout) -> dict[str, Any]:
    _check_atomic(layout.size)
    return layout.parse(os.pread(fd, layout.size, LAYOUT_OFFSET))


def write(fd: int, layout: Layout, values: Mapping[str, Any]) -> None:
    _check_atomic(layout.size)
    os.pwrite(fd, layout.build(values), LAYOUT_OFFSET)


def update(fd: int, layout: Layout, values: Mapping[str, Any]) -> None:
    placed = layout.build_fields(values)
    if not placed:
        return
    begin = placed[0][0].offset
    end = placed[-1][0].offset + placed[-1][0].size
    _check_atomic(end - begin)
    between = [field for field in layout.fields if begin <= field.offset < end]
    if len(between) == len(placed):
        data = bytearray(end - begin)
    else:
        data = bytearray(os.pread(fd, end - begin, LAYOUT_OFFSET + begin))
    for field, built in placed:
        data[field.offset - begin : field.offset - begin + field.size] = built
    os.pwrite(fd, data, LAYOUT_OFFSET + begin)


def _check_atomic(size: int) -> None:
    if size > ATOMIC_MAX:
        raise LayoutError(
            f"{size} bytes are more than the {ATOMIC_MAX} that are read or written in one step; "
            "update() fewer fields, or use the view"
        )


class ReadOnlyView:
    """A view of memory that may not be written to, which ctypes cannot have itself.

    Each field is of a copy as of its access.
    """

    __slots__ = ("_copy",)
    _copy: Callable[[], Any]

    def __init__(self, copy: Callable[[], Any]) -> None:
        object.__setattr__(self, "_copy", copy)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._copy(), name)

    def __setattr__(self, name: str, value: Any) -> None:
        # The copy refuses.
        setattr(self._copy(), name, value)
