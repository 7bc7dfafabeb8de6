"""Edge-triggered epoll: whoever takes a short read for the end sleeps through nothing."""

from __future__ import annotations

import fcntl
import os
import select
import struct
from contextlib import ExitStack
from typing import TYPE_CHECKING

import pytest

from tests.lib.module import PATIENCE

if TYPE_CHECKING:
    from collections.abc import Callable

    import rtshm

MS = 1_000_000
STRIDE = 40


@pytest.mark.parametrize("most", [1, 1000], ids=["one sample a read", "short reads"])
def test_edge_comes_after_each_read(
    control: rtshm.Control, opened: Callable[..., int], most: int
) -> None:
    control.create("a", period=10 * MS, history=1000)
    fd = opened(os.O_RDONLY | os.O_NONBLOCK)
    with select.epoll() as epoll:
        epoll.register(fd, select.EPOLLIN | select.EPOLLET)
        for _ in range(50):
            assert epoll.poll(5) == [(fd, select.EPOLLIN)]
            assert len(os.read(fd, most * STRIDE)) % STRIDE == 0


def test_watermark_holds_for_edges(control: rtshm.Control, opened: Callable[..., int]) -> None:
    control.create("a", period=2 * MS, history=1000)
    fd = opened(os.O_RDONLY | os.O_NONBLOCK)
    fcntl.ioctl(fd, 1 << 30 | 16 << 16 | ord("r") << 8 | 0x80, struct.pack("=IIQ", 20, 0, 0))
    with select.epoll() as epoll:
        epoll.register(fd, select.EPOLLIN | select.EPOLLET)
        for _ in range(10):
            assert epoll.poll(5) == [(fd, select.EPOLLIN)]
            assert len(os.read(fd, 1000 * STRIDE)) >= 20 * STRIDE


@pytest.mark.promise("history: A watermark wakes a reader by count or by time")
def test_time_of_a_watermark_runs_from_the_read_for_edges(
    control: rtshm.Control, opened: Callable[..., int]
) -> None:
    """Twenty periods, not the forty of a wait that begins at the first look after them."""
    control.create("a", period=20 * MS, history=1000)
    fd = opened(os.O_RDONLY | os.O_NONBLOCK)
    watermark = struct.pack("=IIQ", 500, 0, 400 * MS)
    fcntl.ioctl(fd, 1 << 30 | 16 << 16 | ord("r") << 8 | 0x80, watermark)
    with select.epoll() as epoll:
        epoll.register(fd, select.EPOLLIN | select.EPOLLET)
        for _ in range(3):
            assert epoll.poll(5) == [(fd, select.EPOLLIN)]
            assert 1 <= len(os.read(fd, 1000 * STRIDE)) // STRIDE <= 30


def test_thread_wakes_more_than_one_batch_of_pollers(control: rtshm.Control) -> None:
    control.create("a", period=10 * MS, history=10)
    with ExitStack() as files:
        fd = os.open("/dev/rtshm/a.samples", os.O_RDONLY | os.O_NONBLOCK)
        files.callback(os.close, fd)
        sets = [files.enter_context(select.epoll()) for _ in range(200)]
        copies = [os.dup(fd) for _ in range(10)]
        for copy in copies:
            files.callback(os.close, copy)
        for each in sets:
            for copy in copies:
                each.register(copy, select.EPOLLIN | select.EPOLLET)
        for _ in range(3):
            for each in sets:
                each.poll(0)
            # Arms the next tick, which wakes all watches.
            os.lseek(fd, 0, os.SEEK_END)
            for each in sets:
                assert each.poll(PATIENCE)
        control.delete("a")
        for each in sets:
            events = {event for _, event in each.poll(PATIENCE)}
            assert all(event & select.EPOLLHUP for event in events)
            assert events
