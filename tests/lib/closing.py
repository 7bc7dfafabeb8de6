"""What must be true of a guest after its tests: `python3 -m tests.lib.closing`, as its own
process, so that nothing of the tests' is in its memory.

`... closing before` is the same look before them, which is what the later one is
compared with. Each fault is a line on standard error, and the status is 1.
"""

from __future__ import annotations

import json
import mmap
import os
import re
import sys
import time
from pathlib import Path
from typing import Any

from tests.lib import amounts, module

STATE = Path("/run/closing.json")
DEBUG = Path("/sys/kernel/debug")
KMEMLEAK = DEBUG / "kmemleak"
KCSAN = DEBUG / "kcsan"
DROP_CACHES = Path("/proc/sys/vm/drop_caches")
STAT_REFRESH = Path("/proc/sys/vm/stat_refresh")
SLABS = Path("/sys/kernel/slab")
LOCKDEP = Path("/proc/lockdep_stats")
PAGES_KIB = 1024

# As much as tests/module/test_making.py makes, once below the 256 MiB that x86 maps for the
# configuration of PCI, and twice above. A guest has 1 GiB.
FIRST_BYTES = (448 << 20, 245 << 20)

# See look().
LOOKS = 20
BETWEEN_SECONDS = 0.2
ALIKE_BYTES = 64 << 10

# An object younger than this is not a leak yet (MSECS_MIN_AGE in mm/kmemleak.c).
LEAK_AGE_SECONDS = 5.5


# Where memory may be, of /proc/meminfo. Stacks are VmallocUsed. What is neither there nor
# free somebody took page by page, as a region does: after all tests it is as before, and
# what the kernel keeps for itself is in the others. A kernel with debugging takes such
# pages, too; kmemleak looks there.
TAKERS = (
    *("Buffers", "Cached", "SwapCached", "AnonPages", "Slab"),
    *("PageTables", "VmallocUsed", "Percpu"),
)


def drop_caches() -> None:
    """As if no file had ever been read or written."""
    os.sync()
    for shrink in SLABS.glob("*/shrink"):
        shrink.write_text("1")
    # Pages on the way to a list are taken there before the caches are dropped, not after.
    for _ in range(2):
        DROP_CACHES.write_text("3")
    # Each cpu counts for itself, and adds it up later.
    STAT_REFRESH.write_text("1")


def look() -> dict[str, Any]:
    """As it is when two looks in a row say the same.

    The kernel's counts are read one after the other: pages that go from a cpu's list to the
    others' meanwhile, 1 MiB at a time, are counted twice or not at all.
    """
    traces = module.traces()
    last: dict[str, int] = {}
    for _ in range(LOOKS):
        now = taken()
        if last and all(abs(now[name] - was) <= ALIKE_BYTES for name, was in last.items()):
            break
        last = now
        time.sleep(BETWEEN_SECONDS)
    return {"traces": traces, "taken": now}


def taken() -> dict[str, int]:
    """The memory by who has it, in bytes."""
    drop_caches()
    found = {name: module.meminfo(name) for name in TAKERS}
    pages = module.meminfo("MemTotal") - sum(found.values()) - module.free_bytes()
    return {**found, "pages": pages}


def more(before: dict[str, Any], after: dict[str, Any]) -> dict[str, int]:
    """What has more of the memory, or less, in KiB."""
    return {name: (after["taken"][name] - was) // 1024 for name, was in before["taken"].items()}


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
    if taint != module.TAINT:
        found.append(f"taint is {taint}, not {module.TAINT}")
    before, after = json.loads(STATE.read_text()), look()
    if before["traces"] != after["traces"]:
        for name, entries in after["traces"].items():
            was = set(before["traces"][name])
            found += [f"{name}: new: {entry}" for entry in sorted(set(entries) - was)]
            found += [f"{name}: gone: {entry}" for entry in sorted(was - set(entries))]
    memory = more(before, after)
    print("closing: memory in KiB:", ", ".join(f"{name} {by:+}" for name, by in memory.items()))
    if memory["pages"] > PAGES_KIB and amounts.kind() == amounts.DEBIAN:
        found.append(f"{memory['pages']} KiB of pages were not given back")
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
        # The first event would make the trace's buffer as large as this, for good.
        (module.EVENTS.parent / "buffer_size_kb").write_text("1408")
        # The first load leaves behind what every kernel keeps of a module, and the first
        # region at an address the page table for it: 4 KiB for each 2 MiB, for good.
        for size in FIRST_BYTES if amounts.kind() == amounts.DEBIAN else (mmap.PAGESIZE,):
            module.load(print=0, size=size)
            module.unload()
        STATE.write_text(json.dumps(look()))
        return 0
    found = faults()
    for fault in found:
        print(f"closing: {fault}", file=sys.stderr)
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
