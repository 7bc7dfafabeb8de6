"""An initramfs of a few files: the kernel's `newc` cpio format, written directly."""

from __future__ import annotations

import stat
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

# What init.sh runs; `busybox --install` would make 400 links in every boot.
APPLETS = (
    "cat",
    "chroot",
    "cp",
    "date",
    "head",
    "insmod",
    "mkdir",
    "mkfifo",
    "mount",
    "switch_root",
    "tar",
)

# One `mount -a` for all; /dev is there already, and switch_root needs it below /root.
FSTAB = b"""\
/dev/vda /root ext4 ro,noatime 0 0
/dev /root/dev none bind 0 0
none /root/proc proc defaults 0 0
none /root/sys sysfs defaults 0 0
none /root/sys/kernel/tracing tracefs defaults 0 0
none /root/sys/kernel/debug debugfs defaults 0 0
none /root/run tmpfs mode=755 0 0
none /root/tmp tmpfs mode=1777 0 0
"""


def write(
    path: Path, *, init: bytes, busybox: bytes, modules: Sequence[Path], warm: Mapping[str, bytes]
) -> None:
    """Write an archive with /init, busybox, /modules/* and /warm/*, not compressed.

    Under emulation unpacking takes longer than reading.
    """
    entries: list[tuple[str, int, bytes]] = [
        (name, stat.S_IFDIR | 0o755, b"")
        for name in ("bin", "dev", "etc", "modules", "root", "warm")
    ]
    entries.append(("init", stat.S_IFREG | 0o755, init))
    entries.append(("bin/busybox", stat.S_IFREG | 0o755, busybox))
    entries.append(("etc/fstab", stat.S_IFREG | 0o644, FSTAB))
    for applet in APPLETS:
        entries.append((f"bin/{applet}", stat.S_IFLNK | 0o777, b"busybox"))
    for module in modules:
        entries.append((f"modules/{module.name}", stat.S_IFREG | 0o644, module.read_bytes()))
    for name, data in warm.items():
        entries.append((f"warm/{name}", stat.S_IFREG | 0o755, data))
    entries.append(("TRAILER!!!", 0, b""))
    with path.open("wb") as file:
        for inode, (name, mode, data) in enumerate(entries, start=1):
            # Documentation/driver-api/early-userspace/buffer-format.rst: ino, mode, uid,
            # gid, nlink, mtime, filesize, maj, min, rmaj, rmin, namesize, check.
            fields = (inode, mode, 0, 0, 1, 0, len(data), 0, 0, 0, 0, len(name) + 1, 0)
            header = b"070701" + b"".join(b"%08X" % field for field in fields)
            file.write(padded(header + name.encode() + b"\0"))
            file.write(padded(data))


def padded(data: bytes) -> bytes:
    return data + bytes(-len(data) % 4)
