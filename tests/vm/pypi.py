"""Packages of PyPI for the guest that Debian does not have: of Python alone, and pinned."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from tests.vm import cache
from tests.vm.progress import run_logged, step

if TYPE_CHECKING:
    from pathlib import Path

REQUIREMENTS = """\
plotext==5.3.2 \
    --hash=sha256:394362349c1ddbf319548cfac17ca65e6d5dfc03200c40dfdc0503b3e95a2283
"""


def tree() -> Path:
    """A directory to put on Python's path, with the packages in it."""

    def build(path: Path) -> None:
        requirements = path / "requirements.txt"
        requirements.write_text(REQUIREMENTS)
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

    return cache.artefact("pypi", REQUIREMENTS, build) / "packages"
