"""What a checkout has in C for the guest: the client's, the stress drivers, and bench/'s.

Compiled in the root that the guest's disk is made of: what takes a second here
takes a guest under emulation a minute.
"""

from __future__ import annotations

import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from tests.vm import cache, debian, image
from tests.vm.errors import HarnessError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tests.vm.kernels import Table

HEADERS = Path("kmod/include/uapi")
CC = ("gcc", "-O1", "-Wall", "-Werror", "-I", f"/build/{HEADERS}")
# As setuptools builds it; the headers are in a folder named after Python's version.
EXTENSION = (
    *("sh", "-c"),
    'exec gcc -O2 -Wall -Werror -shared -fPIC $(python3-config --includes) "$@"',
    "gcc",
)
# As libbpf's own examples: the headers of this architecture are below its triplet.
BPF = (
    *("clang", "-O2", "-g", "-Wall", "-Werror", "-target", "bpf", "-c"),
    *("-I", "/usr/include/x86_64-linux-gnu"),
)


@dataclass(frozen=True, slots=True)
class Program:
    """A file made of the `sources` of `folder`, where the image has `package`."""

    folder: Path
    name: str
    sources: str
    compiler: tuple[str, ...]
    package: str = ""


PROGRAMS = (
    Program(Path("client/rtshm"), "_publish.abi3.so", "_publish.c", EXTENSION),
    Program(Path("tests/stress"), "stress", "*.[ch]", CC),
    Program(Path("bench/programs"), "mappers", "mappers.c", CC, "libbpf-dev"),
    Program(Path("bench/programs"), "peer.bpf.o", "peer.bpf.c", BPF, "libbpf-dev"),
)


def program(table: Table, source: Path) -> dict[str, bytes]:
    """The programs by their places in the checkout; nothing for what it has no sources of."""
    found = {}
    for made in PROGRAMS:
        if made.package and made.package not in table.packages:
            continue
        if sources := sorted((source / made.folder).glob(made.sources)):
            found[str(made.folder / made.name)] = compiled(table, source, made, sources)
    return found


def compiled(table: Table, source: Path, program: Program, sources: Sequence[Path]) -> bytes:
    files = [*sources, *sorted((source / HEADERS).glob("linux/*.h"))]
    root = image.root(table, image.GUEST_SUITE)
    texts = {str(path.relative_to(source)): path.read_text(encoding="utf-8") for path in files}

    def build(path: Path) -> None:
        for name, text in texts.items():
            (path / name).parent.mkdir(parents=True, exist_ok=True)
            (path / name).write_text(text, encoding="utf-8")
        names = [f"/build/{name}" for name in texts if name.endswith(".c")]
        command = [*program.compiler, "-o", f"/build/{program.name}", *names]
        done = subprocess.run(
            debian.inside(root.tree, command, binds={path: "/build"}),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            check=False,
        )
        if done.returncode != 0:
            text = done.stdout.decode(errors="replace").replace("/build/", "")
            raise HarnessError(f"{text}\n{program.folder}: status {done.returncode}")

    made = cache.artefact("drivers", [root.path.name, texts, program.name, program.compiler], build)
    return (made / program.name).read_bytes()
