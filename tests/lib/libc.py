"""The system calls that Python's mmap module hides or checks beforehand."""

from __future__ import annotations

import ctypes
import mmap
import os
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

READ, WRITE, EXEC = mmap.PROT_READ, mmap.PROT_WRITE, mmap.PROT_EXEC
SHARED, PRIVATE = mmap.MAP_SHARED, mmap.MAP_PRIVATE
PAGE = mmap.PAGESIZE
MREMAP_MAYMOVE = 1

_libc = ctypes.CDLL(None, use_errno=True)
_libc.mmap.restype = ctypes.c_void_p
_libc.mmap.argtypes = [
    ctypes.c_void_p,
    ctypes.c_size_t,
    ctypes.c_int,
    ctypes.c_int,
    ctypes.c_int,
    ctypes.c_int64,
]
_libc.mremap.restype = ctypes.c_void_p
_libc.mremap.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_size_t, ctypes.c_int]
_libc.mprotect.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int]
_libc.madvise.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int]
_libc.mlock.argtypes = [ctypes.c_void_p, ctypes.c_size_t]
_libc.munmap.argtypes = [ctypes.c_void_p, ctypes.c_size_t]
_libc.pwrite.restype = _libc.pread.restype = ctypes.c_ssize_t
_libc.pwrite.argtypes = _libc.pread.argtypes = [
    ctypes.c_int,
    ctypes.c_void_p,
    ctypes.c_size_t,
    ctypes.c_int64,
]
_libc.read.restype = ctypes.c_ssize_t
_libc.read.argtypes = [ctypes.c_int, ctypes.c_void_p, ctypes.c_size_t]
_MAP_FAILED = ctypes.c_void_p(-1).value


def _checked(result: int | None) -> int:
    if result in (_MAP_FAILED, -1):
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code))
    return result or 0


@contextmanager
def mapped(
    fd: int, length: int = PAGE, prot: int = READ | WRITE, flags: int = SHARED, offset: int = 0
) -> Iterator[int]:
    """mmap(2) as it is; the address. Raises OSError."""
    address = _checked(_libc.mmap(None, length, prot, flags, fd, offset))
    try:
        yield address
    finally:
        _checked(_libc.munmap(address, length))


@contextmanager
def anonymous(length: int) -> Iterator[int]:
    """Memory of this process; the address."""
    with mapped(-1, length, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS) as address:
        yield address


def bytes_at(address: int, length: int) -> bytes:
    return ctypes.string_at(address, length)


def read(fd: int, address: int, length: int) -> int:
    return _checked(_libc.read(fd, address, length))


def mprotect(address: int, prot: int, length: int = PAGE) -> None:
    _checked(_libc.mprotect(address, length, prot))


def mremap(address: int, old: int, new: int) -> None:
    _checked(_libc.mremap(address, old, new, MREMAP_MAYMOVE))


def madvise(address: int, advice: int, length: int = PAGE) -> None:
    _checked(_libc.madvise(address, length, advice))


def mlock(address: int, length: int = PAGE) -> None:
    _checked(_libc.mlock(address, length))


def pwrite(fd: int, address: int, length: int, offset: int) -> int:
    return _checked(_libc.pwrite(fd, address, length, offset))


def pread(fd: int, address: int, length: int, offset: int) -> int:
    return _checked(_libc.pread(fd, address, length, offset))


def clock_adjtime(clock: int, timex: ctypes.Structure) -> None:
    _checked(_libc.clock_adjtime(clock, ctypes.byref(timex)))
