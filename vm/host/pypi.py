"""Packages of PyPI for the guest that Debian does not have: pure Python, and pinned."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from vm.host import cache
from vm.host.progress import run_logged, step

if TYPE_CHECKING:
    from pathlib import Path


def tree(wanted: str) -> Path:
    """A directory to put on Python's path, with the packages of the requirements file `wanted`."""

    def build(path: Path) -> None:
        requirements = path / "requirements.txt"
        requirements.write_text(wanted)
        log = cache.root() / "pypi.log"
        venv = path / "venv"
        install = ["install", "-q", "--no-deps", "--only-binary=:all:", "--require-hashes"]
        with step("getting packages of PyPI for the guest", "10 s"):
            run_logged([sys.executable, "-m", "venv", str(venv)], log, "venv")
            run_logged(
                [
                    *[str(venv / "bin/python"), "-m", "pip", *install],
                    *["--target", str(path / "packages"), "-r", str(requirements)],
                ],
                log,
                "pip",
            )
        cache.discard(venv)

    return cache.artefact("pypi", wanted, build) / "packages"
