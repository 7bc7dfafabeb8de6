"""publish() for the word of a mapping: rtshm.Region.publish.

In C (_publish.c) where the package was built with a compiler and Python's headers,
otherwise in Python: the same but for the time it takes, bench/publish.py, and for the
order of stores on processors that are not x86's.
"""

from __future__ import annotations

import errno
import sys
from collections.abc import Callable
from operator import index
from typing import TYPE_CHECKING, NoReturn, SupportsIndex

from rtshm.abi import INT_MAX, INT_MIN, Cell, announced
from rtshm.errors import IncompatibleError

if TYPE_CHECKING:
    import mmap

    Memory = mmap.mmap | bytearray | memoryview
    Publish = Callable[[SupportsIndex], None]
    Revoke = Callable[[Callable[[], NoReturn]], None]


def check_machine(where: object) -> None:
    """Raise IncompatibleError where this Python cannot store value and flag at once."""
    if sys.maxsize < 1 << 32:
        words = "this Python has 32 bits, and stores the 8 bytes of value and flag in two steps"
        remedy = "use a Python of 64 bits; a program in C may write() the word"
    elif sys.byteorder != "little":
        words = "this package knows the word of value and flag on little-endian machines only"
        remedy = "use a program in C, with <linux/rtshm.h>"
    else:
        return
    raise IncompatibleError(errno.ENOTSUP, words, where, remedy)


def publisher_in_python(memory: Memory) -> tuple[Publish, Revoke]:
    """Return publish(value) for the word at the head of `memory`, and what revokes it.

    The words that announce 0, 1, 2, ... are consecutive numbers, and so are
    those that announce ..., -2, -1: one addition makes a word of a value.
    After revoke(refuse) the memory is released, and publish() calls refuse().
    """
    cell: Cell | None = Cell.from_buffer(memory)
    from_zero = announced(0)
    below_zero = announced(-1) + 1
    refusal: Callable[[], NoReturn]

    def publish(value: SupportsIndex) -> None:
        number = index(value)
        if not INT_MIN <= number <= INT_MAX:
            raise OverflowError(f"{number} is not a C int; give {INT_MIN} to {INT_MAX}")
        if cell is None:
            refusal()
        cell.value = number + (below_zero if number < 0 else from_zero)

    def revoke(refuse: Callable[[], NoReturn]) -> None:
        nonlocal cell, refusal
        refusal = refuse
        cell = None

    return publish, revoke


try:
    from rtshm._publish import publisher as publisher
except ImportError:
    # Not built, or a subinterpreter, which cannot load the module.
    publisher = publisher_in_python
