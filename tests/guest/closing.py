"""What must be true of a guest after its tests: `python3 -m tests.guest.closing`, as its own
process, so that nothing of the tests' is in its memory.

`... closing before` is the same look before them, which is what the later one is
compared with. Each fault is a line on standard error, and the status is 1.
"""

from __future__ import annotations

import json
import os
import re
import sys
import time
from pathlib import Path
from typing import Any

from tests.guest import module

STATE = Path("/run/closing.json")
DEBUG = Path("/sys/kernel/debug")
KMEMLEAK = DEBUG / "kmemleak"
KCSAN = DEBUG / "kcsan"
DROP_CACHES = Path("/proc/sys/vm/drop_caches")
SLABS = Path("/sys/kernel/slab")
LOCKDEP = Path("/proc/lockdep_stats")

# Out of the kernel's tree, and not signed.
TAINT = (1 << 12) | (1 << 13)

# An object younger than this is no leak yet (MSECS_MIN_AGE in mm/kmemleak.c).
LEAK_AGE_SECONDS = 5.5


# Where memory may be that is not there to be had, of /proc/meminfo.
TAKERS = ("AnonPages", "Slab", "KernelStack", "PageTables", "VmallocUsed", "Percpu")


def free_bytes() -> int:
    """Memory that is there to be had, as if no file had ever been read or written."""
    os.sync()
    for shrink in SLABS.glob("*/shrink"):
        shrink.write_text("1")
    # Pages on the way to a list are taken there before the caches are dropped, not after.
    for _ in range(2):
        DROP_CACHES.write_text("3")
    return module.available_bytes() + module.meminfo("Shmem")


def look() -> dict[str, Any]:
    return {
        "traces": module.traces(),
        "free": free_bytes(),
        "taken": {name: module.meminfo(name) for name in TAKERS},
    }


def memory(before: dict[str, Any], after: dict[str, Any]) -> str:
    """What of the memory is not there again, and what has more of it, in KiB."""
    more = [
        f"{name} {(after['taken'][name] - was) // 1024:+}" for name, was in before["taken"].items()
    ]
    return f"{(before['free'] - after['free']) // 1024} KiB less are free; {', '.join(more)}"


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
        for name, entries in after["traces"].items():
            was = set(before["traces"][name])
            found += [f"{name}: new: {entry}" for entry in sorted(set(entries) - was)]
            found += [f"{name}: gone: {entry}" for entry in sorted(was - set(entries))]
    print(f"closing: {memory(before, after)}")
    if LOCKDEP.exists():
        match = re.search(r"^ *debug_locks: +(\d)", LOCKDEP.read_text(), re.MULTILINE)
        if not match or match[1] != "1":
            found.append("lockdep switched itself off: there is a report in the log")
    if KCSAN.exists() and "enabled: 1" not in KCSAN.read_text().splitlines():
        found.append("KCSAN is switched off, and saw nothing")
    if KMEMLEAK.exists() and (text := leaks()):
        found.append(text)
    return found


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
