"""A checkout to run machines on that is not the one being worked in."""

from __future__ import annotations

import subprocess
from typing import TYPE_CHECKING

import pytest

from tests.lib import copies

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture(scope="session")
def copy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A git checkout with the module, the harness, and nothing committed.

    `new file` is untracked, `ignored` is ignored, `gone` is in the index and not on
    disk, `link` is a symbolic link and `tool` is executable.
    """
    path = copies.make(tmp_path_factory.mktemp("check out"))
    (path / "gone").touch()
    subprocess.run(["git", "-C", path, "add", "--all"], check=True)
    (path / "gone").unlink()
    (path / "new file").write_text("untracked\n")
    (path / "link").symlink_to("new file")
    (path / "tool").write_text("#!/bin/sh\necho tool\n")
    (path / "tool").chmod(0o700)
    (path / "ignored").touch()
    with (path / ".gitignore").open("a") as file:
        file.write("ignored\n")
    return path
