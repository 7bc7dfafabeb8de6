"""Fields of a region read or written in one step, by one read(2) or write(2).

The kernel orders these calls with ticks and with one another, for up to a page. A larger
transfer is refused.
"""

from __future__ import annotations

import mmap
import os
from typing import TYPE_CHECKING, Any

from rtshm.abi import LAYOUT_OFFSET
from rtshm.errors import LayoutError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from rtshm.layout import Layout

ATOMIC_MAX = mmap.PAGESIZE
"""Bytes that a read(2) or write(2) of a region moves in one step."""


def check_fits(path: Path, layout: Layout, size: int) -> None:
    room = size - LAYOUT_OFFSET
    if layout.size > room:
        raise LayoutError(
            f"{path}: the layout has {layout.size} bytes, and the region {room} "
            f"after its first {LAYOUT_OFFSET}"
        )


def update(fd: int, layout: Layout, values: Mapping[str, Any]) -> None:
    placed = layout.build_fields(values)
    if not placed:
        return
    begin = placed[0][0].offset
    end = placed[-1][0].offset + placed[-1][0].size
    check_atomic(end - begin)
    between = [field for field in layout.fields if begin <= field.offset < end]
    if len(between) == len(placed):
        data = bytearray(end - begin)
    else:
        data = bytearray(os.pread(fd, end - begin, LAYOUT_OFFSET + begin))
    for field, built in placed:
        data[field.offset - begin : field.offset - begin + field.size] = built
    os.pwrite(fd, data, LAYOUT_OFFSET + begin)


def check_atomic(size: int) -> None:
    if size > ATOMIC_MAX:
        raise LayoutError(
            f"{size} bytes are more than the {ATOMIC_MAX} that are read or written in one step; "
            "update() fewer fields, or use the view"
        )
