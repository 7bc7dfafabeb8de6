"""Negative controls: a module with a seeded fault is caught by the kernel meant to catch it.

Each fault is a patch of faults/, applied to a copy of the module. Without its
patch the same drive leaves the log clean, on the same kernel.
"""

from __future__ import annotations

import re
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.lib import copies, payload, suites
from tests.lib.payload import CHECKOUT
from vm.host import checkout

if TYPE_CHECKING:
    from vm.host import machine

PATCHES = Path(__file__).with_name("faults")


@dataclass(frozen=True, slots=True)
class Fault:
    name: str
    kernel: str
    caught: str
    """What the log must have, as an expression."""
    drive: str
    """Shell commands in the guest that make the fault happen; they unload the module."""


LOAD_AND_UNLOAD = "insmod rtshm.ko period_ns=1000000 print=0; sleep 1; rmmod rtshm"

# A process that stores as fast as it can, on another cpu than the tick's. KCSAN looks at
# every 500th access unless told otherwise.
STORE = """\
echo 50 >/sys/module/kcsan/parameters/skip_watch
python3 -c '
import mmap, os, subprocess, time
os.sched_setaffinity(0, {0})
subprocess.run(["insmod", "rtshm.ko", "period_ns=200000", "print=0"], check=True)
os.sched_setaffinity(0, {1})
fd = os.open("/dev/rtshm/default", os.O_RDWR)
value = memoryview(mmap.mmap(fd, 4096)).cast("i")
end = time.monotonic() + int(os.environ["STORE_SECONDS"])
while time.monotonic() < end:
    for number in range(1000):
        value[0] = number
'
rmmod rtshm
"""
STORE_SECONDS = 60
STORE_SECONDS_CLEAN = 20

# An object younger than 5 s is no leak yet, and one that a stale pointer is left to on
# some stack is none either: not so all of several.
LEAK = """\
for cycle in 1 2 3 4 5; do
	insmod rtshm.ko print=0
	rmmod rtshm
done
sleep 6
echo scan >/sys/kernel/debug/kmemleak
echo scan >/sys/kernel/debug/kmemleak
cat /sys/kernel/debug/kmemleak
"""

WAIT_CONTEXT = r"\[ BUG: Invalid wait context \]"

FAULTS = (
    Fault("plain-load", "6.12-kcsan", r"BUG: KCSAN: data-race in .*rtshm_", STORE),
    Fault("wake-up-in-tick", "6.12-lockdep", WAIT_CONTEXT, LOAD_AND_UNLOAD),
    Fault("kmalloc-in-tick", "6.12-lockdep", WAIT_CONTEXT, LOAD_AND_UNLOAD),
    Fault(
        "sleep-under-raw-lock",
        "6.12-lockdep",
        r"BUG: (?:scheduling while atomic|sleeping function)",
        "insmod rtshm.ko print=0; head -c 8 /dev/rtshm/default | od -d; rmmod rtshm",
    ),
    Fault("missing-free", "6.12-lockdep", r"kmemleak: \d+ new suspected memory leaks", LEAK),
    # Pages are none of kmemleak's concern, unless it is told of them.
    Fault("missing-memory-free", "6.12-lockdep", r"kmemleak: \d+ new suspected memory leaks", LEAK),
    # The module's own ledger, which needs no kernel with debugging.
    Fault("missing-put", "6.12", r"WARNING: .*rtshm_devices_exit", LOAD_AND_UNLOAD),
    Fault("use-after-put", "6.12-kasan", r"BUG: KASAN: slab-use-after-free in", LOAD_AND_UNLOAD),
    Fault(
        "missing-bound-check",
        "6.12-kasan",
        r"BUG: KASAN: slab-out-of-bounds in",
        "insmod rtshm.ko size=8192 print=0; head -c 8192 /dev/rtshm/default >/run/8192;"
        " rmmod rtshm",
    ),
)


@pytest.fixture
def source(tmp_path: Path) -> Path:
    """A checkout of the module, for a patch."""
    return copies.make(tmp_path, payload.tree(CHECKOUT).files())


def apply(source: Path, name: str) -> None:
    done = subprocess.run(
        ["git", "-C", source, "apply", PATCHES / f"{name}.patch"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, f"faults/{name}.patch no longer applies:\n{done.stderr}"


def run(kernel: str, source: Path, command: str) -> machine.Outcome:
    return payload.run(command, kernel=kernel, source=source, deadline=240).outcome


def test_every_patch_is_used_and_applies(source: Path) -> None:
    assert {path.stem for path in PATCHES.iterdir()} == {fault.name for fault in FAULTS}
    for fault in FAULTS:
        apply(source, fault.name)
        subprocess.run(
            ["git", "-C", source, "apply", "-R", PATCHES / f"{fault.name}.patch"], check=True
        )
    for path in checkout.files(source):
        assert (source / path).read_bytes() == (CHECKOUT / path).read_bytes()


def test_pages_that_are_not_given_back_are_seen_when_a_suite_closes(copy: Path) -> None:
    patch = PATCHES / "missing-memory-free.patch"
    closing = "python3 -m tests.lib.closing"
    command = f"{closing} before && insmod rtshm.ko size=8388608 && rmmod rtshm && {closing}"
    apply(copy, patch.stem)
    try:
        done = payload.run(command, source=copy, deadline=240)
    finally:
        subprocess.run(["git", "-C", copy, "apply", "-R", patch], check=True)
    assert done.outcome.status == 1
    assert re.search(rb"^closing: [78]\d\d\d KiB of pages were not given back$", done.stderr, re.M)


@pytest.mark.more
@pytest.mark.parametrize("fault", suites.of_kernel(FAULTS), ids=lambda fault: fault.name)
def test_fault_is_caught(fault: Fault, source: Path) -> None:
    apply(source, fault.name)
    outcome = run(fault.kernel, source, f"export STORE_SECONDS={STORE_SECONDS}\n{fault.drive}")
    found = outcome.splats()
    assert any(re.search(fault.caught, line) for line in found), (
        f"{fault.kernel} did not catch {fault.name}; in its log: {found}; all: {outcome.dmesg}"
    )


@pytest.mark.more
@pytest.mark.parametrize(
    "kernel", sorted({fault.kernel for fault in suites.of_kernel(FAULTS)}), ids=str
)
def test_without_a_fault_nothing_is_caught(kernel: str, source: Path) -> None:
    drives = [fault.drive for fault in FAULTS if fault.kernel == kernel]
    command = "\n".join(
        ["set -e", f"export STORE_SECONDS={STORE_SECONDS_CLEAN}", *dict.fromkeys(drives)]
    )
    outcome = run(kernel, source, command)
    assert outcome.splats() == []
    assert (outcome.status, outcome.lost) == (0, None)
