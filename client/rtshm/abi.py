"""The memory ABI: struct rtshm_word of <linux/rtshm.h>, the first 8 bytes of a region."""

from __future__ import annotations

import ctypes
import struct
import sys

INT_MIN, INT_MAX = -(2**31), 2**31 - 1
"""Range of some_int, a C int."""

WORD = struct.Struct("=iB3x")
"""some_int, ready."""

LAYOUT_OFFSET = WORD.size
"""Where the layout of a region begins."""

Cell = ctypes.c_int64
"""The whole word, for stores of value and flag at once."""

assert ctypes.sizeof(Cell) == WORD.size


def announced(value: int) -> int:
    """The word that announces `value`, a C int, as a Cell holds it."""
    return int.from_bytes(WORD.pack(value, 1), sys.byteorder, signed=True)
