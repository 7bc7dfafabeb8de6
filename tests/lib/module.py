"""Loading and unloading rtshm.ko, by the system calls themselves: their errno is exact."""

from __future__ import annotations

import ctypes
import mmap
import os
import re
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

    from rtshm.cli.diagnosis import Line

    from tests.lib.kmsg import KernelLog

CHECKOUT = Path(__file__).parents[2]
KO = Path(os.environ.get("RTSHM_KO", CHECKOUT / "rtshm.ko"))
# A task, and a driver that holds memory, for tests.
PROBE = CHECKOUT / "tests/probe/rtshm_probe.ko"
DEVICE = Path("/dev/rtshm/default")
PARAMETERS = Path("/sys/module/rtshm/parameters")

EVENTS = Path("/sys/kernel/tracing/events")

# Out of the kernel's tree, and not signed: what such a module does to any kernel, and no more.
TAINT = (1 << 12) | (1 << 13)

PERIOD_MIN_NS = 100_000

LOADED = f"rtshm: loaded: default has {mmap.PAGESIZE} bytes and a tick every 500000000 ns"
VALUE = "rtshm: default: shared mem=%d"
UNLOADED = re.compile(r"rtshm: unloaded after (\d+) ticks, (\d+) missed")

# How long a line may take to come before the test gives up, in seconds: three guests on two
# cpus, and what draws pictures imports for 20 s.
PATIENCE = 60.0
# The whole life of something that is at work during a test.
LIFETIME = 10 * PATIENCE

# x86-64 and arm64 (the generic table) differ.
_SYSCALLS = {"x86_64": (313, 176), "aarch64": (273, 106)}[os.uname().machine]
_libc = ctypes.CDLL(None, use_errno=True)


def _syscall(number: int, *args: object) -> None:
    if _libc.syscall(number, *args) < 0:
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code))


def kernel_version() -> tuple[int, ...]:
    """(7, 3) of 7.3-cloud-amd64."""
    return tuple(map(int, re.findall(r"\d+", os.uname().release)[:2]))


def is_loaded() -> bool:
    modules = Path("/proc/modules").read_text().splitlines()
    return any(line.startswith("rtshm ") for line in modules)


def load(**parameters: object) -> None:
    insert(KO, **parameters)


def unload() -> None:
    remove("rtshm")


def insert(path: Path, **parameters: object) -> None:
    """finit_module(2), as insmod does. Raises OSError."""
    text = " ".join(f"{name}={value}" for name, value in parameters.items())
    fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        _syscall(_SYSCALLS[0], fd, ctypes.c_char_p(text.encode()), 0)
    finally:
        os.close(fd)


def remove(name: str) -> None:
    """delete_module(2), as rmmod does. Raises OSError; EAGAIN while the module is in use."""
    _syscall(_SYSCALLS[1], ctypes.c_char_p(name.encode()), os.O_NONBLOCK)


# linux/capability.h
_CAPABILITY_VERSION_3 = 0x20080522
CAP_NET_ADMIN, CAP_SYS_RAWIO, CAP_SYS_NICE, CAP_SYS_RESOURCE = 12, 17, 23, 24


def drop_capability(capability: int) -> None:
    """Take a capability below 32 from this process, which stays root otherwise."""
    header = (ctypes.c_uint32 * 2)(_CAPABILITY_VERSION_3, 0)
    # Effective, permitted and inheritable, twice: the second three are those from 32 on.
    data = (ctypes.c_uint32 * 6)()
    if _libc.capget(header, data) < 0:
        raise OSError(ctypes.get_errno(), "capget")
    for index in range(3):
        data[index] &= ~(1 << capability)
    if _libc.capset(header, data) < 0:
        raise OSError(ctypes.get_errno(), "capset")


# linux/sched.h
CLONE_NEWTIME, CLONE_NEWNS, CLONE_NEWUSER, CLONE_NEWNET = 0x80, 0x2_0000, 0x1000_0000, 0x4000_0000


def unshare(flags: int) -> None:
    if _libc.unshare(flags) < 0:
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code))


def meminfo(name: str) -> int:
    """A figure of /proc/meminfo, in bytes."""
    match = re.search(rf"^{name}: +(\d+) kB", Path("/proc/meminfo").read_text(), re.MULTILINE)
    assert match
    return int(match[1]) * 1024


def available_bytes() -> int:
    """MemAvailable and what it leaves out: free pages in the lists that each cpu keeps.

    These lists take in and give out megabytes at a time, whatever is lost.
    """
    counts = re.findall(r"^ +count: +(\d+)$", Path("/proc/zoneinfo").read_text(), re.MULTILINE)
    assert counts
    return meminfo("MemAvailable") + sum(map(int, counts)) * mmap.PAGESIZE


def free_bytes() -> int:
    """Free pages, and those of them in the lists that each cpu keeps: of one look at both."""
    zones = Path("/proc/zoneinfo").read_text()
    counts = re.findall(r"^ +(?:pages free|count:) +(\d+)$", zones, re.MULTILINE)
    assert counts
    return sum(map(int, counts)) * mmap.PAGESIZE


def traces() -> dict[str, list[str]]:
    """Everything in the system that a loaded module shows up in."""
    walks = ["/dev", "/sys/class", "/sys/devices/virtual", "/sys/module", "/sys/dev/char"]
    found = {
        root: sorted(
            os.path.join(at, name)
            for at, dirs, files in os.walk(root)
            for name in dirs + files
            # Made by looking: this process's own terminals and descriptors.
            if not at.startswith(("/dev/pts", "/dev/fd"))
        )
        for root in walks
    }
    for listing in ("/proc/modules", "/proc/devices"):
        lines = Path(listing).read_text().splitlines()
        found[listing] = [line for line in lines if "rtshm" in line]
    found["events"] = sorted(entry.name for entry in EVENTS.iterdir())
    return found


def wait_line(lines: Iterator[Line], wanted: str | re.Pattern[str]) -> tuple[Line, list[Line]]:
    """The first line that is `wanted`, and the module's lines that came before it."""
    before: list[Line] = []
    for line in lines:
        if line.text == wanted if isinstance(wanted, str) else wanted.fullmatch(line.text):
            return line, before
        before.append(line)
    raise AssertionError(f"no line {wanted!r} within {PATIENCE} s; there were {before}")


def wait_value(log: KernelLog, value: int) -> list[Line]:
    """Wait for the log's line with `value`; the module's lines before it."""
    return wait_line(log.lines(PATIENCE), VALUE % value)[1]


def thread_of(name: str) -> int | None:
    """The pid of the thread of a region."""
    for comm in Path("/proc").glob("[0-9]*/comm"):
        try:
            if comm.read_text().rstrip("\n") == f"rtshm/{name}":
                return int(comm.parent.name)
        except (FileNotFoundError, ProcessLookupError):
            continue
    return None
