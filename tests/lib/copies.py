"""Copies of the checkout, to change something in without touching the one being worked in."""

from __future__ import annotations

import shutil
import subprocess
from typing import TYPE_CHECKING

from tests.lib.payload import CHECKOUT
from vm.host import checkout

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

# What a machine and the module's build take.
PARTS = (
    *(".gitignore", "Kbuild", "Makefile", "pyproject.toml"),
    *("client", "kmod", "tests", "vm"),
)


def make(path: Path, files: Iterable[Path] | None = None) -> Path:
    """Make `path` a git checkout with these files of this one, or PARTS; nothing is committed."""
    subprocess.run(["git", "init", "-q", path], check=True)
    if files is None:
        files = [name for name in checkout.files(CHECKOUT) if name.parts[0] in PARTS]
    for name in files:
        (path / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(CHECKOUT / name, path / name, follow_symlinks=False)
    return path
