"""Check the module by compiler, sparse, checkpatch and YNL, and the words of all files."""

from __future__ import annotations

import subprocess
from typing import TYPE_CHECKING

from tests.lib import payload, suites
from tests.lib.payload import TABLE
from tools import static, words, ynl
from vm.host import linux_source
from vm.host.errors import HarnessError
from vm.host.progress import say

if TYPE_CHECKING:
    from pathlib import Path

WARNINGS = ["W=1"]
# -Wsparse-error: what touches region memory past its accessors fails, and so does the rest.
SPARSE = [*WARNINGS, "C=2", "CF=-D__CHECK_ENDIAN__ -Wsparse-error"]

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
        try:
            payload.modules(source, kernel, variables=variables)
        except HarnessError as error:
            print(error.args[0])
            bad += 1
        else:
            say(f"{kernel.name}: {' '.join(variables)}: no warnings")
    bad += sum(not cross(source, processor) for processor in static.CROSS)
    bad += not checkpatch(source)
    bad += not ynl.check(source)
    bad += not words.check(source)
    return 1 if bad else 0


def cross(source: Path, processor: str) -> bool:
    """Whether the module compiles for another processor."""
    try:
        payload.modules(source, TABLE[""], variables=WARNINGS, files=static.cross(processor))
    except HarnessError as error:
        print(error.args[0])
        return False
    say(f"{processor}: {' '.join(WARNINGS)}: no warnings")
    return True


def checkpatch(source: Path) -> bool:
    script = linux_source.tree() / linux_source.CHECKPATCH
    # Generated files are in the generator's style.
    files = [
        path
        for path in payload.tree(source).files()
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
