"""What the project needs of the kernel's source, which is in no other package of Debian."""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING

from vm.host import cache, debian
from vm.host.progress import run_logged, say, step

if TYPE_CHECKING:
    from pathlib import Path

SUITE = "trixie"
PACKAGE = "linux-source-6.12"

CHECKPATCH = "scripts/checkpatch.pl"
YNL = "tools/net/ynl"
SCHEMA = "Documentation/netlink/genetlink-legacy.yaml"
MEMORY_MODEL = "tools/memory-model"
COCCINELLE = "scripts/coccinelle"
NAMES = (
    CHECKPATCH,
    "scripts/spelling.txt",
    "scripts/const_structs.checkpatch",
    YNL,
    SCHEMA,
    MEMORY_MODEL,
    COCCINELLE,
    # What these files say about their licence.
    "COPYING",
    "LICENSES/preferred/GPL-2.0",
    "LICENSES/preferred/BSD-3-Clause",
    "LICENSES/exceptions/Linux-syscall-note",
)


def tree() -> Path:
    """A directory with the files and directories of `NAMES`, as in the kernel's source."""

    def build(path: Path) -> None:
        making = debian.mmdebstrap("--variant=extract", f"--include={PACKAGE}", SUITE, "-")
        archive = f"./usr/src/{PACKAGE}.tar.xz"
        names = shlex.join(f"{PACKAGE}/{name}" for name in NAMES)
        script = (
            f"set -o pipefail; {shlex.join(making)} | tar -xO {shlex.quote(archive)}"
            f" | tar -xJ --strip-components=1 -C {shlex.quote(str(path))} {names}"
        )
        with step(f"fetching checkpatch and the like, which are in {PACKAGE} (150 MB)", "1 minute"):
            run_logged(["bash", "-c", script], cache.root() / "linux-source.log", PACKAGE)

    def waiting() -> None:
        say(f"waiting for another run that is fetching {PACKAGE}")

    return cache.artefact("linux-source", [SUITE, PACKAGE, NAMES], build, waiting=waiting)
