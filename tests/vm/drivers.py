"""The stress drivers of a checkout, tests/stress/*.c, as a program for the guest.

Compiled in the root that the guest's disk is made of: what takes a second here
takes a guest under emulation a minute.
"""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

from tests.vm import cache, debian, image
from tests.vm.errors import HarnessError

if TYPE_CHECKING:
    from tests.vm.kernels import Table

FOLDER = Path("tests/stress")
PROGRAM = f"{FOLDER}/stress"
HEADERS = Path("kmod/include/uapi")
FLAGS = ("-O1", "-Wall", "-Werror")


def program(table: Table, source: Path) -> dict[str, bytes]:
    """The program by its place in the checkout; nothing if the checkout has no drivers."""
    files = sorted([*(source / FOLDER).glob("*.[ch]"), *(source / HEADERS).glob("linux/*.h")])
    if not (source / FOLDER / "stress.c").exists():
        return {}
    root = image.root(table, image.GUEST_SUITE)
    texts = {str(path.relative_to(source)): path.read_text(encoding="utf-8") for path in files}

    def build(path: Path) -> None:
        for name, text in texts.items():
            (path / name).parent.mkdir(parents=True, exist_ok=True)
            (path / name).write_text(text, encoding="utf-8")
        sources = [f"/build/{name}" for name in texts if name.endswith(".c")]
        command = ["gcc", *FLAGS, "-I", f"/build/{HEADERS}", "-o", "/build/stress", *sources]
        done = subprocess.run(
            debian.inside(root.tree, command, binds={path: "/build"}),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            check=False,
        )
        if done.returncode != 0:
            text = done.stdout.decode(errors="replace").replace("/build/", "")
            raise HarnessError(f"{text}\n{FOLDER}: status {done.returncode}")

    made = cache.artefact("drivers", [root.path.name, texts, FLAGS], build)
    return {PROGRAM: (made / "stress").read_bytes()}
