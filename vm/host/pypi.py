"""Wheels of PyPI for the guest that Debian does not have, pinned by their hashes."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from vm.host import cache
from vm.host.progress import run_logged, step

if TYPE_CHECKING:
    from pathlib import Path

    from vm.host.processor import Processor


def tree(wanted: str, version: str, processor: Processor) -> Path:
    """A directory to put on Python's path, with the packages of the requirements file `wanted`.

    `version` is that of the guest's Python: 3.13. `wanted` has the hashes of each processor's.
    """

    platforms = processor.wheels

    def build(path: Path) -> None:
        requirements = path / "requirements.txt"
        requirements.write_text(wanted)
        log = cache.root() / "pypi.log"
        venv = path / "venv"
        install = ["install", "-q", "--no-deps", "--only-binary=:all:", "--require-hashes"]
        install += [f"--python-version={version}", *(f"--platform={each}" for each in platforms)]
        with step("getting packages of PyPI for the guest", "20 s"):
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

    return cache.artefact("pypi", [wanted, version, *platforms], build) / "packages"
