"""Programs of Debian packages that are not installed here: of another suite than this machine's."""

from __future__ import annotations

import shlex
from dataclasses import dataclass
from typing import TYPE_CHECKING

from vm.host import cache, debian
from vm.host.progress import run_logged, say, step

if TYPE_CHECKING:
    from pathlib import Path

LIBRARIES = "./usr/lib/*/*.so*"


@dataclass(frozen=True, slots=True)
class Program:
    package: str
    suite: str
    name: str
    """In /usr/bin."""
    data: tuple[str, ...] = ()
    """What else it needs of its root, besides the libraries that it is linked with."""


def command(program: Program) -> list[str]:
    """The beginning of a command line that runs it."""
    root = tree(program)
    library = next(root.glob("usr/lib/*/libc.so.6")).parent
    loader = next(library.glob("ld-linux*.so.*"))
    path = f"{library}:{root}/usr/lib"
    return [str(loader), "--library-path", path, str(root / "usr/bin" / program.name)]


def tree(program: Program) -> Path:
    """A directory with the program and all it needs but a kernel."""
    package, suite = program.package, program.suite
    names = (f"./usr/bin/{program.name}", *program.data, LIBRARIES)

    def build(path: Path) -> None:
        making = debian.mmdebstrap("--variant=extract", f"--include={package}", suite, "-")
        unpacking = ["tar", "-x", "-C", str(path), "--wildcards", *names]
        script = f"set -o pipefail; {shlex.join(making)} | {shlex.join(unpacking)}"
        with step(f"fetching {package} of Debian {suite}", "15 s"):
            run_logged(["bash", "-c", script], cache.root() / f"{program.name}.log", package)

    def waiting() -> None:
        say(f"waiting for another run that is fetching {package}")

    return cache.artefact(program.name, [suite, package, names], build, waiting=waiting)
