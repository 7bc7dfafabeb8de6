"""The Vagrantfile, for the providers that it has settings for: nothing is started."""

from __future__ import annotations

import os
import shutil
import subprocess
from typing import TYPE_CHECKING

import pytest

from tests.vagrant.harness import FOLDER

if TYPE_CHECKING:
    from pathlib import Path

PROVIDERS = ("libvirt", "virtualbox")
# Debian has no VirtualBox: as much of it as Vagrant asks before it validates.
VBOXMANAGE = "#!/bin/sh\necho 7.0.20r163906\n"


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A copy of vagrant/."""
    stub = tmp_path / "bin/VBoxManage"
    stub.parent.mkdir()
    stub.write_text(VBOXMANAGE)
    stub.chmod(0o755)
    ignored = shutil.ignore_patterns(".vagrant")
    return shutil.copytree(FOLDER, tmp_path / "vagrant", ignore=ignored)


def validate(project: Path, provider: str, **more: str) -> subprocess.CompletedProcess[str]:
    environment = {
        "PATH": f"{project.parent / 'bin'}:{os.environ['PATH']}",
        "HOME": str(project.parent),
        "LC_ALL": "C.UTF-8",
        "VAGRANT_HOME": str(project.parent / "home"),
        "VAGRANT_CHECKPOINT_DISABLE": "1",
        "VAGRANT_DEFAULT_PROVIDER": provider,
    }
    return subprocess.run(
        ["vagrant", "validate"],
        cwd=project,
        env=environment | more,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )


@pytest.mark.promise("vagrant: Libvirt and VirtualBox get their settings")
@pytest.mark.parametrize("provider", PROVIDERS)
def test_settings_are_those_of_the_provider(project: Path, provider: str) -> None:
    done = validate(project, provider)
    assert done.returncode == 0, done.stdout


def test_settings_of_emulation_are_those_of_libvirt(project: Path) -> None:
    done = validate(project, "libvirt", RTSHM_DRIVER="qemu")
    assert done.returncode == 0, done.stdout


@pytest.mark.parametrize("provider", PROVIDERS)
def test_setting_that_the_provider_does_not_have_is_found(project: Path, provider: str) -> None:
    file = project / "Vagrantfile"
    text = file.read_text()
    assert f"{provider}.memory" in text
    file.write_text(text.replace(f"{provider}.memory", f"{provider}.memry"))
    done = validate(project, provider)
    assert done.returncode == 1
    assert "The following settings shouldn't exist: memry" in done.stdout
