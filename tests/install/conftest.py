"""A machine that the packages are installed on: nothing here is of the checkout but the tests."""

from __future__ import annotations

import os
import subprocess
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.install import installed

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture(scope="session", autouse=True)
def udev() -> Iterator[None]:
    """udevd, as a machine that was booted has it; it has seen no device yet."""
    daemon = subprocess.Popen(["/usr/lib/systemd/systemd-udevd"], env=installed.ENVIRONMENT)
    while not Path("/run/udev/control").exists():
        assert daemon.poll() is None
        time.sleep(0.1)
    yield
    daemon.terminate()
    daemon.wait()


@pytest.fixture(scope="session", autouse=True)
def depmod(udev: None) -> None:
    """What a machine has before anything is installed through DKMS: a kernel with a module.

    Without one DKMS takes the kernel for one that is gone, removes what depmod made with the
    last module, and does not make it again.
    """
    installed.run("install", "-D", "-t", installed.KO.parents[2] / "kernel", installed.OTHER_KO)
    installed.run("depmod")
    installed.run("dkms", "generate_mok")


@pytest.fixture(scope="module")
def before(depmod: None) -> Iterator[installed.Tree]:
    """All files, before anything of rtshm's was installed; the group goes after the module."""
    assert not [name for name in os.listdir("/usr/src") if name.startswith("rtshm")]
    books = {path: path.read_bytes() for path in installed.GROUPS if path.exists()}
    yield installed.tree()
    for path, data in books.items():
        path.write_bytes(data)
