"""Vagrant as a user of this checkout types it, with a home and a libvirt of its own."""

from __future__ import annotations

import os
import re
import shutil
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from tests.lib import deb
from tests.lib.payload import CHECKOUT, TABLE
from tests.vagrant import box, namespaces
from vm.host import accel, cache, image
from vm.host.errors import HarnessError
from vm.host.progress import say, step

if TYPE_CHECKING:
    from collections.abc import Iterator

FOLDER = CHECKOUT / "vagrant"
LOG = "vagrant.log"

# Of any command, in seconds; up takes minutes where the processor is emulated.
DEADLINE = 1800.0
TAIL_LINES = 40
# Emulated, on a processor of its own.
USUAL = {"up": "5 minutes", "reload": "2 minutes"}

# Vagrant reads this before the Vagrantfile of the checkout. The compiler of the box looks
# in that folder for what was compiled here (box.sh); a key of the machine's own is
# Vagrant's affair, and a minute under emulation.
HOME_VAGRANTFILE = """\
Vagrant.configure("2") do |config|
  config.ssh.insert_key = false
  config.vm.synced_folder "{objects}", "/var/cache/ccache", type: "rsync"
end
"""


class Vagrant:
    """The command `vagrant`, in namespaces where libvirt runs."""

    def __init__(self, inside: namespaces.Namespaces, path: Path, log: Path) -> None:
        self.inside = inside
        self.log = log
        self.environment = {
            "PATH": os.environ["PATH"],
            "HOME": str(path),
            "LC_ALL": "C.UTF-8",
            "VAGRANT_CWD": str(FOLDER),
            "VAGRANT_HOME": str(path / "home"),
            "VAGRANT_DOTFILE_PATH": str(path / "machine"),
            "VAGRANT_CHECKPOINT_DISABLE": "1",
            "VAGRANT_DEFAULT_PROVIDER": "libvirt",
        }
        if not kvm():
            self.environment["RTSHM_DRIVER"] = "qemu"

    def __call__(self, *arguments: str, status: int = 0) -> str:
        """What it prints; an AssertionError with the end of it if the status is another."""
        usual = USUAL.get(arguments[0], "10 s")
        with step(f"vagrant {' '.join(arguments)}", usual):
            done, text = self.inside.run(
                "vagrant", *arguments, environment=self.environment, log=self.log, deadline=DEADLINE
            )
        # Where there is no terminal it writes its progress all the same.
        text = re.sub(r".*Progress: .*\n?|\033\[K", "", text.replace("\r", "\n"))
        tail = "\n".join(text.splitlines()[-TAIL_LINES:])
        assert done == status, f"{tail}\nvagrant {arguments[0]}: status {done}; log: {self.log}"
        return text

    def ssh(self, command: str) -> str:
        """What a command of the ordinary user prints in the machine."""
        return self("ssh", "--no-tty", "-c", command)

    def domains(self) -> str:
        """The machines that libvirt knows, running or not."""
        command = ("virsh", "-q", "-c", "qemu:///system", "list", "--all", "--name")
        status, text = self.inside.run(
            *command, environment=self.environment, log=self.log, deadline=60
        )
        assert status == 0, text
        return text.strip()


def kvm() -> bool:
    accelerator, _ = accel.choose(image.boot_files(TABLE, TABLE[""]))
    return accelerator == "kvm"


@contextmanager
def machine(kind: str) -> Iterator[Vagrant]:
    """Vagrant with the box `new` or `old`; at the end all that it started is gone."""
    if os.geteuid() != 0:
        raise HarnessError("a libvirt in namespaces of its own takes root: sudo make test-vagrant")
    roots = box.roots(known_key())
    root = {"new": roots.new, "old": roots.old}[kind]
    versions = (deb.version(CHECKOUT),)
    objects = deb.objects(roots.new, box.release(roots.new), CHECKOUT, versions)
    log = cache.root() / f"vagrant-{kind}.log"
    with folder() as path:
        log.unlink(missing_ok=True)
        (path / "home").mkdir()
        (path / "home/Vagrantfile").write_text(HOME_VAGRANTFILE.format(objects=objects))
        inside = namespaces.Namespaces(path / "libvirt")
        try:
            vagrant = Vagrant(inside, path, log)
            with step(f"making the box {kind}", "20 s"):
                made = box.write(root, path)
            vagrant("box", "add", "--name", f"rtshm-{kind}", str(made))
            made.unlink()
            vagrant.environment["RTSHM_BOX"] = f"rtshm-{kind}"
            yield vagrant
        finally:
            shutil.copy(inside.log, log.with_suffix(".libvirtd.log"))
            inside.close()
        assert inside.left() == []
        say(f"nothing is left of libvirt, the machine or their namespaces; log: {log}")


@contextmanager
def folder() -> Iterator[Path]:
    """Of one run at a time: 3 GB, which a run that was killed leaves to the next."""
    path = cache.root() / "vagrant"
    waiting = image.wait_line("machine of Vagrant's")
    with cache.locked(cache.root() / "locks/vagrant", waiting=waiting):
        cache.discard(path)
        path.mkdir()
        try:
            yield path
        finally:
            cache.discard(path)


def known_key() -> Path:
    """The public key that Vagrant first tries, and then replaces."""
    (key,) = Path("/usr/share/rubygems-integration/all/gems").glob(
        "vagrant-[0-9]*/keys/vagrant.pub"
    )
    return key
