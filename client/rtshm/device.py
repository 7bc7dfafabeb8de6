"""Device nodes of regions: how they are told from others, opened, and asked what they are."""

from __future__ import annotations

import errno
import fcntl
import os
import re
import stat
import struct
from collections.abc import Sequence
from dataclasses import dataclass
from io import FileIO
from pathlib import Path

from rtshm.errors import (
    OTHER_RELEASE,
    IncompatibleError,
    deleted,
    refused,
    refusing,
    region_remedy,
    samples_remedy,
)
from rtshm.paths import DEVICES

SAMPLES = ".samples"

# struct rtshm_info, and _IOR('r', 0x81, struct rtshm_info).
_INFO = struct.Struct("=32sIIQQ1024s")
_IOC_INFO = 2 << 30 | _INFO.size << 16 | ord("r") << 8 | 0x81
_IOC_KICK = ord("r") << 8 | 0x82

KICKLESS = 'the region has a period; make one with the period "none" to kick it'


@dataclass(frozen=True, slots=True)
class NodeInfo:
    """What the descriptor of a node belongs to."""

    name: str
    id: int
    sample_bytes: int
    """0: the region keeps no history."""
    size: int
    period_ns: int
    layout: str


def node_path(name: str | os.PathLike[str], suffix: str = "") -> Path:
    """Return the node of a region, by its name or by a path with a slash in it."""
    path = os.fsdecode(name)
    return Path(path) if "/" in path else DEVICES / f"{path}{suffix}"


def once(names: Sequence[str]) -> Sequence[str]:
    """Return the names of regions. Raise ValueError if one is there twice."""
    if len({*names}) < len(names):
        raise ValueError(f"{', '.join(names)}: name each region once")
    return names


def open_node(path: Path, *, readonly: bool) -> FileIO:
    """Open the node of a region, or of its samples. Raise OSError with the remedy."""
    remedy = samples_remedy if path.suffix == SAMPLES else region_remedy
    with refusing(path, lambda number: remedy(number, path)):
        # Before the open, which of another device may already do harm; and after it,
        # should the path be another by then.
        _check(os.stat(path), path)
        file = FileIO(os.fspath(path), "rb" if readonly else "r+b")
        try:
            _check(os.fstat(file.fileno()), path)
        except BaseException:
            file.close()
            raise
        return file


def node_info(fd: int, path: Path) -> NodeInfo:
    """Ask the kernel what a descriptor belongs to."""
    answer = bytearray(_INFO.size)
    try:
        fcntl.ioctl(fd, _IOC_INFO, answer)
    except OSError as error:
        if error.errno == errno.ENOTTY:
            raise IncompatibleError(
                errno.ENOTTY,
                "the module that is loaded is older than this package",
                path,
                OTHER_RELEASE,
            ) from None
        raise refused(error, path, None) from None
    name, number, sample_bytes, size, period_ns, layout = _INFO.unpack(answer)
    return NodeInfo(_text(name), number, sample_bytes, size, period_ns, _text(layout))


def kick(fd: int, path: Path) -> None:
    """Have a region tick now."""
    try:
        fcntl.ioctl(fd, _IOC_KICK)
    except OSError as error:
        if error.errno == errno.ENODEV:
            raise deleted(path, "nothing ticks it any more") from None
        raise refused(error, path, KICKLESS if error.errno == errno.EINVAL else None) from None


def _text(padded: bytes) -> str:
    # The kernel does not look into a layout, and it need not be UTF-8.
    return padded.rstrip(b"\0").decode(errors="backslashreplace")


def _check(status: os.stat_result, path: Path) -> None:
    """Raise ENODEV for all but the module's own devices: anything else is not to be written to."""
    samples = path.suffix == SAMPLES
    if stat.S_ISCHR(status.st_mode):
        device = Path("/sys/dev/char", f"{os.major(status.st_rdev)}:{os.minor(status.st_rdev)}")
        if device.exists():
            # Samples have a dot in the name of their device, and regions none.
            mine = Path(device, "subsystem").resolve().name == "rtshm"
            if mine and bool(device.resolve().suffix) is samples:
                return
        elif not device.parent.exists() and _is_ours(os.major(status.st_rdev)):
            return
    raise OSError(errno.ENODEV, os.strerror(errno.ENODEV))


def _is_ours(major: int) -> bool:
    """Without sysfs, as in a jail: /proc tells, and if it does not either, who named the path."""
    try:
        devices = Path("/proc/devices").read_text(encoding="ascii")
    except OSError:
        return True
    return bool(re.search(rf"^ *{major} rtshm$", devices, re.MULTILINE))
