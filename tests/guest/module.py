"""Loading and unloading rtshm.ko, by the system calls themselves: their errno is exact."""

from __future__ import annotations

import ctypes
import os
import re
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

    from rtshm.kmsg import KernelLog, Line

CHECKOUT = Path(__file__).parents[2]
KO = CHECKOUT / "rtshm.ko"
DEVICE = Path("/dev/rtshm/default")
PARAMETERS = Path("/sys/module/rtshm/parameters")

PERIOD_MIN_NS = 100_000

LOADED = "rtshm: loaded: default has 4096 bytes and a tick every 500000000 ns"
VALUE = "rtshm: default: shared mem=%d"
UNLOADED = re.compile(r"rtshm: unloaded after (\d+) ticks, (\d+) missed")

# How long a line may take to come before the test gives up, in seconds.
PATIENCE = 20.0

# x86-64 and arm64 (the generic table) differ.
_SYSCALLS = {"x86_64": (313, 176), "aarch64": (273, 106)}[os.uname().machine]
_libc = ctypes.CDLL(None, use_errno=True)


def _syscall(number: int, *args: object) -> None:
    if _libc.syscall(number, *args) < 0:
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code))


def is_loaded() -> bool:
    modules = Path("/proc/modules").read_text().splitlines()
    return any(line.startswith("rtshm ") for line in modules)


def load(**parameters: object) -> None:
    """finit_module(2), as insmod does. Raises OSError."""
    text = " ".join(f"{name}={value}" for name, value in parameters.items())
    fd = os.open(KO, os.O_RDONLY | os.O_CLOEXEC)
    try:
        _syscall(_SYSCALLS[0], fd, ctypes.c_char_p(text.encode()), 0)
    finally:
        os.close(fd)


def unload() -> None:
    """delete_module(2), as rmmod does. Raises OSError; EAGAIN while the module is in use."""
    _syscall(_SYSCALLS[1], ctypes.c_char_p(b"rtshm"), os.O_NONBLOCK)


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
