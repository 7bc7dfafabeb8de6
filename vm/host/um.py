"""User-mode Linux as a child process: a kernel that is a program of the host.

It needs neither KVM nor root. Its cpus are threads of the host, which run at once. The
kernel's serial lines are the ports of qemu.py, and its disks have other names: init.sh
links them to the names that a guest of QEMU has. There are no snapshots.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import socket
import subprocess
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from vm.host import debian, qemu
from vm.host.errors import HarnessError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from vm.host.kernels import Kernel

ACCELERATOR = "uml"
WHY = "a program of this host, a thread for each of its two cpus"

CPUS = 2

# seccomp: processes of the guest enter its kernel without ptrace, which cannot do more than
# one cpu. con0: the console is the standard output.
OPTIONS = (
    *("seccomp=on", "noreboot", "quiet"),
    *("con=null", "con0=fd:0,fd:1", "ssl=null", "console=tty0"),
)

# The guest's memory is a file without a name in this directory, or in the run's.
TMPFS = Path("/dev/shm")

GIB = 1 << 30


@dataclass
class Um:
    """A running kernel with its processes; the methods are those of qemu.Qemu."""

    process: subprocess.Popen[bytes]
    ports: dict[str, socket.socket]
    console: Path
    errors: Path
    work: Path
    pidfd: int = field(default=-1)

    def stop(self) -> None:
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGKILL)
        self.process.wait()
        assert self.process.stdin is not None
        self.process.stdin.close()
        if self.pidfd >= 0:
            os.close(self.pidfd)
            self.pidfd = -1

    def reason(self, lost: str) -> str:
        """The reason, with the panic's own words or the program's where there are any."""
        console = self.console.read_text(errors="replace").replace("\r", "")
        if panic := qemu.PANIC.search(console):
            return f"panic: {panic[1]}"
        complaint = self.errors.read_text(errors="replace").strip()
        return f"{lost}; user-mode Linux says: {complaint}" if complaint else lost

    def close(self) -> None:
        self.stop()
        for port in self.ports.values():
            port.close()
        shutil.rmtree(self.work, ignore_errors=True)


def check(kernel: Kernel, *, icount: bool, debugged: bool) -> None:
    """Refuse what only QEMU can do; HarnessError."""
    if icount:
        raise HarnessError(f"{kernel.name} runs by the host's clock: ICOUNT=1 is for QEMU")
    if debugged:
        raise HarnessError(f"{kernel.name} is a program of the host: GDB=1 is for QEMU")


def start(directory: Path, guest: qemu.Guest) -> Um:
    """Boot; the console goes to a file in `directory`."""
    console, errors = directory / "console.log", directory / "console.log.uml"
    # What the guest changes of its disk, and a socket.
    work = directory / "um"
    work.mkdir()
    ours: dict[str, socket.socket] = {}
    theirs: dict[str, socket.socket] = {}
    for port in qemu.PORTS:
        ours[port], theirs[port] = socket.socketpair()
    descriptors = {port: end.fileno() for port, end in theirs.items()}
    with console.open("wb") as out, errors.open("wb") as err:
        process = subprocess.Popen(
            [*contained(), *command_line(work, guest, descriptors)],
            # No input: a pipe because the kernel polls its console, and can poll no file.
            stdin=subprocess.PIPE,
            stdout=out,
            stderr=err,
            pass_fds=tuple(descriptors.values()),
            env={**os.environ, "TMPDIR": str(memory_directory(directory))},
            # Control-C is for the harness, which then stops the machine.
            start_new_session=True,
        )
    for end in theirs.values():
        end.close()
    return Um(process, ours, console, errors, work, os.pidfd_open(process.pid))


def contained() -> list[str]:
    """The beginning of a command line: what follows ends with the process that started it.

    A process of the guest is a process of the host and does not notice at once that its
    kernel was killed. In a pid namespace the host's kernel kills them all.
    """
    namespace = {
        "root": ["unshare"],
        "unshare": ["unshare", "--map-root-user"],
        # Without namespaces only the signal of the parent's death is left.
        "sudo": [],
    }[debian.privilege()]
    if namespace:
        namespace += ["--pid", "--fork", "--kill-child", "--"]
    with_parent = ["setpriv", "--pdeathsig", "KILL", "--"]
    # A panic ends in abort(), which would dump 1 GiB of core. The output goes through a pipe.
    piped = ["prlimit", "--core=0", "--", "sh", "-c", '"$@" | cat', "sh"]
    return [*with_parent, *namespace, *piped, *with_parent]


def command_line(work: Path, guest: qemu.Guest, descriptors: Mapping[str, int]) -> list[str]:
    command = [str(guest.boot.kernel), f"mem={guest.memory}", f"ncpus={CPUS}", *OPTIONS]
    command += [f"uml_dir={work}/", f"initrd={guest.boot.initrd}"]
    first, *others = guest.disks
    # c: no lock on the files, which a QEMU with the same disk would not accept; r: read-only.
    command += [f"ubd0c={work}/disk.cow,{first}"]
    command += [f"ubd{number}rc={disk}" for number, disk in enumerate(others, start=1)]
    command += [f"ssl{number}=fd:{descriptors[port]}" for number, port in enumerate(qemu.PORTS)]
    return [*command, *qemu.ANY_COMMAND_LINE.split(), *guest.arguments.split()]


def memory_directory(directory: Path) -> Path:
    """A directory with room for the guest's memory; from a disk's it would be written back."""
    with contextlib.suppress(OSError):
        if shutil.disk_usage(TMPFS).free > 2 * GIB:
            return TMPFS
    return directory
