"""Check the module by compilers and by tools that read it, and the words of all files."""

from __future__ import annotations

import subprocess
from typing import TYPE_CHECKING

from tests.lib import payload, suites
from tests.lib.payload import TABLE
from tools import refusals, static, words, ynl
from vm.host import linux_source
from vm.host.errors import HarnessError
from vm.host.progress import say

if TYPE_CHECKING:
    from pathlib import Path

    from vm.host import image
    from vm.host.kernels import Kernel

WARNINGS = ["W=1"]
# -Wsparse-error: what touches region memory past its accessors fails, and so does the rest.
SPARSE = [*WARNINGS, "C=2", "CF=-D__CHECK_ENDIAN__ -Wsparse-error"]

# Modules that no test takes along.
OF_BENCH = ("bench/modules/bare",)

# What the form of a file makes unavoidable, and nothing else.
IGNORE = {
    # Its subject is the kernel's version; checkpatch takes KERNEL_VERSION() for a variable.
    "compat.h": "LINUX_VERSION_CODE,CONSTANT_COMPARISON",
    # It takes the __shm before a * for a number.
    "pi.c": "SPACING",
    "probe.c": "SPACING",
    # It takes __shm in a declaration for a statement.
    "rtshm.h": "LINE_SPACING",
    # TRACE_EVENT is laid out as in the kernel's own trace headers.
    "trace.h": "OPEN_ENDED_LINE,PARENTHESIS_ALIGNMENT",
}


def run(source: Path) -> int:
    """Run all checks; the status is 0 if none has anything to say."""
    bad = 0
    for kernel in map(TABLE.__getitem__, suites.table().quick()):
        # sparse of an older suite does not know the newest headers: see test_static.py.
        variables = SPARSE if kernel.suite == TABLE.space.suite else WARNINGS
        bad += not builds(kernel.name, source, kernel, variables)
    # Of each suite one: the tools are the same, the headers differ.
    bad += sum(not clang(source, TABLE.of_suite(suite)[0]) for suite in static.SUITES)
    bad += sum(not cross(source, processor) for processor in static.CROSS)
    bad += not coccinelle(source)
    bad += not checkpatch(source)
    bad += not ynl.check(source)
    bad += not words.check(source)
    bad += not refusals.check(source)
    return 1 if bad else 0


def clang(source: Path, kernel: Kernel) -> bool:
    """Whether clang, and sparse of the newest suite, have nothing to say."""
    variables = [*SPARSE, *static.CLANG]
    return builds(f"{kernel.name}: clang", source, kernel, variables, static.headers(kernel))


def cross(source: Path, processor: str) -> bool:
    """Whether the module compiles for another processor."""
    return builds(processor, source, TABLE[""], WARNINGS, static.cross(processor))


def builds(
    name: str,
    source: Path,
    kernel: Kernel,
    variables: list[str],
    files: image.Files | None = None,
) -> bool:
    """Whether the module is built without a warning."""
    try:
        payload.modules(source, kernel, variables=variables, files=files, more=OF_BENCH)
    except HarnessError as error:
        print(error.args[0])
        return False
    said = " ".join(each for each in variables if each in SPARSE)
    say(f"{name}: {said}: no warnings")
    return True


def coccinelle(source: Path) -> bool:
    found = static.coccinelle(source)
    if found:
        print(*found, sep="\n")
    else:
        say("coccinelle: no findings")
    return not found


def checkpatch(source: Path) -> bool:
    script = linux_source.tree() / linux_source.CHECKPATCH
    # Generated files are in the generator's style.
    files = [
        path
        for path in payload.tree(source, more=OF_BENCH).files()
        if path.suffix in (".c", ".h") and path not in ynl.GENERATED
    ]
    clean = True
    for path in files:
        command = ["perl", str(script), "--no-tree", "--strict", "--file"]
        command += ["--quiet", "--no-summary", "--terse", "--show-types"]
        if path.name in IGNORE:
            command += ["--ignore", IGNORE[path.name]]
        clean &= subprocess.run([*command, str(path)], cwd=source, check=False).returncode == 0
    if clean:
        say(f"checkpatch --strict: {len(files)} files, no complaints")
    return clean
