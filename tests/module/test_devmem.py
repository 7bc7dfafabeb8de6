"""A region's raw memory through /dev/mem, from Python and C; and what the kernel forbids there."""

from __future__ import annotations

import ctypes
import errno
import faulthandler
import mmap
import os
import re
import signal
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import rtshm

from tests.lib import child, libc, module, raw
from tests.lib.genl import DEL, Genl, Refused, attrs
from tests.lib.libc import PAGE
from tests.lib.module import PATIENCE
from tests.lib.programs import compiled
from tests.lib.raw import ADDRESS, BYTES

if TYPE_CHECKING:
    from tests.lib.fixtures import Load
    from tests.lib.kmsg import KernelLog

# The kernels with debugging are built without /dev/mem.
pytestmark = [
    pytest.mark.same_on_rt,
    pytest.mark.stock,
    pytest.mark.memmap,
    pytest.mark.needs("raw"),
]

# 6.16: the type is the mapping's for as long as its vma is there, revoked or not.
UNCACHED_STAYS = module.kernel_version() >= (6, 16)
MEMTYPES = Path("/sys/kernel/debug/x86/pat_memtype_list")


@pytest.fixture(scope="session")
def program(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The program devmem.c."""
    source = Path(__file__).with_name("devmem.c")
    return compiled(source, tmp_path_factory.mktemp("devmem") / "devmem")


def remedy(error: BaseException) -> str:
    assert isinstance(error, rtshm.RefusedError)
    return error.remedy


# --- sharing ------------------------------------------------------------------------------


@pytest.mark.promise("raw memory: Tick, samples, mapping, file and /dev/mem are the same bytes")
def test_devmem_and_the_region_are_the_same_bytes(link: Genl) -> None:
    raw.create(link, size=2 * PAGE, period_ns=10_000_000)
    with rtshm.open(raw.NAME) as region, rtshm.open_devmem(raw.NAME) as memory:
        assert (memory.address, memory.size) == (ADDRESS, 2 * PAGE)
        memory.publish(42)
        region.wait_taken(PATIENCE)
        assert (region.some_int, memory.some_int, memory.ready) == (42, 42, False)
        for page in range(2):
            memory.memory[page * PAGE + 100] = 7 + page
            assert region.memory[page * PAGE + 100] == 7 + page
            os.pwrite(region.fileno(), b"file", page * PAGE + 200)
            assert bytes(memory.memory[page * PAGE + 200 :][:4]) == b"file"
    with pytest.raises(rtshm.ClosedError):
        memory.publish(1)


def test_devmem_read_only_stores_nothing(link: Genl) -> None:
    raw.create(link)
    with rtshm.open(raw.NAME) as region, rtshm.open_devmem(ADDRESS, readonly=True) as memory:
        region.some_int = -5
        assert (memory.some_int, memory.size) == (-5, PAGE)
        with pytest.raises(PermissionError):
            memory.publish(1)
        with pytest.raises(TypeError):
            memory.memory[0] = 1
        assert region.some_int == -5


@pytest.mark.promise("raw memory: Tick, samples, mapping, file and /dev/mem are the same bytes")
def test_old_user_program_works_by_its_address(log: KernelLog, load: Load, program: Path) -> None:
    load(print=0)
    with Genl() as link:
        raw.create(link, name="seed", period_ns=50_000_000, print=2)
    command = [str(program), f"{ADDRESS:#x}"]
    lines = log.lines(PATIENCE)
    module.wait_line(lines, "rtshm: seed: shared mem=0")
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as user:
        assert user.stdin
        assert user.stdout
        assert user.stdout.readline() == "enter # or <quit>\n"
        for value in (42, -7):
            user.stdin.write(f"{value}\n")
            user.stdin.flush()
            module.wait_line(lines, f"rtshm: seed: shared mem={value}")
        user.stdin.close()
        assert user.wait() == 0


def test_mapping_of_devmem_outlives_the_region_and_keeps_what_it_has(link: Genl) -> None:
    raw.create(link)
    with rtshm.open_devmem(raw.NAME) as memory:
        memory.some_int = 11
        link.ask(DEL, attrs(name=raw.NAME))
        module.unload()
        memory.some_int += 1
        assert memory.some_int == 12
    module.load(print=0)
    with rtshm.Control() as control:
        region = control.create(raw.NAME, phys=ADDRESS, keep=True)
        assert (region.phys, region.keep) == (ADDRESS, True)
    with rtshm.open(raw.NAME) as opened:
        assert opened.some_int == 12


@pytest.mark.promise("raw memory: Memory is mapped write-back and never with two types of caching")
def test_mapping_of_devmem_that_was_there_before_the_region_is_taken_away(link: Genl) -> None:
    """By the kernel, of who takes memory over; and never is it mapped in two ways."""

    def act() -> None:
        # The end that is wanted needs no trace of pytest's.
        faulthandler.disable()
        with rtshm.open_devmem(ADDRESS) as memory:
            memory.some_int = 1
            raw.create(link)
            memory.some_int = 2

    assert child.status_of(act) == -signal.SIGBUS
    with rtshm.open(raw.NAME) as region:
        assert region.some_int == 0


def types() -> list[str]:
    """Of the mappings that begin where the raw memory does."""
    span = re.compile(r"PAT: \[mem 0x0*(\w+)-0x0*(\w+)\] (\S+)")
    found = span.findall(MEMTYPES.read_text())
    return [kind for first, _, kind in found if int(first, 16) == ADDRESS]


@pytest.mark.promise("raw memory: Memory is mapped write-back and never with two types of caching")
def test_memory_is_mapped_write_back(link: Genl) -> None:
    assert types() == []
    raw.create(link, size=BYTES)
    assert types() == ["write-back"]
    fd = os.open(raw.DEVICE, os.O_RDWR)
    with libc.mapped(fd, BYTES) as address:
        ctypes.memset(address, 1, BYTES)
        assert types() == ["write-back"]
        with rtshm.open_devmem(ADDRESS):
            assert types() == ["write-back"] * 2
    os.close(fd)


@pytest.mark.promise("raw memory: Memory is mapped write-back and never with two types of caching")
def test_memory_that_is_mapped_uncached_is_refused(link: Genl) -> None:
    """Else the kernel would have it uncached, too."""
    with rtshm.open_devmem(ADDRESS, 4 * PAGE) as memory:
        memory.memory[PAGE] = 9
    fd = os.open("/dev/mem", os.O_RDWR | os.O_SYNC)
    with libc.mapped(fd, PAGE, offset=ADDRESS + 3 * PAGE):
        resources = list(raw.iomem())
        if UNCACHED_STAYS:
            with pytest.raises(Refused) as refused:
                raw.create(link, size=4 * PAGE)
            assert (refused.value.errno, refused.value.text) == (
                errno.EBUSY,
                "phys: mapped uncached by a program (/dev/mem with O_SYNC), or not RAM",
            )
            assert list(raw.iomem()) == resources
            # Not touched; and its first pages can be had.
            raw.create(link, name="beside", size=3 * PAGE, keep=b"")
            with rtshm.open("beside") as beside:
                assert beside.memory[PAGE] == 9
            link.ask(DEL, attrs(name="beside"))
    os.close(fd)
    raw.create(link, size=4 * PAGE)
    assert types() == ["write-back"]


@pytest.mark.promise("raw memory: Memory is mapped write-back and never with two types of caching")
def test_uncached_mapping_of_a_region_is_refused(link: Genl) -> None:
    raw.create(link)
    fd = os.open("/dev/mem", os.O_RDWR | os.O_SYNC)
    with pytest.raises(OSError) as refused, libc.mapped(fd, PAGE, offset=ADDRESS):
        pass
    os.close(fd)
    assert refused.value.errno == errno.EAGAIN


# --- what is forbidden --------------------------------------------------------------------


@pytest.mark.promise("raw memory: An error names what forbids /dev/mem")
def test_ram_is_forbidden_by_strict_devmem(link: Genl) -> None:
    with pytest.raises(PermissionError) as refused:
        rtshm.open_devmem(ADDRESS - PAGE)
    assert refused.value.errno == errno.EPERM
    assert refused.value.filename == "/dev/mem"
    assert remedy(refused.value).startswith(
        f"STRICT_DEVMEM: there is RAM of the kernel's at {ADDRESS - PAGE:#x}: "
    )
    assert "memmap=" in remedy(refused.value)


@pytest.mark.promise("raw memory: An error names what forbids /dev/mem")
def test_memory_of_a_driver_is_forbidden_by_io_strict_devmem(link: Genl) -> None:
    module.insert(module.PROBE, hold=ADDRESS, hold_bytes=PAGE)
    try:
        with pytest.raises(PermissionError) as refused:
            rtshm.open_devmem(ADDRESS)
    finally:
        module.remove("rtshm_probe")
    assert remedy(refused.value).startswith(
        f"IO_STRICT_DEVMEM: a driver has memory at {ADDRESS:#x} (rtshm_probe): "
    )
    assert "iomem=relaxed" in remedy(refused.value)
    # It was the driver alone.
    rtshm.open_devmem(ADDRESS).close()


def test_without_rawio_it_says_so(link: Genl) -> None:
    raw.create(link)

    def act() -> None:
        module.drop_capability(module.CAP_SYS_RAWIO)
        for where in (ADDRESS, raw.NAME):
            with pytest.raises(PermissionError) as refused:
                rtshm.open_devmem(where)
            assert refused.value.errno == errno.EPERM
            assert "CAP_SYS_RAWIO" in f"{refused.value} {remedy(refused.value)}"
            assert "use sudo" in remedy(refused.value)

    assert child.status_of(act) == 0


def test_address_that_is_none_is_refused(link: Genl) -> None:
    for address in (ADDRESS + 1, 2**62):
        with pytest.raises(OSError) as refused:
            rtshm.open_devmem(address)
        assert refused.value.errno == errno.EINVAL
        assert remedy(refused.value).startswith(
            f"{address:#x} is not a multiple of {mmap.PAGESIZE}, "
        )


def test_region_of_the_kernels_memory_has_no_address(link: Genl) -> None:
    with pytest.raises(ValueError, match="default: its memory is the kernel's"):
        rtshm.open_devmem("default")


def test_more_than_the_region_has_is_refused(link: Genl) -> None:
    raw.create(link, size=2 * PAGE)
    with pytest.raises(ValueError, match=f"raw: {3 * PAGE} bytes asked for; the region has"):
        rtshm.open_devmem(raw.NAME, 3 * PAGE)
    with rtshm.open_devmem(raw.NAME, PAGE) as memory:
        assert memory.size == PAGE


def test_program_says_what_forbids_it(link: Genl, program: Path) -> None:
    done = subprocess.run([program, f"{ADDRESS - PAGE:#x}"], capture_output=True, text=True)
    assert done.returncode == 1
    assert done.stderr.startswith("mmap: Operation not permitted\nSTRICT_DEVMEM (System RAM) or ")
