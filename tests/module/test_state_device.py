"""/dev/rtshm/default as a file and as a mapping, by system calls."""

from __future__ import annotations

import ctypes
import errno
import mmap
import os
import select
import stat
import time
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import pytest

from tests.lib import child, first, libc, raw
from tests.lib.genl import Genl
from tests.lib.libc import EXEC, PAGE, PRIVATE, READ, SHARED, WRITE
from tests.lib.module import DEVICE, PATIENCE, PERIOD_MIN_NS
from tests.lib.waiting import when_polling

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from tests.lib.fixtures import Load

PAGES = 4
SIZE = PAGES * PAGE


RAW = [pytest.mark.qemu, pytest.mark.memmap, pytest.mark.needs("raw")]


@pytest.fixture(params=["of the kernel", pytest.param("raw", marks=RAW)])
def memory(request: pytest.FixtureRequest) -> str:
    """What the region is made of."""
    return str(request.param)


@pytest.fixture
def device(load: Load, memory: str) -> Path:
    """The node of a region of SIZE."""
    if memory == "of the kernel":
        load(size=SIZE, print=0)
        return DEVICE
    load(print=0)
    with Genl() as link:
        raw.create(link, size=SIZE)
    return raw.DEVICE


@pytest.fixture
def fd(device: Path) -> Iterator[int]:
    descriptor = os.open(device, os.O_RDWR)
    yield descriptor
    os.close(descriptor)


def announce(fd: int, value: int = 1) -> None:
    os.pwrite(fd, value.to_bytes(4, "little", signed=True) + b"\1\0\0\0", 0)


# --- the node -----------------------------------------------------------------------------


def test_node_exists_for_root_only_when_load_returns(load: Load) -> None:
    load(print=0)
    status = DEVICE.stat()
    assert stat.S_ISCHR(status.st_mode)
    assert stat.S_IMODE(status.st_mode) == 0o600
    assert (status.st_uid, status.st_gid) == (0, 0)


def test_unprivileged_user_is_refused(load: Load) -> None:
    load(print=0)

    def open_as_nobody() -> int:
        os.setgroups([])
        os.setresgid(65534, 65534, 65534)
        os.setresuid(65534, 65534, 65534)
        try:
            os.open(DEVICE, os.O_RDONLY)
        except OSError as error:
            return error.errno or 0
        return 0

    assert child.status_of(open_as_nobody) == errno.EACCES


# --- as a file ----------------------------------------------------------------------------


@pytest.mark.promise("memory: A new region is zero")
def test_new_region_is_zero(fd: int) -> None:
    assert os.pread(fd, SIZE + 1, 0) == bytes(SIZE)


@pytest.mark.promise(
    "memory: Read and write work at any offset and length, and are whole up to a page"
)
def test_write_is_read_back_at_any_offset_and_length(fd: int) -> None:
    model = bytearray(SIZE)
    pattern = bytes(range(1, 252))
    for offset in (8, 9, 10, 11, 12, 13, 14, 15, PAGE - 3, PAGE, 2 * PAGE - 1):
        for length in (1, 2, 3, 4, 5, 7, 8, 9, 15, 16, 17, 250, PAGE, PAGE + 1):
            data = (pattern * (length // len(pattern) + 1))[:length]
            assert os.pwrite(fd, data, offset) == length
            model[offset : offset + length] = data
            assert os.pread(fd, length, offset) == data
    assert os.pread(fd, SIZE, 0) == bytes(model)


def test_read_ends_at_the_end(fd: int) -> None:
    assert os.pread(fd, 100, SIZE - 10) == bytes(10)
    assert os.pread(fd, 100, SIZE) == b""
    assert os.pread(fd, 100, SIZE + PAGE) == b""


def test_write_ends_at_the_end_with_enospc(fd: int) -> None:
    assert os.pwrite(fd, b"x" * 100, SIZE - 10) == 10
    assert os.pwrite(fd, b"", SIZE) == 0
    for offset in (SIZE, SIZE + PAGE, 2**62):
        with pytest.raises(OSError) as refused:
            os.pwrite(fd, b"x", offset)
        assert refused.value.errno == errno.ENOSPC


def test_seek_stays_within_the_region(fd: int) -> None:
    assert os.lseek(fd, 0, os.SEEK_END) == SIZE
    assert os.lseek(fd, -4, os.SEEK_END) == SIZE - 4
    os.write(fd, b"tail")
    assert os.lseek(fd, 0, os.SEEK_CUR) == SIZE
    os.lseek(fd, SIZE - 4, os.SEEK_SET)
    assert os.read(fd, 100) == b"tail"
    for offset, whence in ((SIZE + 1, os.SEEK_SET), (-1, os.SEEK_SET), (1, os.SEEK_END)):
        with pytest.raises(OSError) as refused:
            os.lseek(fd, offset, whence)
        assert refused.value.errno == errno.EINVAL


@pytest.mark.promise(
    "robustness: Faulting user memory is EFAULT, and an incomplete sample comes again"
)
def test_write_from_bad_memory_is_efault_and_changes_nothing(fd: int) -> None:
    os.pwrite(fd, b"\xaa" * PAGE, 8)
    with libc.mapped(-1, 2 * PAGE, flags=PRIVATE | mmap.MAP_ANONYMOUS) as address:
        ctypes.memset(address, 0xBB, PAGE)
        libc.mprotect(address + PAGE, 0)
        # A page whose last quarter cannot be read: none of it may go in.
        with pytest.raises(OSError) as refused:
            libc.pwrite(fd, address + PAGE // 4, PAGE, 8)
        assert refused.value.errno == errno.EFAULT
    assert os.pread(fd, PAGE, 8) == b"\xaa" * PAGE


@pytest.mark.promise(
    "robustness: Faulting user memory is EFAULT, and an incomplete sample comes again"
)
def test_read_into_bad_memory_is_efault(fd: int) -> None:
    with pytest.raises(OSError) as refused:
        libc.pread(fd, 8, 100, 0)
    assert refused.value.errno == errno.EFAULT


def test_append_is_enospc(device: Path, fd: int) -> None:
    appending = os.open(device, os.O_WRONLY | os.O_APPEND)
    with pytest.raises(OSError) as refused:
        os.write(appending, b"x")
    os.close(appending)
    assert refused.value.errno == errno.ENOSPC
    assert os.pread(fd, 1, 0) == b"\0"


def test_open_mode_holds_for_read_and_write(device: Path) -> None:
    readonly = os.open(device, os.O_RDONLY)
    writeonly = os.open(device, os.O_WRONLY)
    for call in (lambda: os.pwrite(readonly, b"x", 0), lambda: os.pread(writeonly, 1, 0)):
        with pytest.raises(OSError) as refused:
            call()
        assert refused.value.errno == errno.EBADF
    os.close(readonly)
    os.close(writeonly)


def torn(
    fd: int, write: Callable[[bytes], object], reads: int, changes: int = 1000
) -> Iterator[bool]:
    """Another process fills a page with one byte after another: for each time that it was
    read, in this number of reads, whether it had bytes of two writes. Until it was another
    one this number of times."""

    def fill() -> None:
        while True:
            for byte in (b"\x10", b"\x20", b"\x30"):
                write(byte)

    part = PAGE // reads
    deadline = time.monotonic() + PATIENCE
    last = 0
    with child.killed(fill):
        while changes:
            assert time.monotonic() < deadline, f"{changes} changes are missing"
            page = b"".join(
                os.pread(fd, part, PAGE // 2 + number * part) for number in range(reads)
            )
            changes -= page[-1] != last
            last = page[-1]
            yield page.count(page[0]) != PAGE


@pytest.mark.promise(
    "memory: Read and write work at any offset and length, and are whole up to a page"
)
def test_read_of_a_page_sees_no_part_of_a_write_of_a_page(fd: int) -> None:
    def write(byte: bytes) -> None:
        os.pwrite(fd, byte * PAGE, PAGE // 2)

    write(b"\x30")
    assert not any(torn(fd, write, reads=1, changes=100))
    # The same in two reads must tear, or the line above could not fail.
    assert any(torn(fd, write, reads=2))


def test_scattered_write_of_a_page_is_one_publication(fd: int) -> None:
    def write(byte: bytes) -> None:
        os.pwritev(fd, [byte * (PAGE // 2), byte * (PAGE // 2)], PAGE // 2)

    def write_apart(byte: bytes) -> None:
        os.pwrite(fd, byte * (PAGE // 2), PAGE // 2)
        os.pwrite(fd, byte * (PAGE // 2), PAGE)

    write(b"\x30")
    assert not any(torn(fd, write, reads=1, changes=100))
    assert any(torn(fd, write_apart, reads=1))


# --- poll ---------------------------------------------------------------------------------


def events(fd: int, timeout_ms: int = 0) -> int:
    poll = select.poll()
    poll.register(fd, select.POLLIN | select.POLLOUT)
    return dict(poll.poll(timeout_ms))[fd]


def test_poll_is_writable_unless_an_announcement_waits(load: Load) -> None:
    load(period_ns=3_600_000_000_000, print=0)
    first.tick()
    fd = os.open(DEVICE, os.O_RDWR)
    assert events(fd) == select.POLLIN | select.POLLOUT
    announce(fd)
    assert events(fd) == select.POLLIN
    os.pwrite(fd, b"\0", 4)
    assert events(fd) == select.POLLIN | select.POLLOUT
    os.close(fd)


def writable_within(fd: int, seconds: float) -> bool:
    poll = select.poll()
    poll.register(fd, select.POLLOUT)
    return bool(poll.poll(seconds * 1000))


def test_poll_wakes_all_pollers_at_the_tick_that_takes(load: Load) -> None:
    load(period_ns=100_000_000, print=0)
    fd = os.open(DEVICE, os.O_RDWR)
    with ThreadPoolExecutor(3) as pollers:
        for _ in range(10):
            announce(fd)
            woken = pollers.map(writable_within, 3 * [fd], 3 * [PATIENCE])
            assert list(woken) == 3 * [True]
    os.close(fd)


def test_poller_wakes_when_another_process_clears_ready(load: Load) -> None:
    """No tick takes the announcement then; the next one wakes the poller all the same."""
    load(period_ns=300_000_000, print=0)
    fd = os.open(DEVICE, os.O_RDWR)
    for _ in range(5):
        announce(fd)
        with when_polling(lambda: os.pwrite(fd, b"\0", 4)):
            assert writable_within(fd, PATIENCE)
    os.close(fd)


# --- as a mapping -------------------------------------------------------------------------


REFUSED = [
    (os.O_RDWR, PAGE, READ | WRITE, PRIVATE, 0, errno.EINVAL),
    (os.O_RDWR, PAGE, READ, PRIVATE, 0, errno.EINVAL),
    (os.O_RDONLY, PAGE, READ, PRIVATE, 0, errno.EINVAL),
    (os.O_RDONLY, PAGE, READ | WRITE, SHARED, 0, errno.EACCES),
    (os.O_WRONLY, PAGE, READ | WRITE, SHARED, 0, errno.EACCES),
    (os.O_RDWR, PAGE, READ | EXEC, SHARED, 0, errno.EACCES),
    (os.O_RDWR, PAGE, READ | WRITE | EXEC, SHARED, 0, errno.EACCES),
    (os.O_RDWR, SIZE + 1, READ, SHARED, 0, errno.EINVAL),
    (os.O_RDWR, SIZE + PAGE, READ, SHARED, 0, errno.EINVAL),
    (os.O_RDWR, PAGE, READ, SHARED, SIZE, errno.EINVAL),
    (os.O_RDWR, 2 * PAGE, READ, SHARED, SIZE - PAGE, errno.EINVAL),
    (os.O_RDWR, SIZE, READ, SHARED, PAGE, errno.EINVAL),
    (os.O_RDWR, PAGE, READ, SHARED, 1, errno.EINVAL),
    (os.O_RDWR, PAGE, READ, SHARED, 2**51, errno.EINVAL),
    (os.O_RDWR, PAGE, READ, SHARED, 2**62, errno.EINVAL),
    (os.O_RDWR, PAGE, READ, SHARED, -PAGE, errno.EOVERFLOW),
    (os.O_RDWR, 0, READ, SHARED, 0, errno.EINVAL),
    # More than any processor can address.
    (os.O_RDWR, 2**62, READ, SHARED, 0, errno.ENOMEM),
]


@pytest.mark.promise(
    "memory: A mapping is inside the region, never executable, and as its descriptor allows"
)
def test_mapping_is_refused(device: Path) -> None:
    for mode, length, prot, flags, offset, code in REFUSED:
        fd = os.open(device, mode)
        with pytest.raises(OSError) as refused, libc.mapped(fd, length, prot, flags, offset):
            pass
        assert refused.value.errno == code, (mode, length, prot, flags, offset)
        os.close(fd)


@pytest.mark.promise(
    "memory: A mapping is inside the region, never executable, and as its descriptor allows"
)
def test_every_page_range_inside_maps_and_none_beyond(fd: int) -> None:
    for offset in range(PAGES + 2):
        for pages in range(1, PAGES + 3):
            inside = offset + pages <= PAGES
            try:
                with libc.mapped(fd, pages * PAGE, READ, SHARED, offset * PAGE) as address:
                    assert inside
                    assert ctypes.string_at(address, pages * PAGE) == bytes(pages * PAGE)
            except OSError as error:
                assert not inside
                assert error.errno == errno.EINVAL


@pytest.mark.promise(
    "memory: A mapping is inside the region, never executable, and as its descriptor allows"
)
def test_map_of_a_reader_cannot_be_made_writable_or_executable(device: Path) -> None:
    fd = os.open(device, os.O_RDONLY)
    with libc.mapped(fd, PAGE, READ) as address:
        for prot in (READ | WRITE, WRITE, READ | EXEC, EXEC):
            with pytest.raises(OSError) as refused:
                libc.mprotect(address, prot)
            assert refused.value.errno == errno.EACCES
        with open("/proc/self/mem", "r+b", buffering=0) as memory:
            memory.seek(address)
            with pytest.raises(OSError) as refused:
                memory.write(b"x")
            assert refused.value.errno == errno.EIO
    assert os.pread(fd, 1, 0) == b"\0"
    os.close(fd)


@pytest.mark.promise(
    "memory: A mapping is inside the region, never executable, and as its descriptor allows"
)
def test_writing_map_cannot_be_made_executable(fd: int) -> None:
    with libc.mapped(fd) as address:
        with pytest.raises(OSError) as refused:
            libc.mprotect(address, READ | WRITE | EXEC)
        assert refused.value.errno == errno.EACCES


@pytest.mark.promise(
    "memory: A mapping is inside the region, never executable, and as its descriptor allows"
)
def test_mapping_does_not_grow(fd: int) -> None:
    with libc.mapped(fd) as address:
        with pytest.raises(OSError) as refused:
            libc.mremap(address, PAGE, 2 * PAGE)
        assert refused.value.errno == errno.EFAULT


@pytest.mark.promise(
    "memory: A mapping is inside the region, never executable, and as its descriptor allows"
)
def test_mapping_survives_madvise_and_mlock(fd: int, memory: str) -> None:
    with libc.mapped(fd) as address:
        ctypes.memset(address, 0x55, PAGE)
        if memory == "of the kernel":
            libc.madvise(address, mmap.MADV_DONTNEED)
        else:
            # The kernel does not forget pages that it may not know.
            with pytest.raises(OSError) as refused:
                libc.madvise(address, mmap.MADV_DONTNEED)
            assert refused.value.errno == errno.EINVAL
        assert ctypes.string_at(address, PAGE) == b"\x55" * PAGE
        libc.mlock(address)


@pytest.mark.promise(
    "memory: A mapping is inside the region, never executable, and as its descriptor allows"
)
def test_mapping_stays_out_of_core_dumps_and_does_not_expand(fd: int) -> None:
    with libc.mapped(fd) as address, open("/proc/self/smaps") as smaps:
        entry = smaps.read().partition(f"{address:x}-")[2]
        flags = next(line for line in entry.splitlines() if line.startswith("VmFlags:")).split()
        assert {"dd", "de"} <= set(flags)


def test_mapping_and_file_are_the_same_bytes(fd: int) -> None:
    with libc.mapped(fd, SIZE) as address:
        for page in range(PAGES):
            ctypes.memset(address + page * PAGE + 100, page + 1, 10)
            assert os.pread(fd, 10, page * PAGE + 100) == bytes([page + 1]) * 10
            os.pwrite(fd, b"file", page * PAGE + 200)
            assert ctypes.string_at(address + page * PAGE + 200, 4) == b"file"


def test_shortest_period_ticks(load: Load) -> None:
    load(period_ns=PERIOD_MIN_NS, print=0)
    fd = os.open(DEVICE, os.O_RDWR)
    for value in range(100):
        announce(fd, value)
        assert writable_within(fd, PATIENCE)
    os.close(fd)
