"""The memory ABI: struct rtshm_word of <linux/rtshm.h>, the first 8 bytes of a region."""

from __future__ import annotations

import ctypes
import sys
from pathlib import Path

from construct import Int8un, Int32sn, Padding, Struct

from rtshm.layout import Layout

DEVICES = Path("/dev/rtshm")
"""Where the module's device nodes are, one a region, by name."""

INT_MIN, INT_MAX = -(2**31), 2**31 - 1
"""Range of some_int, a C int."""

WORD = Struct("some_int" / Int32sn, "ready" / Int8un, Padding(3))
Word = Layout(WORD).ctypes

LAYOUT_OFFSET = ctypes.sizeof(Word)
"""Where the layout of a region begins."""

Cell = ctypes.c_int64
"""The whole word, for stores of value and flag at once."""

if sys.byteorder != "little":
    raise ImportError("rtshm.abi: value and flag as one number are known for little-endian only")
assert ctypes.sizeof(Word) == ctypes.sizeof(Cell) == WORD.sizeof()


def announced(value: int) -> int:
    """The word that announces `value`, a C int, as a Cell holds it."""
    word = WORD.build({"some_int": value, "ready": 1})
    return int.from_bytes(word, sys.byteorder, signed=True)
