"""A checkout of the example project, to run machines on."""

from __future__ import annotations

import shutil
import signal
import subprocess
from pathlib import Path

import pytest

from vm.host import interrupt

VM = Path(__file__).parents[1]
EXAMPLE = VM / "tests/example"
PYTHON = shutil.ignore_patterns("__pycache__")


@pytest.hookimpl(tryfirst=True)
def pytest_collection() -> None:
    interrupt.once(signal.SIGINT)


@pytest.fixture(scope="session")
def copy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A git checkout with the example project, the machine, and nothing committed.

    `new file` is untracked, `ignored` is ignored, `gone` is in the index and not on
    disk, `link` is a symbolic link and `tool` is executable.
    """
    path = tmp_path_factory.mktemp("check out")
    shutil.copytree(EXAMPLE, path, dirs_exist_ok=True, ignore=PYTHON)
    for name in ("host", "guest", "configs"):
        shutil.copytree(VM / name, path / "vm" / name, ignore=PYTHON)
    for file in VM.iterdir():
        if file.is_file():
            shutil.copy(file, path / "vm")
    (path / ".gitignore").write_text("__pycache__/\nignored\n")
    (path / "gone").touch()
    subprocess.run(["git", "init", "-q", path], check=True)
    subprocess.run(["git", "-C", path, "add", "--all"], check=True)
    (path / "gone").unlink()
    (path / "new file").write_text("untracked\n")
    (path / "link").symlink_to("new file")
    (path / "tool").write_text("#!/bin/sh\necho tool\n")
    (path / "tool").chmod(0o700)
    (path / "ignored").touch()
    return path
