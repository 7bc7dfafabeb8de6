"""The client's bytecode, compiled by the guest's Python in the root its disk is made of.

To compile 40 modules takes a guest under emulation two seconds, in each run.
"""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

from tests.vm import cache, debian, image
from tests.vm.errors import HarnessError

if TYPE_CHECKING:
    from tests.vm.kernels import Table

# Checkouts in use at once, and the last edits of each.
KEEP = 16
FOLDER = Path("client/rtshm")

# By the source's hash and not by its time, so that no change can go unseen.
COMPILE = ("python3", "-m", "compileall", "-q", "--invalidation-mode", "checked-hash", "/build")


def compiled(table: Table, source: Path) -> dict[str, bytes]:
    """The bytecode files by their places in the checkout."""
    root = image.root(table, image.GUEST_SUITE)
    texts = {
        str(path.relative_to(source / FOLDER)): path.read_text(encoding="utf-8")
        for path in sorted((source / FOLDER).rglob("*.py"))
    }

    def build(path: Path) -> None:
        for name, text in texts.items():
            (path / name).parent.mkdir(parents=True, exist_ok=True)
            (path / name).write_text(text, encoding="utf-8")
        command = debian.inside(root.tree, COMPILE, binds={path: "/build"})
        done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, check=False)
        # A module that does not compile says so where it is imported; the others did.
        if done.returncode and not [*path.rglob("*.pyc")]:
            raise HarnessError(f"{FOLDER}: {done.stderr.decode(errors='replace').strip()}")

    made = cache.artefact("bytecode", [root.path.name, texts, COMPILE], build, keep=KEEP)
    return {
        str(FOLDER / path.relative_to(made)): path.read_bytes()
        for path in sorted(made.rglob("*.pyc"))
    }
