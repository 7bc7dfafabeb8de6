"""C programs of the tests, compiled in the guest against the header of the checkout."""

from __future__ import annotations

import subprocess
from typing import TYPE_CHECKING

from tests.lib.module import CHECKOUT

if TYPE_CHECKING:
    from pathlib import Path


def compiled(source: Path, program: Path) -> Path:
    include = CHECKOUT / "kmod/include/uapi"
    flags = ["-O2", "-Wall", "-Werror", f"-I{include}", f"-I{program.parent}"]
    subprocess.run(["gcc", *flags, "-o", program, source], check=True)
    return program
