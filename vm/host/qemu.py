"""QEMU as a child process: its command line, its ports, its end."""

from __future__ import annotations

import os
import re
import shutil
import signal
import socket
import subprocess
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from vm.host.errors import HarnessError
from vm.host.processor import X86

if TYPE_CHECKING:
    from collections.abc import Mapping

    from vm.host.image import Boot
    from vm.host.processor import Processor

QEMU = X86.qemu

# In the order of their numbers in the guest: /dev/vport0p1 and so on. It is vport0
# because the serial device comes before all other virtio devices.
PORTS = ("status", "log", "stdout", "stderr", "terminal")

# QEMU's own port, which speaks QMP.
MONITOR = "monitor"

MEMORY = "1G"

# loglevel=5: warnings and worse go to the console as they come. The rest costs a
# serial line's time under emulation and comes through the log port; what of it
# a panic holds back, panic_print=0x20 prints.
ANY_COMMAND_LINE = (
    "loglevel=5 panic_on_warn=1 oops=panic panic=-1 panic_print=0x20 cryptomgr.notests rdinit=/init"
)

# What a kernel is told for the sake of speed. A retpoline ends a block of what TCG has
# translated at each indirect call: without them, what runs takes two thirds of the time.
# Under ICOUNT instructions are counted, and a kernel has those of its users.
QUICKER = {"tcg": "mitigations=off"}

ACCELERATORS = {
    "kvm": ["-accel", "kvm"],
    # With a thread per CPU a CPU may go on running code that another has patched: "Oops:
    # int3" in a static branch that was long switched. So do kernels of our own, which have
    # no static branches, at the static call of a trace event that is switched. One thread
    # for both boots no slower.
    "tcg": ["-accel", "tcg,thread=single"],
    # Virtual time is instructions executed: what the host does is no longer seen.
    "icount": ["-accel", "tcg,thread=single", "-icount", "shift=1,sleep=off"],
}


PANIC = re.compile(r"Kernel panic - not syncing: (.*)")


@dataclass(frozen=True, slots=True)
class Guest:
    """What a machine is made of: raw disks, which are vda, vdb, a kernel's arguments, memory.

    The arguments come behind those that all have.
    """

    boot: Boot
    accelerator: str
    disks: tuple[Path, ...] = ()
    arguments: str = ""
    memory: str = MEMORY
    gdb: Path | None = None
    """A socket, where QEMU serves a debugger."""


@dataclass(frozen=True, slots=True)
class Ram:
    """The guest's memory in a file: to be filled by a boot, or `saved` by an earlier one."""

    path: Path
    saved: bool


@dataclass
class Qemu:
    """A running QEMU; `stop` ends it on every path."""

    process: subprocess.Popen[bytes]
    ports: dict[str, socket.socket]
    monitor: socket.socket
    console: Path
    errors: Path
    pidfd: int = field(default=-1)

    def stop(self) -> None:
        """Switch off. Nothing in the machine is worth keeping, so no shutdown."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGKILL)
        self.process.wait()
        # A QEMU that is killed early has not unlinked them yet.
        for path in self.console.parent.glob("vl.*"):
            path.unlink(missing_ok=True)
        if self.pidfd >= 0:
            os.close(self.pidfd)
            self.pidfd = -1

    def reason(self, lost: str) -> str:
        """The reason, with the panic's own words or QEMU's where there are any."""
        console = self.console.read_text(errors="replace").replace("\r", "")
        if panic := PANIC.search(console):
            return f"panic: {panic[1]}"
        complaint = self.errors.read_text(errors="replace").strip()
        return f"{lost}; QEMU says: {complaint}" if complaint else lost

    def close(self) -> None:
        self.stop()
        for port in (self.monitor, *self.ports.values()):
            port.close()


def binary(processor: Processor = X86) -> Path:
    return Path(shutil.which(processor.qemu) or processor.qemu)


def identity(path: Path) -> list[object]:
    """Tells a file from another one, also from one of the same name and version."""
    status = path.stat()
    return [str(path), status.st_ino, status.st_mtime_ns, status.st_size]


def start(
    directory: Path, guest: Guest, *, name: str = "console.log", ram: Ram | None = None
) -> Qemu:
    """Boot; the console goes to a file in `directory`.

    With a `ram` that was saved nothing boots: see snapshot.py.
    """
    processor = guest.boot.processor
    if not shutil.which(processor.qemu):
        raise HarnessError(
            f"there is no {processor.qemu}; remedy: apt-get install qemu-system-"
            f"{'arm' if processor.foreign else 'x86'}"
        )
    console = directory / name
    errors = directory / f"{name}.qemu"
    ours: dict[str, socket.socket] = {}
    theirs: dict[str, socket.socket] = {}
    for port in (MONITOR, *PORTS):
        ours[port], theirs[port] = socket.socketpair()
    descriptors = {port: end.fileno() for port, end in theirs.items()}
    command = command_line(guest, console, descriptors, ram)
    with errors.open("wb") as file:
        process = subprocess.Popen(
            # With its parent QEMU goes, too, however the parent ends.
            ["setpriv", "--pdeathsig", "KILL", "--", *command],
            stdin=subprocess.DEVNULL,
            stdout=file,
            stderr=file,
            pass_fds=list(descriptors.values()),
            # For what the guest writes to its disks.
            env={**os.environ, "TMPDIR": str(directory)},
            # Control-C at the terminal is for the harness, which then stops QEMU.
            start_new_session=True,
        )
    for end in theirs.values():
        end.close()
    monitor = ours.pop(MONITOR)
    return Qemu(process, ours, monitor, console, errors, os.pidfd_open(process.pid))


def acceleration(accelerator: str, processor: Processor = X86) -> list[str]:
    """QEMU's options for an accelerator and the processor that the guest sees."""
    return [*ACCELERATORS[accelerator], "-cpu", "host" if accelerator == "kvm" else processor.cpu]


def command_line(
    guest: Guest, console: Path, descriptors: Mapping[str, int], ram: Ram | None = None
) -> list[str]:
    accelerator, processor = guest.accelerator, guest.boot.processor
    command = [processor.qemu, "-nodefaults", "-no-user-config", "-display", "none", "-no-reboot"]
    command += ["-M", processor.machine, "-m", guest.memory]
    command += ["-smp", "1" if accelerator == "icount" else "2"]
    command += acceleration(accelerator, processor)
    if ram is not None:
        # Saved: private, so that what the guest writes stays in this QEMU.
        how = "share=off" if ram.saved else "share=on"
        backend = f"memory-backend-file,id=ram,size={guest.memory},mem-path={ram.path},{how}"
        command += ["-object", backend, "-machine", "memory-backend=ram"]
        command += ["-incoming", "defer"] if ram.saved else []
    command += ["-kernel", str(guest.boot.kernel), "-initrd", str(guest.boot.initrd)]
    arguments = (ANY_COMMAND_LINE, QUICKER.get(accelerator, ""), guest.arguments)
    command += ["-append", " ".join(filter(None, (f"console={processor.console}", *arguments)))]
    command += ["-chardev", f"file,id=console,path={console}", "-serial", "chardev:console"]
    command += ["-chardev", f"socket,id={MONITOR},fd={descriptors[MONITOR]}"]
    command += ["-mon", f"chardev={MONITOR},mode=control"]
    if guest.gdb is not None:
        command += ["-gdb", f"unix:{guest.gdb},server=on,wait=off"]
    command += ["-device", "virtio-serial-pci"]
    for number, disk in enumerate(guest.disks):
        # snapshot=on: what the guest writes goes to a temporary file of this QEMU.
        command += ["-drive", f"if=none,id=disk{number},format=raw,snapshot=on,file={disk}"]
        command += ["-device", f"virtio-blk-pci,drive=disk{number}"]
    for number, port in enumerate(PORTS, start=1):
        command += ["-chardev", f"socket,id={port},fd={descriptors[port]}"]
        command += ["-device", f"virtserialport,nr={number},chardev={port}"]
    return command
