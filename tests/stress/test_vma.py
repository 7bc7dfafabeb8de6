"""What may be done to a mapping: each operation by each kind of mapping, with its errno."""

from __future__ import annotations

import ctypes
import errno
import mmap
import os
from typing import TYPE_CHECKING

import pytest

from tests.lib import libc, module
from tests.lib.libc import EXEC, PAGE, READ, WRITE

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.lib.fixtures import Load

PAGES = 4
SIZE = PAGES * PAGE

MAYMOVE, FIXED, DONTUNMAP = 1, 2, 4
MS_ASYNC, MS_SYNC = 1, 4
MADV_FREE, MADV_REMOVE, MADV_DONTFORK, MADV_DOFORK = 8, 9, 10, 11
MADV_DONTDUMP, MADV_DODUMP, MADV_COLD, MADV_PAGEOUT = 16, 17, 20, 21

_libc = ctypes.CDLL(None, use_errno=True)
WORD = ctypes.c_size_t


def call(name: str, *arguments: int) -> int:
    """A function of the C library by its name, all arguments words: 0 or an errno."""
    ctypes.set_errno(0)
    function = getattr(_libc, name)
    function.restype = ctypes.c_ssize_t
    return ctypes.get_errno() if function(*map(WORD, arguments)) == -1 else 0


def move(at: int) -> int:
    """To where there is room for sure: a mapping of the same size, which it replaces."""
    with libc.anonymous(SIZE) as target:
        return call("mremap", at, SIZE, SIZE, MAYMOVE | FIXED, target)


# The kinds of mapping: how the file is open, and for what it is mapped.
KINDS = {
    "read, read": (os.O_RDONLY, READ),
    "write, read": (os.O_RDWR, READ),
    "write, nothing": (os.O_RDWR, 0),
    "write, write": (os.O_RDWR, READ | WRITE),
}
ALL_WELL = (0, 0, 0, 0)


def all_refused(code: int) -> tuple[int, int, int, int]:
    return (code, code, code, code)


OPERATIONS: dict[str, tuple[Callable[[int], int], tuple[int, int, int, int]]] = {
    "protect for nothing": (lambda at: call("mprotect", at, SIZE, 0), ALL_WELL),
    "protect for reading": (lambda at: call("mprotect", at, SIZE, READ), ALL_WELL),
    "protect for writing": (
        lambda at: call("mprotect", at, SIZE, READ | WRITE),
        (errno.EACCES, 0, 0, 0),
    ),
    "protect a page for writing": (
        lambda at: call("mprotect", at + PAGE, PAGE, WRITE),
        (errno.EACCES, 0, 0, 0),
    ),
    "protect for execution": (
        lambda at: call("mprotect", at, SIZE, READ | EXEC),
        all_refused(errno.EACCES),
    ),
    "protect for all": (
        lambda at: call("mprotect", at, SIZE, READ | WRITE | EXEC),
        all_refused(errno.EACCES),
    ),
    "split by protection": (lambda at: call("mprotect", at + PAGE, PAGE, 0), ALL_WELL),
    "split by munmap": (lambda at: call("munmap", at + PAGE, PAGE), ALL_WELL),
    "shrink": (lambda at: call("mremap", at, SIZE, PAGE, 0), ALL_WELL),
    "move": (move, ALL_WELL),
    "grow": (lambda at: call("mremap", at, SIZE, 2 * SIZE, MAYMOVE), all_refused(errno.EFAULT)),
    "grow in place": (
        lambda at: call("mremap", at, SIZE, SIZE + PAGE, 0),
        all_refused(errno.EFAULT),
    ),
    "copy": (lambda at: call("mremap", at, 0, PAGE, MAYMOVE), all_refused(errno.EFAULT)),
    "move and keep": (
        lambda at: call("mremap", at, SIZE, SIZE, MAYMOVE | DONTUNMAP, 0),
        all_refused(errno.EINVAL),
    ),
    "drop its pages": (lambda at: call("madvise", at, SIZE, mmap.MADV_DONTNEED), ALL_WELL),
    "want its pages": (lambda at: call("madvise", at, SIZE, mmap.MADV_WILLNEED), ALL_WELL),
    "free its pages": (lambda at: call("madvise", at, SIZE, MADV_FREE), all_refused(errno.EINVAL)),
    "punch a hole": (
        lambda at: call("madvise", at, SIZE, MADV_REMOVE),
        (errno.EACCES, errno.ENODEV, errno.ENODEV, errno.ENODEV),
    ),
    "cold pages": (lambda at: call("madvise", at, SIZE, MADV_COLD), ALL_WELL),
    "page out": (lambda at: call("madvise", at, SIZE, MADV_PAGEOUT), ALL_WELL),
    "keep from children": (lambda at: call("madvise", at, SIZE, MADV_DONTFORK), ALL_WELL),
    "give to children": (
        lambda at: call("madvise", at, SIZE, MADV_DOFORK),
        # 6.12 refuses it for memory of devices; 7.2 for all that must not grow.
        ALL_WELL if module.kernel_version() < (7, 2) else all_refused(errno.EINVAL),
    ),
    "keep out of dumps": (lambda at: call("madvise", at, SIZE, MADV_DONTDUMP), ALL_WELL),
    "put into dumps": (
        lambda at: call("madvise", at, SIZE, MADV_DODUMP),
        all_refused(errno.EINVAL),
    ),
    "begin to write back": (lambda at: call("msync", at, SIZE, MS_ASYNC), ALL_WELL),
    "other pages of it": (
        lambda at: call("remap_file_pages", at, PAGE, 0, 1, 0),
        # A mapping of a file opened for reading only is not shared, to the kernel.
        (errno.EINVAL, 0, 0, 0),
    ),
    "pages beyond it": (
        lambda at: call("remap_file_pages", at, PAGE, 0, PAGES, 0),
        all_refused(errno.EINVAL),
    ),
}


@pytest.fixture
def mappings(load: Load) -> Iterator[Callable[[str], int]]:
    """mapping(kind): the address of a new mapping of the whole region, by its kind."""
    load(size=SIZE, print=0, period_ns=3_600_000_000_000)
    made = []
    function = _libc.mmap
    function.restype = ctypes.c_void_p

    def mapping(kind: str) -> int:
        mode, prot = KINDS[kind]
        fd = os.open("/dev/rtshm/default", mode)
        address = int(function(None, WORD(SIZE), prot, mmap.MAP_SHARED, fd, WORD(0)))
        os.close(fd)
        assert address != ctypes.c_void_p(-1).value, ctypes.get_errno()
        made.append(address)
        return address

    yield mapping
    for address in made:
        call("munmap", address, SIZE)


@pytest.mark.promise(
    "memory: A mapping is inside the region, never executable, and as its descriptor allows"
)
@pytest.mark.amounts("vma")
@pytest.mark.parametrize("operation", OPERATIONS)
def test_operation_on_a_mapping(mappings: Callable[[str], int], operation: str) -> None:
    act, expected = OPERATIONS[operation]
    found = tuple(act(mappings(kind)) for kind in KINDS)
    assert found == expected, [errno.errorcode.get(code, "0") for code in found]
