"""The nodes behave as files: what programs do with those works with these."""

from __future__ import annotations

import ctypes
import errno
import mmap
import os
from typing import TYPE_CHECKING

import numpy as np
import pytest

from tests.lib import first, libc
from tests.lib.libc import PAGE

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    import rtshm

HOUR_NS = 3_600_000_000_000
MS = 1_000_000
SIZE = 2 * PAGE
STRIDE = 40
RWF_NOWAIT = 8

pytestmark = pytest.mark.same_on_rt


@pytest.fixture
def fd(control: rtshm.Control) -> Iterator[int]:
    control.create("a", size=SIZE, period=HOUR_NS)
    fd = os.open("/dev/rtshm/a", os.O_RDWR)
    yield fd
    os.close(fd)


def test_mapping_and_file_can_be_flushed(fd: int) -> None:
    with mmap.mmap(fd, SIZE) as memory:
        memory[64] = 7
        memory.flush()
    os.fsync(fd)
    os.fdatasync(fd)
    array = np.memmap("/dev/rtshm/a", np.uint8, "r+", shape=(SIZE,))
    array[65] = 8
    array.flush()
    del array
    assert os.pread(fd, 2, 64) == bytes([7, 8])


@pytest.mark.parametrize("prot", [0, mmap.PROT_READ])
def test_map_of_a_writer_can_be_made_writable(fd: int, prot: int) -> None:
    with libc.mapped(fd, PAGE, prot) as address:
        if prot:
            assert ctypes.string_at(address + 64, 1) == b"\0"
        libc.mprotect(address, mmap.PROT_READ | mmap.PROT_WRITE)
        ctypes.memset(address + 64, 9, 1)
        libc.mprotect(address, mmap.PROT_READ)
    assert os.pread(fd, 1, 64) == b"\x09"


def test_state_can_be_sent_and_spliced(fd: int) -> None:
    data = bytes(range(256)) * (SIZE // 256)
    read, write = os.pipe()
    try:
        os.write(write, data)
        position = 0
        while position < SIZE:
            position += os.splice(read, fd, SIZE - position, offset_dst=position)
        assert os.pread(fd, SIZE, 0) == data
        sent = b""
        while len(sent) < SIZE:
            assert os.sendfile(write, fd, len(sent), SIZE - len(sent)) > 0
            sent += os.read(read, SIZE)
        assert sent == data
        assert os.sendfile(write, fd, SIZE, 1) == 0
    finally:
        os.close(read)
        os.close(write)


def test_samples_can_be_spliced(control: rtshm.Control, opened: Callable[..., int]) -> None:
    control.create("a", period=MS, history=100)
    fd = opened()
    read, write = os.pipe()
    try:
        assert os.splice(fd, write, 10 * STRIDE) % STRIDE == 0
        first, second = os.read(read, STRIDE), os.read(fd, STRIDE)
        assert int.from_bytes(first[:8], "little") < int.from_bytes(second[:8], "little")
    finally:
        os.close(read)
        os.close(write)


def test_reads_and_writes_need_not_wait(fd: int) -> None:
    data = bytes(range(1, 101))
    assert os.pwritev(fd, [data], 64, RWF_NOWAIT) == len(data)
    back = bytearray(len(data))
    assert os.preadv(fd, [back], 64, RWF_NOWAIT) == len(data)
    assert back == data


def test_read_of_samples_need_not_wait(control: rtshm.Control, opened: Callable[..., int]) -> None:
    control.create("a", period=HOUR_NS, history=100)
    first.tick("a")
    fd = opened()
    os.lseek(fd, 0, os.SEEK_END)
    with pytest.raises(BlockingIOError) as refused:
        os.preadv(fd, [bytearray(STRIDE)], -1, RWF_NOWAIT)
    assert refused.value.errno == errno.EAGAIN
