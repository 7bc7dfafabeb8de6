"""Raw memory of a region by its physical address, through /dev/mem: the old example's way."""

from __future__ import annotations

import errno
import mmap
import re
from functools import partial
from io import FileIO
from pathlib import Path
from typing import Any

from rtshm.errors import hidden_address, refusing
from rtshm.kernel_files import lockdown
from rtshm.region import Mapped

DEVICE = Path("/dev/mem")
IOMEM = Path("/proc/iomem")

# linux/capability.h
_CAP_SYS_RAWIO = 17


def open_devmem(where: str | int, size: int | None = None, *, readonly: bool = False) -> DevMem:
    """Map the raw memory of a region by /dev/mem: `where` is its name, or its physical address.

    With a name, the kernel is asked for the address and the size; with an address, the
    default size is a page. Prefer open(), which uses the region's device node: this
    function takes CAP_SYS_RAWIO, and a wrong address is the memory of something else.

    Raises OSError with the kernel's errno, and a note that names which of
    STRICT_DEVMEM, IO_STRICT_DEVMEM and lockdown forbids it, and what to do. Raises
    ValueError for a region that is not raw memory, or is smaller than `size`.
    """
    if isinstance(where, int):
        return DevMem(where, mmap.PAGESIZE if size is None else size, readonly=readonly)
    from rtshm.control import Control

    with Control() as control:
        region = control.get(where)
    if region.phys is None:
        raise ValueError(f"{where}: its memory is the kernel's; make it with phys, or use open()")
    if region.phys == 0:
        raise hidden_address(where)
    if size is not None and size > region.size:
        raise ValueError(f"{where}: {size} bytes asked for; the region has {region.size}")
    return DevMem(region.phys, region.size if size is None else size, readonly=readonly)


class DevMem(Mapped):
    """Memory at a physical address, with the word of a region at its beginning.

    The mapping belongs to the process: no region knows of it, and it stays after the
    region is deleted or the module unloaded. Only `ready` shows that a tick took a
    value, and the mapping has no layout.
    """

    __slots__ = {"address": "Physical address of the memory."}

    address: int

    def __init__(self, address: int, size: int, *, readonly: bool = False) -> None:
        super().__init__(DEVICE, readonly)
        self.address = address
        with refusing(DEVICE, _open_remedy):
            # Not O_SYNC, which asks for uncached memory: the region's is not.
            file = FileIO(DEVICE, "rb" if readonly else "r+b")
        # The mapping has a descriptor of its own.
        with file, refusing(DEVICE, lambda number: _map_remedy(number, address, size)):
            self._map(file.fileno(), size, address)
        self._opened()

    def __reduce__(self) -> Any:
        self._check_open()
        return partial(DevMem, readonly=self._readonly), (self.address, self.size)

    def fileno(self) -> int:
        """Raise OSError: the mapping needs no descriptor."""
        raise OSError(errno.EBADF, "memory of /dev/mem has no descriptor", str(DEVICE))

    def __repr__(self) -> str:
        state = " closed" if self.closed else ""
        return f"<rtshm.DevMem {getattr(self, 'address', 0):#x}{state}>"


def _open_remedy(number: int | None) -> str | None:
    match number:
        case errno.ENOENT:
            return "the kernel was built without CONFIG_DEVMEM, or this is a container"
        case errno.EACCES:
            return "use sudo, outside of containers"
        case errno.EPERM if not _may_rawio():
            return "opening /dev/mem takes CAP_SYS_RAWIO: use sudo, outside of containers"
        case errno.EPERM:
            return _locked_down()
        case _:
            return None


def _may_rawio() -> bool:
    status = Path("/proc/self/status").read_text()
    effective = re.search(r"^CapEff:\s*([0-9a-f]+)$", status, re.MULTILINE)
    return effective is not None and bool(int(effective[1], 16) >> _CAP_SYS_RAWIO & 1)


def _locked_down() -> str:
    """CAP_SYS_RAWIO is there: what else refuses the open."""
    otherwise = "use the region's device node; or boot without lockdown=, and without Secure Boot"
    match lockdown():
        case "":
            return f"lockdown (see kernel_lockdown(7)), or the rules of a container: {otherwise}"
        case "none":
            return "the rules of a container or of a security module: use the region's device node"
        case mode:
            return f"lockdown: this kernel is locked down ({mode}): {otherwise}"


def _map_remedy(number: int | None, address: int, size: int) -> str | None:
    match number:
        case errno.EPERM:
            return _strict(address, size)
        case errno.EINVAL:
            return (
                f"{address:#x} is not a multiple of {mmap.PAGESIZE}, or the end of {size} bytes "
                "there is beyond the physical addresses of this machine"
            )
        case errno.EAGAIN:
            return f"somebody has memory at {address:#x} mapped otherwise: uncached, by O_SYNC"
        case _:
            return None


def _strict(address: int, size: int) -> str:
    """Which of two options of the kernel forbids a mapping."""
    end = address + size - 1
    holders = []
    for line in IOMEM.read_text().splitlines():
        # 20000000-201fffff : Reserved, with two blocks before each that is inside another.
        span, _, name = line.strip().partition(" : ")
        low, high = (int(number, 16) for number in span.split("-"))
        if low <= end and address <= high:
            holders.append(name)
    if "System RAM" in holders:
        return (
            f"STRICT_DEVMEM: there is RAM of the kernel's at {address:#x}: give the address of "
            "memory that was set aside at boot with memmap="
        )
    if holders:
        return (
            f"IO_STRICT_DEVMEM: a driver has memory at {address:#x} ({holders[-1]}): unload it, "
            "or boot with iomem=relaxed"
        )
    return (
        f"STRICT_DEVMEM or IO_STRICT_DEVMEM: the kernel or a driver has memory at {address:#x}: "
        f"see {IOMEM}"
    )
