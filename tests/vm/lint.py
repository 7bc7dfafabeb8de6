"""The static checks of the kernel module: the compiler's, sparse's and checkpatch's."""

from __future__ import annotations

import shlex
import subprocess
from typing import TYPE_CHECKING

from tests.vm import build, cache, image
from tests.vm.errors import HarnessError
from tests.vm.progress import run_logged, say, step

if TYPE_CHECKING:
    from pathlib import Path

    from tests.vm.kernels import Table

WARNINGS = ["W=1"]
SPARSE = [*WARNINGS, "C=2", "CF=-D__CHECK_ENDIAN__"]

# checkpatch is in no package but the kernel's source.
SOURCE_SUITE = "trixie"
SOURCE_PACKAGE = "linux-source-6.12"
SCRIPTS = ("checkpatch.pl", "spelling.txt", "const_structs.checkpatch")

# What the form of a file makes unavoidable, and nothing else.
IGNORE = {
    # Its subject is the kernel's version; checkpatch takes KERNEL_VERSION() for a variable.
    "compat.h": "LINUX_VERSION_CODE,CONSTANT_COMPARISON",
    # TRACE_EVENT is laid out as in the kernel's own trace headers.
    "trace.h": "OPEN_ENDED_LINE,PARENTHESIS_ALIGNMENT",
}


def run(table: Table, source: Path) -> int:
    """Run all checks; the status is 0 if none has anything to say."""
    bad = 0
    for kernel in table.kernels.values():
        # sparse of an older suite does not know the newest headers; one look is enough.
        variables = SPARSE if kernel.suite == image.GUEST_SUITE else WARNINGS
        try:
            build.module(table, kernel, source, variables=variables)
        except HarnessError as error:
            print(error.args[0])
            bad += 1
        else:
            say(f"{kernel.name}: {' '.join(variables)}: no warnings")
    bad += not checkpatch(source)
    return 1 if bad else 0


def checkpatch(source: Path) -> bool:
    scripts = checkpatch_scripts()
    files = [path for path in build.module_sources(source) if path.suffix in (".c", ".h")]
    clean = True
    for path in files:
        command = ["perl", str(scripts / "checkpatch.pl"), "--no-tree", "--strict", "--file"]
        command += ["--quiet", "--no-summary", "--terse", "--show-types"]
        if path.name in IGNORE:
            command += ["--ignore", IGNORE[path.name]]
        clean &= subprocess.run([*command, str(path)], cwd=source, check=False).returncode == 0
    if clean:
        say(f"checkpatch --strict: {len(files)} files, no complaints")
    return clean


def checkpatch_scripts() -> Path:
    """The directory with checkpatch.pl and its lists."""

    def build_scripts(path: Path) -> None:
        log = cache.root() / "checkpatch.log"
        making = image.mmdebstrap(
            "--variant=extract", f"--include={SOURCE_PACKAGE}", SOURCE_SUITE, "-"
        )
        archive = f"./usr/src/{SOURCE_PACKAGE}.tar.xz"
        names = shlex.join(f"{SOURCE_PACKAGE}/scripts/{name}" for name in SCRIPTS)
        script = (
            f"set -o pipefail; {shlex.join(making)} | tar -xO {shlex.quote(archive)}"
            f" | tar -xJ --strip-components=2 -C {shlex.quote(str(path))} {names}"
        )
        with step(f"fetching checkpatch, which is in {SOURCE_PACKAGE} (150 MB)", "1 minute"):
            run_logged(["bash", "-c", script], log, SOURCE_PACKAGE)

    return cache.artefact("checkpatch", [SOURCE_SUITE, SOURCE_PACKAGE, SCRIPTS], build_scripts)
