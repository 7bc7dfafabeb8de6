"""Edge-triggered epoll: whoever takes a short read for the end sleeps through nothing."""

from __future__ import annotations

import fcntl
import os
import select
import struct
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable

    import rtshm

MS = 1_000_000
STRIDE = 40


@pytest.mark.parametrize("most", [1, 1000], ids=["one sample a read", "short reads"])
def test_edge_comes_after_each_read(
    control: rtshm.Control, opened: Callable[..., int], most: int
) -> None:
    control.create("a", period=10 * MS, record_depth=1000)
    fd = opened(os.O_RDONLY | os.O_NONBLOCK)
    with select.epoll() as epoll:
        epoll.register(fd, select.EPOLLIN | select.EPOLLET)
        for _ in range(50):
            assert epoll.poll(5) == [(fd, select.EPOLLIN)]
            assert len(os.read(fd, most * STRIDE)) % STRIDE == 0


def test_watermark_holds_for_edges(control: rtshm.Control, opened: Callable[..., int]) -> None:
    control.create("a", period=2 * MS, record_depth=1000)
    fd = opened(os.O_RDONLY | os.O_NONBLOCK)
    fcntl.ioctl(fd, 1 << 30 | 16 << 16 | ord("r") << 8 | 0x80, struct.pack("=IIQ", 20, 0, 0))
    with select.epoll() as epoll:
        epoll.register(fd, select.EPOLLIN | select.EPOLLET)
        for _ in range(10):
            assert epoll.poll(5) == [(fd, select.EPOLLIN)]
            assert len(os.read(fd, 1000 * STRIDE)) >= 20 * STRIDE
