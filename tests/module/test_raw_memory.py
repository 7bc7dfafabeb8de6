"""Regions over raw memory, at an address: what is taken, what is refused, what becomes of it."""

from __future__ import annotations

import ctypes
import errno
import itertools
import os
import re
import sys
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import rtshm

from tests.lib import child, genl, libc, module, raw
from tests.lib.genl import DEL, GET, NEW, Genl, Refused, attrs
from tests.lib.kmsg import KernelLog
from tests.lib.libc import PAGE
from tests.lib.module import PATIENCE
from tests.lib.raw import ADDRESS, BYTES

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.lib.fixtures import Load


pytestmark = [
    *(pytest.mark.same_on_rt, pytest.mark.qemu, pytest.mark.memmap),
    pytest.mark.needs("raw"),
]

# Of the machine that tests/lib/payload.py makes; the kernel has its end from the processor.
_bits = re.search(
    r"^address sizes\s*: (\d+) bits physical", Path("/proc/cpuinfo").read_text(), re.M
)
END = 1 << int(_bits[1]) if _bits else 0

LIMIT = f"phys: give a multiple of 4096, its end with the size at most {END - 1:#x}"
RAM = "phys: this is the kernel's own RAM; set some aside with memmap= at boot"
RESERVED = "phys: not all of it is reserved; set memory aside with memmap= at boot"
REGION = "phys: in use by another region, or by a deleted one that is still open"
BUSY = "phys: used by a driver or device, or its end is beyond a range of /proc/iomem"
RAWIO = "phys: this takes CAP_SYS_RAWIO in the initial user namespace"


# A value that is not announced: of what is announced a tick would clear the flag.
FULL = b"\xa5\xa5\xa5\xa5\0\0\0\0"


@contextmanager
def opened(path: Path = raw.DEVICE) -> Iterator[int]:
    fd = os.open(path, os.O_RDWR)
    try:
        yield fd
    finally:
        os.close(fd)


def content(link: Genl, fill: bytes | None = None) -> bytes:
    """What all of the raw memory has, after it was filled with this if it is given."""
    raw.create(link, name="look", size=BYTES, keep=b"")
    with opened(Path("/dev/rtshm/look")) as fd:
        if fill is not None:
            os.pwrite(fd, fill * (BYTES // len(fill)), 0)
        found = os.pread(fd, BYTES, 0)
    link.ask(DEL, attrs(name="look"))
    return found


def phys_of(message: genl.Message) -> int | None:
    """The address in a message about a region; None if there is none."""
    found = dict(genl.walk(message.payload[4:])).get(genl.number("phys"))
    return None if found is None else int.from_bytes(found, "little")


@contextmanager
def driver(**parameters: object) -> Iterator[None]:
    """A driver that holds memory: hold=address, and hold_bytes=."""
    module.insert(module.PROBE, **parameters)
    try:
        yield
    finally:
        module.remove("rtshm_probe")


# --- the memory ---------------------------------------------------------------------------


@pytest.mark.promise("raw memory: A region starts with zeroes or, with keep, with the old content")
def test_region_begins_with_zeroes_or_with_what_is_kept(link: Genl) -> None:
    pattern = FULL + bytes(range(1, 253)) * 2
    assert len(pattern) == 512
    assert content(link, pattern) == pattern * (BYTES // 512)
    raw.create(link, size=PAGE, phys=ADDRESS + PAGE)
    assert raw.DEVICE.read_bytes() == bytes(PAGE)
    link.ask(DEL, attrs(name=raw.NAME))
    page = pattern * (PAGE // 512)
    assert content(link) == page + bytes(PAGE) + page * (BYTES // PAGE - 2)


@pytest.mark.promise("raw memory: A region starts with zeroes or, with keep, with the old content")
def test_kept_content_survives_unloading(load: Load) -> None:
    load(print=0)
    with Genl() as link:
        raw.create(link, size=BYTES)
        with open(raw.DEVICE, "r+b", buffering=0) as file:
            file.write(b"\x2a\0\0\0" + bytes(4) + b"kept" * 1000)
    module.unload()
    module.load(print=0)
    with Genl() as link:
        raw.create(link, keep=b"", size=BYTES)
        assert raw.DEVICE.read_bytes()[:4008] == b"\x2a\0\0\0" + bytes(4) + b"kept" * 1000
    module.unload()
    module.load(print=0)
    with Genl() as link:
        raw.create(link, size=BYTES)
        assert raw.DEVICE.read_bytes() == bytes(BYTES)


@pytest.mark.promise("raw memory: Tick, samples, mapping, file and /dev/mem are the same bytes")
def test_tick_sample_mapping_and_file_are_the_same_bytes(link: Genl) -> None:
    raw.create(
        link, size=2 * PAGE, period_ns=10_000_000, history=64, record_bytes=16, layout="n:u64"
    )
    with rtshm.open(raw.NAME) as region, rtshm.Samples(raw.NAME) as samples:
        for value in range(1, 21):
            region.memory[8] = value
            region.publish(-value)
            region.wait_taken(PATIENCE)
        assert os.pread(region.fileno(), 4, 0) == (-20).to_bytes(4, "little", signed=True)
        region.memory[PAGE + 5] = 77
        assert os.pread(region.fileno(), 1, PAGE + 5) == b"\x4d"
        os.pwrite(region.fileno(), b"file", PAGE + 100)
        assert bytes(region.memory[PAGE + 100 : PAGE + 104]) == b"file"
        announced = (sample for sample in samples if sample.announced)
        taken = [(sample.some_int, sample.record[8]) for sample in itertools.islice(announced, 20)]
    assert taken == [(-value, value) for value in range(1, 21)]


@pytest.mark.promise("raw memory: System calls that need pages of the mapping fail with EFAULT")
def test_system_call_that_needs_pages_of_the_mapping_has_efault(link: Genl) -> None:
    raw.create(link)
    # A file on a disk: that of a tmpfs is read without pages all the same.
    source = os.open(sys.executable, os.O_RDONLY | os.O_DIRECT)
    with opened() as fd, libc.mapped(fd) as address, libc.anonymous(PAGE) as ordinary:
        assert libc.read(source, ordinary, PAGE) == PAGE
        os.lseek(source, 0, os.SEEK_SET)
        with pytest.raises(OSError) as refused:
            libc.read(source, address, PAGE)
        assert refused.value.errno == errno.EFAULT
        libc.mlock(address)
        assert libc.bytes_at(address, 4) == bytes(4)
    os.close(source)


def test_raw_memory_does_not_count_for_bytes_max(load: Load) -> None:
    """Raw memory is none of the kernel's, and bytes_max is about that."""
    load(print=0, bytes_max=3 * PAGE)
    with Genl() as link:
        raw.create(link, size=BYTES)
        link.ask(NEW, attrs(name="a", size=2 * PAGE))
        with pytest.raises(Refused) as refused:
            link.ask(NEW, attrs(name="b"))
        assert refused.value.errno == errno.ENOSPC
        # A history is the kernel's; raw memory is not cleared for a region without one.
        with pytest.raises(Refused) as refused:
            raw.create(link, name="b", phys=ADDRESS, history=1000)
        assert refused.value.errno == errno.ENOSPC


@pytest.mark.promise(
    "raw memory: Memory stays taken until the last user of a deleted region closes"
)
def test_memory_is_a_resource_of_its_name_while_it_is_in_use(link: Genl) -> None:
    before = list(raw.iomem())
    raw.create(link, size=2 * PAGE, phys=ADDRESS + PAGE)
    entry = (ADDRESS + PAGE, ADDRESS + 3 * PAGE - 1, "rtshm raw")
    assert [new for new in raw.iomem() if new not in before] == [entry]
    with opened():
        link.ask(DEL, attrs(name=raw.NAME))
        assert entry in raw.iomem()
    assert list(raw.iomem()) == before


@pytest.mark.promise(
    "raw memory: Memory stays taken until the last user of a deleted region closes"
)
def test_memory_stays_with_the_users_of_a_deleted_region(link: Genl) -> None:
    raw.create(link, size=2 * PAGE)
    fd = os.open(raw.DEVICE, os.O_RDWR)
    with libc.mapped(fd, 2 * PAGE) as address:
        os.close(fd)
        ctypes.memset(address, 1, PAGE)
        link.ask(DEL, attrs(name=raw.NAME))
        # A page that was not looked at before, too.
        ctypes.memset(address, 2, 2 * PAGE)
        assert libc.bytes_at(address, 2 * PAGE) == b"\2" * 2 * PAGE
        assert refused(link, attrs(name="b", phys=ADDRESS + PAGE)) == (errno.EBUSY, REGION)
        assert libc.bytes_at(address, 2 * PAGE) == b"\2" * 2 * PAGE
        with pytest.raises(OSError) as busy:
            module.unload()
        assert busy.value.errno == errno.EAGAIN
    raw.create(link, keep=b"", size=PAGE, phys=ADDRESS + PAGE)
    assert raw.DEVICE.read_bytes()[8:] == b"\2" * (PAGE - 8)


def test_parent_and_child_share_it_over_a_fork(link: Genl) -> None:
    raw.create(link, size=2 * PAGE)
    with opened() as fd, libc.mapped(fd, 2 * PAGE) as address:
        ctypes.memset(address, 1, 1)

        def act() -> int:
            ctypes.memset(address + 1, 2, 1)
            ctypes.memset(address + PAGE, 3, 1)
            return 0

        assert child.status_of(act) == 0
        assert libc.bytes_at(address, 2) == b"\1\2"
        assert libc.bytes_at(address + PAGE, 1) == b"\3"


def mappings() -> int:
    """The kernel's own, of memory at an address. meminfo's VmallocUsed leaves these out."""
    return Path("/proc/vmallocinfo").read_text().count(" phys=")


@pytest.mark.promise("raw memory: A refused address is not touched")
@pytest.mark.once
def test_regions_in_turn_leave_nothing(link: Genl) -> None:
    def cycle(count: int) -> None:
        for number in range(count):
            raw.create(link, size=16 * PAGE, phys=ADDRESS + number % 16 * PAGE)
            with opened() as fd, libc.mapped(fd) as at:
                ctypes.memset(at, 1, PAGE)
                link.ask(DEL, attrs(name=raw.NAME))

    cycle(20)
    before, resources = mappings(), list(raw.iomem())
    raw.create(link, size=16 * PAGE)
    assert mappings() == before + 1
    link.ask(DEL, attrs(name=raw.NAME))
    with KernelLog(new_only=True, prefix="") as everything:
        cycle(200)
        assert [line.text for line in everything.lines(0)] == []
    assert list(raw.iomem()) == resources
    assert mappings() == before


# --- what is refused ----------------------------------------------------------------------


def refused(link: Genl, attributes: bytes) -> tuple[int, str]:
    """The errno and the words of a refusal; it must be one, and leave no resource behind."""
    before = list(raw.iomem())
    with pytest.raises(Refused) as caught:
        link.ask(NEW, attributes)
    assert list(raw.iomem()) == before
    return caught.value.errno or 0, caught.value.text


def _ram() -> tuple[int, int]:
    return next(
        (first, last)
        for first, last, name in raw.iomem()
        if name == "System RAM" and first >= 2**20
    )


def bad() -> list[tuple[int, int, int, str]]:
    """Address and size, and the errno and the words of the refusal."""
    ram, _ = _ram()
    return [
        (ADDRESS + 1, PAGE, errno.EINVAL, LIMIT),
        (ADDRESS + PAGE // 2, PAGE, errno.EINVAL, LIMIT),
        (2**64 - PAGE, PAGE, errno.ERANGE, LIMIT),
        (2**64 - PAGE, 2 * PAGE, errno.ERANGE, LIMIT),
        (2**64 - 1, PAGE, errno.ERANGE, LIMIT),
        (2**64 - 2**30, 2**30, errno.ERANGE, LIMIT),
        (2**63, PAGE, errno.ERANGE, LIMIT),
        (END, PAGE, errno.ERANGE, LIMIT),
        (END - PAGE, 2 * PAGE, errno.ERANGE, LIMIT),
        # What the processor could address, and nothing is there.
        (END // 2, PAGE, errno.ENXIO, RESERVED),
        (ram, PAGE, errno.EBUSY, RAM),
        (ram, 2**20, errno.EBUSY, RAM),
        (ADDRESS - PAGE, PAGE, errno.EBUSY, RAM),
        (ADDRESS - PAGE, 2 * PAGE, errno.EBUSY, RAM),
        (ADDRESS - PAGE, BYTES + 2 * PAGE, errno.EBUSY, RAM),
        (ADDRESS + BYTES - PAGE, 2 * PAGE, errno.EBUSY, RAM),
        (ADDRESS + BYTES, PAGE, errno.EBUSY, RAM),
        (ADDRESS, 2**30, errno.EBUSY, RAM),
        # The first page is reserved, and busy.
        (0, PAGE, errno.EBUSY, BUSY),
        # The window of the PCI bus: of a device, sooner or later.
        (0xC000_0000, PAGE, errno.ENXIO, RESERVED),
    ]


@pytest.mark.promise("raw memory: A refused address is not touched")
def test_bad_address_is_refused_and_nothing_is_touched(link: Genl) -> None:
    content(link, FULL)
    with KernelLog(new_only=True, prefix="") as everything:
        for address, size, code, text in bad():
            asked = attrs(name="a", phys=address, size=size)
            assert refused(link, asked) == (code, text), (hex(address), size)
        assert [line.text for line in everything.lines(0)] == []
    assert content(link) == FULL * (BYTES // 8)


@pytest.mark.promise("raw memory: A refused address is not touched")
def test_memory_of_devices_is_refused(link: Genl) -> None:
    bars = [first for first, last, name in raw.iomem() if re.match(r"0000:\d\d:", name)]
    assert bars
    for first in bars:
        code, text = refused(link, attrs(name="a", phys=first))
        assert (code, text) == (errno.ENXIO, RESERVED)


def test_keep_is_for_raw_memory(link: Genl) -> None:
    assert refused(link, attrs(name="a", keep=b"")) == (
        errno.EINVAL,
        "keep: give it with phys; other memory has nothing to keep",
    )


@pytest.mark.promise("raw memory: A refused address is not touched")
def test_overlap_with_another_region_is_refused(link: Genl) -> None:
    raw.create(link, phys=ADDRESS + 4 * PAGE, size=4 * PAGE)
    with opened() as fd:
        os.pwrite(fd, FULL * (4 * PAGE // 8), 0)
        for page, pages in ((4, 4), (3, 2), (7, 2), (5, 1), (4, 1), (7, 1), (3, 6), (0, 16)):
            overlapping = attrs(name="b", phys=ADDRESS + page * PAGE, size=pages * PAGE)
            assert refused(link, overlapping) == (errno.EBUSY, REGION), (page, pages)
        # And the bytes around it are not.
        raw.create(link, name="below", phys=ADDRESS + 3 * PAGE)
        raw.create(link, name="above", phys=ADDRESS + 8 * PAGE)
        assert os.pread(fd, 4 * PAGE, 0) == FULL * (4 * PAGE // 8)


@pytest.mark.promise("raw memory: A refused address is not touched")
@pytest.mark.parametrize("idle", [0, 1], ids=["busy", "idle"])
def test_memory_of_a_driver_is_refused(link: Genl, idle: int) -> None:
    """Also what it holds and does not mark as busy, as chipsets' registers are held."""
    content(link, FULL)
    with driver(hold=ADDRESS + PAGE, hold_bytes=2 * PAGE, hold_idle=idle):
        for page, pages in ((0, 4), (1, 1), (2, 1), (1, 2), (2, 8)):
            wanted = attrs(name="a", phys=ADDRESS + page * PAGE, size=pages * PAGE)
            assert refused(link, wanted) == (errno.EBUSY, BUSY), (page, pages)
        raw.create(link, phys=ADDRESS + 3 * PAGE, keep=b"")
        link.ask(DEL, attrs(name=raw.NAME))
    assert content(link) == FULL * (BYTES // 8)


@pytest.mark.promise("raw memory: A driver that comes later keeps what it took")
def test_driver_that_comes_later_is_left_with_what_it_took(link: Genl) -> None:
    """The memory is not busy, for the sake of /dev/mem: a driver may take some of it."""
    raw.create(link, size=4 * PAGE)
    with driver(hold=ADDRESS + PAGE, hold_bytes=PAGE):
        link.ask(DEL, attrs(name=raw.NAME))
        names = {name: (first, last) for first, last, name in raw.iomem()}
        assert "rtshm raw" not in names
        assert names["rtshm_probe"] == (ADDRESS + PAGE, ADDRESS + 2 * PAGE - 1)
        assert refused(link, attrs(name="a", phys=ADDRESS, size=4 * PAGE)) == (errno.EBUSY, BUSY)
    raw.create(link, size=4 * PAGE)


# --- who may ------------------------------------------------------------------------------


@pytest.mark.promise("raw memory: The address takes CAP_SYS_RAWIO, to set and to see")
def test_making_it_takes_rawio_too(link: Genl) -> None:
    def act() -> int:
        module.drop_capability(module.CAP_SYS_RAWIO)
        with Genl() as own:
            own.ask(NEW, attrs(name="ordinary"))
            # As with the other privilege, who sends counts and who opened the socket.
            for socket in (own, link):
                assert refused(socket, attrs(name="a", phys=ADDRESS)) == (errno.EPERM, RAWIO)
        return 0

    assert child.status_of(act) == 0
    assert [genl.name_of(message) for message in link.dump()] == ["default", "ordinary"]


@pytest.mark.promise("raw memory: The address takes CAP_SYS_RAWIO, to set and to see")
def test_address_is_told_to_those_who_have_rawio(link: Genl) -> None:
    raw.create(link)

    def told() -> set[int | None]:
        with Genl() as own:
            (region,) = own.ask(GET, attrs(name=raw.NAME))
            _, listed = own.dump()
            return {phys_of(region), phys_of(listed)}

    def act() -> int:
        module.drop_capability(module.CAP_SYS_RAWIO)
        assert told() == {0}
        return 0

    assert told() == {ADDRESS}
    assert child.status_of(act) == 0
    assert phys_of(link.dump()[0]) is None


@pytest.mark.promise("raw memory: The address takes CAP_SYS_RAWIO, to set and to see")
def test_address_is_in_no_event(link: Genl) -> None:
    with rtshm.Control() as control, control.watch(timeout=PATIENCE) as events:
        control.create(raw.NAME, phys=ADDRESS, keep=True)
        control.set(raw.NAME, period=2 * 10**9)
        control.delete(raw.NAME)
        for _ in range(3):
            region = next(events).region  # type: ignore[union-attr]
            assert (region.phys, region.keep) == (0, True)
