"""libvirt and Vagrant in namespaces of their own, which end with all that is in them."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import time
from pathlib import Path
from typing import TYPE_CHECKING, Self

from vm.host.errors import HarnessError

if TYPE_CHECKING:
    from collections.abc import Mapping

START_SECONDS = 60.0
END_SECONDS = 20.0

# Bound over those of the host, which may have a libvirt of its own.
PLACES = ("etc/libvirt", "var/lib/libvirt", "var/cache/libvirt", "var/log/libvirt")
SETTINGS = {
    "libvirtd.conf": 'auth_unix_ro = "none"\nauth_unix_rw = "none"\n',
    # No manager of sessions, cgroups or log files, and one user.
    "qemu.conf": (
        'user = "root"\ngroup = "root"\ndynamic_ownership = 0\nremember_owner = 0\n'
        'security_driver = "none"\nnamespaces = []\ncgroup_controllers = []\n'
        'stdio_handler = "file"\n'
    ),
}
# The shell is init there: it takes in what daemons leave behind, as libvirt expects.
SCRIPT = """
set -e
mount -t tmpfs none /run
for place; do
    mkdir -p "/$place"
    mount --bind "$BELOW/$place" "/$place"
done
ip link set lo up
echo 1 >/proc/sys/net/ipv4/ip_forward
libvirtd &
wait
"""


class Namespaces:
    """Of processes, mounts and the network, with a libvirtd; all of its files are in `path`."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.devices = network_devices()
        for place in PLACES:
            (path / place).mkdir(parents=True)
        for name, text in SETTINGS.items():
            (path / "etc/libvirt" / name).write_text(text, encoding="utf-8")
        command = ["setpriv", "--pdeathsig", "KILL", "--"]
        command += ["unshare", "--mount", "--net", "--pid", "--fork", "--kill-child"]
        command += ["--mount-proc", "sh", "-c", SCRIPT, "sh", *PLACES]
        self.log = path / "libvirtd.log"
        with self.log.open("wb") as file:
            self.process = subprocess.Popen(
                command,
                env={**os.environ, "BELOW": str(path)},
                stdin=subprocess.DEVNULL,
                stdout=file,
                stderr=file,
                # Control-C at the terminal is for the harness, which then ends all of it.
                start_new_session=True,
            )
        try:
            self.init = self._started()
            self.ids = identities(self.init)
        except BaseException:
            self.process.kill()
            self.process.wait()
            raise

    def _started(self) -> int:
        """The process, as it is seen from here, that the others end with."""
        children = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children")
        end = time.monotonic() + START_SECONDS
        while time.monotonic() < end and self.process.poll() is None:
            for pid in children.read_text().split():
                if Path(f"/proc/{pid}/root/run/libvirt/libvirt-sock").exists():
                    return int(pid)
            time.sleep(0.1)
        raise HarnessError(f"{self.log.read_text()}\nlibvirtd did not start")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """End all processes; the namespaces go with the last."""
        if self.process.poll() is None:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.init, signal.SIGKILL)
            self.process.wait(END_SECONDS)

    def run(
        self, *command: str, environment: Mapping[str, str], log: Path, deadline: float
    ) -> tuple[int, str]:
        """The status of a command, and what it printed, which `log` gets as it comes."""
        entering = ["nsenter", "--target", str(self.init), "--mount", "--net", "--pid", "--"]
        with log.open("ab") as file:
            begin = file.tell()
            done = subprocess.run(
                [*entering, *command],
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=file,
                stderr=file,
                timeout=deadline,
                check=False,
            )
        return done.returncode, log.read_bytes()[begin:].decode(errors="replace")

    def processes(self) -> list[str]:
        """The names of those that are in any of the namespaces."""
        found = []
        for each in Path("/proc").iterdir():
            if each.name.isdecimal():
                # They come and go, and the host's init may be hidden.
                with contextlib.suppress(OSError):
                    if identities(int(each.name)) & self.ids:
                        found.append((each / "comm").read_text().strip())
        return sorted(found)

    def left(self) -> list[str]:
        """What of all this is on the host: nothing, after close()."""
        mounts = Path("/proc/self/mountinfo").read_text().splitlines()
        return [
            *(f"process {name}" for name in self.processes()),
            *(f"mount {line}" for line in mounts if str(self.path) in line),
            *(f"network device {name}" for name in network_devices() - self.devices),
        ]


def identities(pid: int) -> set[str]:
    """Names of the namespaces that a process is in."""
    return {os.readlink(f"/proc/{pid}/ns/{kind}") for kind in ("mnt", "net", "pid")}


def network_devices() -> set[str]:
    return set(os.listdir("/sys/class/net"))
