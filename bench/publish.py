"""What publishing a value costs, beside the other ways to store one.

Runs in the guest with the module loaded, in one interpreter: `make bench`. The
machine counts instructions for time there, so that the figures repeat. Each way
is a function of one argument, called 2000 times; the least of five rounds
counts.

The aim was 1.3 times the bare store of a finished word. In Python it cannot be had:
the one addition that makes a word of a value costs 0.25 of that store, and to
refuse what is no C int as much again.
"""

from __future__ import annotations

import mmap
import os
import platform
import struct
import timeit
from typing import TYPE_CHECKING

import rtshm
from rtshm.abi import WORD, Cell, announced

if TYPE_CHECKING:
    from collections.abc import Callable

CALLS = 2000
ROUNDS = 5
VALUE = 42


def ways(region: rtshm.Region, live: mmap.mmap) -> dict[str, tuple[Callable[[int], object], int]]:
    """Each way's function, and what it is called with."""
    cell = Cell.from_buffer(live)
    words = memoryview(live)[:8].cast("q")
    fd = region.fileno()
    fields = struct.Struct("=iB3x")

    def store(word: int) -> None:
        cell.value = word

    def store_composed(value: int) -> None:
        cell.value = 0x1_0000_0000 | value & 0xFFFF_FFFF

    def store_memoryview(word: int) -> None:
        words[0] = word

    def two_stores(value: int) -> None:
        region.some_int = value
        region.ready = True

    def pwrite(value: int) -> None:
        os.pwrite(fd, fields.pack(value, 1), 0)

    def build(value: int) -> None:
        live[:8] = WORD.build({"some_int": value, "ready": 1})

    word = announced(VALUE)
    return {
        "an empty call": (lambda value: None, VALUE),
        "bare ctypes store of a finished word": (store, word),
        "bare memoryview store of a finished word": (store_memoryview, word),
        "bare ctypes store, word put together, unchecked": (store_composed, VALUE),
        "publish": (region.publish, VALUE),
        "publish, negative": (region.publish, -VALUE),
        "some_int = and ready =, two stores": (two_stores, VALUE),
        "struct.pack and os.pwrite": (pwrite, VALUE),
        "construct's build, into the mapping": (build, VALUE),
    }


def measure(table: dict[str, tuple[Callable[[int], object], int]]) -> dict[str, float]:
    """Nanoseconds a call; the rounds go through all ways in turn."""
    best = dict.fromkeys(table, float("inf"))
    for _ in range(ROUNDS):
        for name, (function, argument) in table.items():
            names = {"function": function, "argument": argument}
            timer = timeit.Timer("function(argument)", globals=names)
            best[name] = min(best[name], timer.timeit(CALLS) / CALLS * 1e9)
    return best


def main() -> None:
    with rtshm.open() as region:
        live = mmap.mmap(region.fileno(), region.size)
        found = measure(ways(region, live))
    finished = found["bare ctypes store of a finished word"]
    composed = found["bare ctypes store, word put together, unchecked"]
    machine = os.environ.get("VM_ACCELERATOR", "this machine")
    print(f"Python {platform.python_version()}, Linux {platform.release()}, {machine}")
    print(f"{'':50}{'ns':>8}{'of a finished':>15}{'of one put':>12}")
    print(f"{'':50}{'':>8}{'word':>15}{'together':>12}")
    for name, ns in found.items():
        print(f"{name:50}{ns:8.0f}{ns / finished:15.2f}{ns / composed:12.2f}")


if __name__ == "__main__":
    main()
