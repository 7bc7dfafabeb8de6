"""What of a checkout is compiled for the guest: programs, and the bytecode of Python packages.

Compiled in the root that the guest's disk is made of: what takes a second here
takes a guest under emulation a minute.
"""

from __future__ import annotations

import subprocess
from dataclasses import dataclass
from typing import TYPE_CHECKING

from vm.host import cache, debian, image
from vm.host.errors import HarnessError
from vm.host.processor import X86

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

    from vm.host.kernels import Table
    from vm.host.processor import Processor

# The bytecode of checkouts in use at once, and of the last edits of each.
KEEP = 16

# By the source's hash and not by its time, so that no change can go unseen.
COMPILE = ("python3", "-m", "compileall", "-q", "--invalidation-mode", "checked-hash", "/build")


@dataclass(frozen=True, slots=True)
class Program:
    """A file made of the `sources` of `folder`, where the guest has `package`."""

    folder: str
    name: str
    sources: str
    """A pattern."""
    compiler: tuple[str, ...]
    """Runs where the checkout is /build; gets `-o` and the files in C."""
    headers: tuple[str, ...] = ()
    """Patterns of what the sources include from elsewhere in the checkout."""
    package: str = ""
    root: tuple[str, ...] = ()
    """The packages of a root of its own to compile in, in place of the guest's."""


def of(
    table: Table, source: Path, programs: Iterable[Program], processor: Processor = X86
) -> dict[str, bytes]:
    """The programs by their places in the checkout `source`, if it has their sources."""
    found = {}
    for program in programs:
        if program.package and program.package not in table.space.packages:
            continue
        if sources := sorted((source / program.folder).glob(program.sources)):
            files = [*sources, *(path for each in program.headers for path in source.glob(each))]
            texts = {str(path.relative_to(source)): path.read_bytes().decode() for path in files}
            found[f"{program.folder}/{program.name}"] = compiled(table, texts, program, processor)
    return found


def compiled(
    table: Table, texts: Mapping[str, str], program: Program, processor: Processor
) -> bytes:
    suite = table.space.suite
    # BPF, which is compiled in a root of its own, is the same for each processor.
    own = image.plain_root("compilers", suite, program.root) if program.root else None
    root = own or image.root(table, suite, processor)

    def build(path: Path) -> None:
        write(path, texts)
        names = [f"/build/{name}" for name in texts if name.endswith(".c")]
        command = [*program.compiler, "-o", f"/build/{program.name}", *names]
        done = subprocess.run(
            debian.inside(own.tree, command, binds={path: "/build"})
            if own
            else image.compiling(table, processor, command, path),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            check=False,
        )
        if done.returncode != 0:
            text = done.stdout.decode(errors="replace").replace("/build/", "")
            raise HarnessError(f"{text}\n{program.folder}: status {done.returncode}")

    made_of = [root.path.name, dict(texts), program.name, program.compiler]
    if processor.foreign and not own:
        made_of.append(image.space(table, processor).path.name)
    return (cache.artefact("program", made_of, build) / program.name).read_bytes()


def bytecode(table: Table, source: Path, folder: str) -> dict[str, bytes]:
    """The bytecode of the Python in `folder`, by its place in the checkout `source`.

    To compile 40 modules takes a guest under emulation two seconds, in each run.
    """
    root = image.root(table, table.space.suite)
    top = source / folder
    texts = {str(path.relative_to(top)): path.read_text() for path in sorted(top.rglob("*.py"))}

    def build(path: Path) -> None:
        write(path, texts)
        command = debian.inside(root.tree, COMPILE, binds={path: "/build"})
        done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, check=False)
        # A module that does not compile says so where it is imported; the others did.
        if done.returncode and not [*path.rglob("*.pyc")]:
            raise HarnessError(f"{folder}: {done.stderr.decode(errors='replace').strip()}")

    made = cache.artefact("bytecode", [root.path.name, texts, COMPILE], build, keep=KEEP)
    return {
        f"{folder}/{path.relative_to(made)}": path.read_bytes()
        for path in sorted(made.rglob("*.pyc"))
    }


def write(folder: Path, texts: Mapping[str, str]) -> None:
    for name, text in texts.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text, encoding="utf-8")
