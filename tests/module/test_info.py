"""RTSHM_IOC_INFO: a file descriptor tells what it belongs to."""

from __future__ import annotations

import ctypes
import errno
import fcntl
import os
import struct
from typing import TYPE_CHECKING

import pytest

from tests.lib import libc
from tests.lib.libc import PAGE

if TYPE_CHECKING:
    import rtshm

pytestmark = pytest.mark.same_on_rt

HOUR_NS = 3_600_000_000_000
# struct rtshm_info, and _IOR('r', 0x81, struct rtshm_info).
INFO = struct.Struct("=32sIIQQ1024s")
IOC_INFO = 2 << 30 | INFO.size << 16 | ord("r") << 8 | 0x81


def info(fd: int) -> tuple[str, int, int, int, int, str]:
    # Of bytes that cannot change, ioctl() takes 1024 at most.
    found = bytearray(INFO.size)
    fcntl.ioctl(fd, IOC_INFO, found)
    name, number, sample_bytes, size, period_ns, layout = INFO.unpack(found)
    # Nothing follows the end of a text but zeroes.
    texts = [text.rstrip(b"\0").decode() for text in (name, layout)]
    return texts[0], number, sample_bytes, size, period_ns, texts[1]


def test_both_nodes_describe_their_region_also_when_it_is_gone(control: rtshm.Control) -> None:
    made = control.create(
        "a", size=2 * PAGE, period=HOUR_NS, history=10, record_bytes=16, layout="x:i32"
    )
    state = os.open("/dev/rtshm/a", os.O_RDONLY)
    samples = os.open("/dev/rtshm/a.samples", os.O_RDONLY)
    try:
        expected = ("a", made.id, 32 + 16, 2 * PAGE, HOUR_NS, "x:i32")
        assert info(state) == info(samples) == expected
        control.set("a", period=HOUR_NS - 1)
        assert info(state)[4] == HOUR_NS - 1
        control.set("a", record_bytes=24)
        assert (info(state)[2], info(samples)[2]) == (32 + 24, 32 + 16), "it reads the old ones"
        control.set("a", record_bytes=16)
        control.delete("a")
        assert info(state)[:4] == info(samples)[:4] == expected[:4]
    finally:
        os.close(state)
        os.close(samples)


def test_longest_name_and_layout_are_whole(control: rtshm.Control) -> None:
    name, layout = "n" * 31, "l" * 1020 + ":u8"
    control.create(name, period=HOUR_NS, layout=layout)
    fd = os.open(f"/dev/rtshm/{name}", os.O_RDONLY)
    try:
        found = info(fd)
    finally:
        os.close(fd)
    assert (found[0], found[2], found[5]) == (name, 0, layout)


def test_bad_ioctls_are_refused(control: rtshm.Control) -> None:
    control.create("a", period=HOUR_NS)
    fd = os.open("/dev/rtshm/a", os.O_RDONLY)
    try:
        with pytest.raises(OSError) as refused:
            fcntl.ioctl(fd, IOC_INFO + 1, bytearray(INFO.size))
        assert refused.value.errno == errno.ENOTTY
        with libc.anonymous(PAGE) as address:
            libc.mprotect(address, 0)
            # fcntl.ioctl() takes no address.
            call = ctypes.CDLL(None, use_errno=True).ioctl
            assert call(fd, ctypes.c_ulong(IOC_INFO), ctypes.c_void_p(address)) == -1
            assert ctypes.get_errno() == errno.EFAULT
    finally:
        os.close(fd)
