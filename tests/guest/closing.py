"""What must be true of a guest after its tests: `python3 -m tests.guest.closing`, as its own
process, so that nothing of the tests' is in its memory.

`... closing before` is the same look before them, which is what the later one is
compared with. Each fault is a line on standard error, and the status is 1.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import sys
import time
from pathlib import Path

from tests.guest import module

STATE = Path("/run/closing.json")
DEBUG = Path("/sys/kernel/debug")
KMEMLEAK = DEBUG / "kmemleak"
LOCKDEP = Path("/proc/lockdep_stats")

# Out of the kernel's tree, and not signed.
TAINT = (1 << 12) | (1 << 13)

SLACK_BYTES = 1 << 20

# An object younger than this is no leak yet (MSECS_MIN_AGE in mm/kmemleak.c).
LEAK_AGE_SECONDS = 5.5


def available_bytes() -> int:
    """What is available with nothing cached."""
    # What the tests wrote is in memory, too. The checkout may be in /tmp itself.
    for path in Path("/tmp").glob("pytest-of-*"):
        shutil.rmtree(path)
    os.sync()
    Path("/proc/sys/vm/drop_caches").write_text("3")
    return module.available_bytes()


def look() -> dict[str, object]:
    return {"traces": module.traces(), "available": available_bytes()}


def leaks() -> str:
    """What kmemleak finds; the second scan is without what was on a stack during the first."""
    time.sleep(LEAK_AGE_SECONDS)
    for _ in range(2):
        KMEMLEAK.write_text("scan")
    return KMEMLEAK.read_text()


def faults() -> list[str]:
    found = []
    if module.is_loaded():
        return ["the module is still loaded"]
    taint = int(Path("/proc/sys/kernel/tainted").read_text())
    if taint != TAINT:
        found.append(f"taint is {taint}, not {TAINT}")
    before, after = json.loads(STATE.read_text()), look()
    if before["traces"] != after["traces"]:
        for name, entries in module.traces().items():
            was = set(before["traces"][name])
            found += [f"{name}: new: {entry}" for entry in sorted(set(entries) - was)]
            found += [f"{name}: gone: {entry}" for entry in sorted(was - set(entries))]
    # Freed memory of KASAN's waits in its quarantine, of kmemleak's with its records.
    lost = before["available"] - int(str(after["available"]))
    print(f"closing: {lost / 1024:.0f} KiB of memory less than before the tests")
    if lost > SLACK_BYTES and not module_memory_is_kept():
        found.append(f"{lost} bytes less available than before, more than {SLACK_BYTES}")
    if LOCKDEP.exists():
        match = re.search(r"^ *debug_locks: +(\d)", LOCKDEP.read_text(), re.MULTILINE)
        if not match or match[1] != "1":
            found.append("lockdep switched itself off: there is a report in the log")
    if KMEMLEAK.exists() and (text := leaks()):
        found.append(text)
    return found


def module_memory_is_kept() -> bool:
    """Whether this kernel keeps freed memory on purpose: KASAN's quarantine, kmemleak's records."""
    return KMEMLEAK.exists() or "kasan" in os.uname().release


def main() -> int:
    if sys.argv[1:] == ["before"]:
        # The first load leaves behind what every kernel keeps of a module.
        module.load(print=0)
        module.unload()
        STATE.write_text(json.dumps(look()))
        return 0
    found = faults()
    for fault in found:
        print(f"closing: {fault}", file=sys.stderr)
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
