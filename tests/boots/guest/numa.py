"""Memory of regions on two nodes: `python3 -m tests.boots.guest.numa`.

A program, and no test of this suite: it takes a kernel with numa=fake=2, see
tests/boots/test_numa.py.
"""

from __future__ import annotations

import ctypes
import mmap
import os
import re
from pathlib import Path

import rtshm

from tests.lib import module

SIZE = 1 << 20
SET_MEMPOLICY = 238
MPOL_PREFERRED = 1


def node_of(cpu: int) -> int:
    (link,) = Path(f"/sys/devices/system/cpu/cpu{cpu}").glob("node*")
    return int(link.name.removeprefix("node"))


def pages(name: str) -> dict[int, int]:
    """How many pages of a region are on each node; all are mapped."""
    fd = os.open(f"/dev/rtshm/{name}", os.O_RDWR)
    with mmap.mmap(fd, SIZE) as memory:
        for at in range(0, SIZE, mmap.PAGESIZE):
            memory[at] = 1
        maps = Path("/proc/self/numa_maps").read_text()
    os.close(fd)
    (line,) = (line for line in maps.splitlines() if f"file=/dev/rtshm/{name} " in line)
    return {int(node): int(count) for node, count in re.findall(r" N(\d+)=(\d+)", line)}


def prefer(node: int) -> None:
    """Have this process, and the kernel for it, take memory from a node."""
    nodes = ctypes.c_ulong(1 << node)
    assert not ctypes.CDLL(None).syscall(SET_MEMPOLICY, MPOL_PREFERRED, ctypes.byref(nodes), 64)


def main() -> None:
    nodes = Path("/sys/devices/system/node/has_normal_memory").read_text()
    assert nodes == "0-1\n"
    module.load(print=0, period_ns=3_600_000_000_000)
    with rtshm.Control() as control:
        for cpu in (0, 1):
            # With numa=fake=2 all cpus may be on one node.
            prefer(1 - node_of(cpu))
            control.create(f"a{cpu}", size=SIZE, cpu=cpu)
            assert pages(f"a{cpu}") == {node_of(cpu): SIZE // mmap.PAGESIZE}
            control.delete(f"a{cpu}")
    module.unload()
    print("numa: passed")


if __name__ == "__main__":
    main()
