"""Boxes of the guest's suite for libvirt, made of Debian packages as the guest's disk is."""

from __future__ import annotations

import json
import os
import shlex
import struct
import subprocess
import tarfile
from dataclasses import dataclass
from pathlib import Path

from tests.lib.payload import CHECKOUT, TABLE
from vm.host import cache, debian, image
from vm.host.progress import step

HERE = Path(__file__).parent

# The box has no network, so it has what vagrant/provision.sh would install, and ccache.
PACKAGES = (
    *(CHECKOUT / "vagrant/packages").read_text(encoding="utf-8").split(),
    "apt",
    "ccache",
    "dpkg-dev",
    "grub-pc-bin",
    "initramfs-tools",
    "iproute2",
    "openssh-server",
    "procps",
    "rsync",
    "sudo",
    "systemd-sysv",
    "udev",
    "zstd",
)
# The newest kernel of the suite, with its headers.
KERNEL = ("linux-image-cloud-amd64", "linux-headers-cloud-amd64")
# One that the suite no longer has, of the last.
OLD_SUITE = "bookworm"
OLD_KERNEL = f"linux-image-cloud-amd64/{OLD_SUITE}"

# Before the kernel is installed: an initramfs with what stands between it and the disk.
INITRAMFS = """
mkdir -p "$1/etc/initramfs-tools/conf.d" "$1/usr/share/initramfs-tools/modules.d"
printf 'MODULES=list\\nFSTYPE=ext4\\n' >"$1/etc/initramfs-tools/conf.d/box"
printf 'virtio_pci\\nvirtio_blk\\next4\\n' >"$1/usr/share/initramfs-tools/modules.d/box"
"""
WITH_OLD = (
    f'sed -n "s/ {TABLE.space.suite} / {OLD_SUITE} /p" "$1/etc/apt/sources.list" '
    f'>"$1/etc/apt/sources.list.d/{OLD_SUITE}.list"'
)

SECTOR = 512
START = 2048
"""The first sector of the only partition; GRUB is before it."""


@dataclass(frozen=True, slots=True)
class Roots:
    """Roots made at one time, so that both have the same newest kernel."""

    path: Path

    @property
    def new(self) -> image.Root:
        """Runs the newest kernel and has its headers."""
        return image.Root(self.path / "new")

    @property
    def old(self) -> image.Root:
        """Runs an old kernel, whose headers are not to be had; the newest one is in /archive."""
        return image.Root(self.path / "old")


def roots(key: Path) -> Roots:
    """`key` is the public key that Vagrant knows."""
    hook = (HERE / "box.sh").read_text(encoding="utf-8")
    public = key.read_text(encoding="utf-8")

    def build(path: Path) -> None:
        later = " ".join(KERNEL)
        for name, kernel, variables, options in (
            ("new", KERNEL, "", ()),
            ("old", (OLD_KERNEL,), f"LATER={shlex.quote(later)}", (f"--setup-hook={WITH_OLD}",)),
        ):
            (path / name).mkdir()
            with step(f"making the Debian {TABLE.space.suite} root vagrant {name}", "2 minutes"):
                debian.make_tree(
                    path / name / "tree",
                    TABLE.space.suite,
                    (*PACKAGES, *kernel),
                    f"--essential-hook={INITRAMFS}",
                    *options,
                    f"--customize-hook=KEY={shlex.quote(str(key))} {variables}\n{hook}",
                    log=cache.root() / f"root-vagrant-{name}.log",
                    script=hook,
                )

    parts = [TABLE.space.suite, PACKAGES, KERNEL, OLD_KERNEL, INITRAMFS, WITH_OLD, hook, public]
    waiting = image.wait_line("roots of the boxes")
    parts.append(list(debian.MMDEBSTRAP))
    return Roots(cache.artefact("root-vagrant", parts, build, waiting=waiting))


def release(root: image.Root) -> str:
    """Of the kernel that the box boots first."""
    return (root.tree / "vmlinuz").readlink().name.removeprefix("vmlinuz-")


def disk(root: image.Root) -> Path:
    script = ["mount -t tmpfs none var/cache", "mount -t tmpfs none build"]
    name = f"vagrant-{root.path.name}"
    return image.disk(name, root, script, [str(root.path), script])


def write(root: image.Root, path: Path) -> Path:
    """A box for `vagrant box add`, in the directory `path`."""
    part = disk(root)
    raw = path / "box.raw"
    grub = root.tree / "usr/lib/grub/i386-pc/boot.img"
    with raw.open("wb") as file:
        file.write(first_sector(grub.read_bytes(), part.stat().st_size // SECTOR))
        file.write((root.tree / "boot/grub/core.img").read_bytes())
        assert file.tell() <= START * SECTOR
    copying = ["dd", f"if={part}", f"of={raw}", "bs=1M", "conv=sparse,notrunc", "status=none"]
    subprocess.run([*copying, f"seek={START * SECTOR // (1 << 20)}"], check=True)
    os.truncate(raw, START * SECTOR + part.stat().st_size)
    gigabytes = -(-raw.stat().st_size // (1 << 30))
    metadata = {"provider": "libvirt", "format": "qcow2", "virtual_size": gigabytes}
    (path / "metadata.json").write_text(json.dumps(metadata), encoding="utf-8")
    converting = ["qemu-img", "convert", "-O", "qcow2", str(raw), str(path / "box.img")]
    subprocess.run(converting, check=True)
    raw.unlink()
    with tarfile.open(path / "rtshm.box", "w") as tar:
        for name in ("metadata.json", "box.img"):
            tar.add(path / name, arcname=name)
            (path / name).unlink()
    return path / "rtshm.box"


def first_sector(boot: bytes, sectors: int) -> bytes:
    """GRUB's first stage, which loads the next from the second sector on, and one partition."""
    entry = struct.pack("<B3sB3sII", 0x80, b"\xfe\xff\xff", 0x83, b"\xfe\xff\xff", START, sectors)
    return boot[:440].ljust(446, b"\0") + entry.ljust(64, b"\0") + b"\x55\xaa"
