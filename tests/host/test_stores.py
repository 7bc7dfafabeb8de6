"""Stores from Python, seen by another process on another processor: whole, or torn.

What the guest cannot show: under emulation its processors take turns.
"""

from __future__ import annotations

import ctypes
import mmap
import multiprocessing
import struct
import time
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from rtshm import Layout

if TYPE_CHECKING:
    from collections.abc import Callable
    from multiprocessing.synchronize import Event

    Store = Callable[[int], object]

STORES = 5_000_000
PATIENCE = 60.0
pytestmark = pytest.mark.more

# A value whose halves are the same, for each number of 32 bits.
BOTH_HALVES = 0x1_0000_0001


def by_view(memory: mmap.mmap) -> Store:
    view: Any = Layout("value:u64").ctypes.from_buffer(memory)

    def store(value: int) -> None:
        view.value = value

    return store


def by_memoryview(memory: mmap.mmap) -> Store:
    words = memoryview(memory).cast("Q")
    return partial(words.__setitem__, 0)


def by_ctypes(memory: mmap.mmap) -> Store:
    cell = ctypes.c_uint64.from_buffer(memory)

    def store(value: int) -> None:
        cell.value = value

    return store


def by_numpy(memory: mmap.mmap) -> Store:
    words = np.frombuffer(memory, np.uint64)
    return partial(words.__setitem__, 0)


def by_struct_of_the_other_order(memory: mmap.mmap) -> Store:
    pack = struct.Struct(">Q").pack_into
    return partial(pack, memory, 0)


def look(memory: mmap.mmap, end: Event, said: Any) -> None:
    """Until `end`: how many of the words read were another than before, how many torn."""
    words = memoryview(memory).cast("Q")
    last = changed = torn = 0
    said.send("looking")
    while not end.is_set():
        for _ in range(10_000):
            word = words[0]
            changed += word != last
            torn += word >> 32 != word & 0xFFFF_FFFF
            last = word
    said.send((changed, torn))


def seen(way: Callable[[mmap.mmap], Store], stores: int, until: float = 0) -> tuple[int, int]:
    """Words changed and torn, as another process saw them during so many stores, and more
    until it saw a torn one, or for `until` seconds."""
    context = multiprocessing.get_context("fork")
    memory = mmap.mmap(-1, mmap.PAGESIZE)
    store = way(memory)
    total_changed = total_torn = 0
    deadline = time.monotonic() + until
    while True:
        ours, theirs = context.Pipe()
        end = context.Event()
        reader = context.Process(target=look, args=(memory, end, theirs))
        reader.start()
        assert ours.recv() == "looking"
        for number in range(stores):
            store(number * BOTH_HALVES)
        end.set()
        changed, torn = ours.recv()
        reader.join()
        total_changed += changed
        total_torn += torn
        if total_torn or time.monotonic() > deadline:
            return total_changed, total_torn


@pytest.mark.promise("fields: A store of one number through the view is whole")
@pytest.mark.parametrize("way", [by_view, by_memoryview, by_ctypes, by_numpy])
def test_of_5000000_stores_none_is_torn(way: Callable[[mmap.mmap], Store]) -> None:
    changed, torn = seen(way, STORES)
    assert changed > 0
    assert torn == 0


@pytest.mark.promise("fields: A store of one number through the view is whole")
def test_stores_in_the_other_byte_order_are_torn() -> None:
    """And so would those be that are not whole in this machine's."""
    changed, torn = seen(by_struct_of_the_other_order, STORES // 10, PATIENCE)
    assert changed > 0
    assert torn > 0
