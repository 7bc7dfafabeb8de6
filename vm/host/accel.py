"""Which accelerator works here, found by booting: /dev/kvm may open and yet run no guest."""

from __future__ import annotations

import os
import selectors
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

from vm.host import cache, qemu

if TYPE_CHECKING:
    from vm.host.image import Boot

# A guest that KVM runs writes to its console at once and reaches the initramfs in a
# second or two; one that KVM cannot run leaves QEMU paused without a word.
FIRST_BYTE_SECONDS = 4.0
INITRAMFS_SECONDS = 20.0


def choose(boot: Boot) -> tuple[str, str]:
    """The accelerator, `kvm` or `tcg`, and why, in a few words.

    A probe's result holds for this boot of the host and this QEMU.
    """
    if boot.processor.foreign:
        return "tcg", "another processor than this machine's"
    device = Path("/dev/kvm")
    if not device.exists():
        return "tcg", "no /dev/kvm"
    if not os.access(device, os.R_OK | os.W_OK):
        return "tcg", "no permission for /dev/kvm"
    boot_id = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    result = cache.root() / "accel" / cache.key(boot_id, qemu.identity(qemu.binary()))
    if not result.exists():
        works = probe(boot)
        result.parent.mkdir(parents=True, exist_ok=True)
        partial = result.with_suffix(f".{os.getpid()}")
        partial.write_text("kvm" if works else "tcg")
        partial.rename(result)
    if result.read_text() == "kvm":
        return "kvm", "a probe booted"
    return "tcg", "KVM runs no guest here: the processor is emulated"


def probe(boot: Boot) -> bool:
    with tempfile.TemporaryDirectory() as directory:
        machine = qemu.start(Path(directory), qemu.Guest(boot, "kvm"), name="probe.log")
        try:
            return reaches_initramfs(machine)
        finally:
            machine.close()


def reaches_initramfs(machine: qemu.Qemu) -> bool:
    begin = time.monotonic()
    with selectors.DefaultSelector() as selector:
        selector.register(machine.ports["status"], selectors.EVENT_READ)
        while machine.process.poll() is None:
            if selector.select(timeout=0.1):
                return bool(machine.ports["status"].recv(64))
            elapsed = time.monotonic() - begin
            silent = not machine.console.exists() or machine.console.stat().st_size == 0
            if elapsed > (FIRST_BYTE_SECONDS if silent else INITRAMFS_SECONDS):
                return False
    return False
