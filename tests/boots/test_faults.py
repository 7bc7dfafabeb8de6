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
STRESS = CHECKOUT / "tests/stress"
CLIENT = CHECKOUT / "client/rtshm"


@dataclass(frozen=True, slots=True)
class Fault:
    name: str
    kernel: str
    caught: str
    """What the log must have, or the drive's standard error, as an expression."""
    drive: str
    """Shell commands in the guest that make the fault happen; they unload the module."""


LOAD_AND_UNLOAD = "insmod rtshm.ko period_ns=1000000 print=0; sleep 1; rmmod rtshm"

# A process that stores as fast as it can, on another cpu than the tick's. KCSAN looks at
# every 500th access by default.
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

# An object younger than 5 s is not a leak yet, and one that a stale pointer is left to on
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

AT_ONCE_SECONDS = 60
AT_ONCE_SECONDS_CLEAN = 10


def at_once(driver: str) -> str:
    """A driver of tests/stress/at_once.c: a process and the ticks, each on a cpu of its own."""
    return f"""\
insmod rtshm.ko period_ns=3600000000000 period_min_ns=10000 print=0
tests/stress/stress {driver} 1 $AT_ONCE_SECONDS
status=$?
rmmod rtshm
[ $status = 0 ] || exit $status
"""


# Two threads of the kernel that add a task and remove it, in each tick or two.
TASKS = """\
insmod rtshm.ko period_ns=100000 print=0
insmod tests/probe/rtshm_probe.ko
probe=/sys/module/rtshm_probe/parameters
end=$(($(date +%s) + AT_ONCE_SECONDS))
while [ "$(date +%s)" -lt $end ] && [ "$(cat $probe/late)" = 0 ]; do
	echo many 2000 default >$probe/run
done
late=$(cat $probe/late)
rmmod rtshm_probe
rmmod rtshm
[ "$late" = 0 ] || { echo "a task ran $late times after its removal" >&2; exit 1; }
"""


def kicked(period: str) -> str:
    """An interrupt that kicks a region, which is deleted and made again meanwhile."""
    return f"""\
insmod rtshm.ko period_ns=3600000000000 print=0
insmod tests/probe/rtshm_probe.ko
python3 -c '
import contextlib, os, pathlib, threading, time, rtshm
run = pathlib.Path("/sys/module/rtshm_probe/parameters/run")
def kick():
    with contextlib.suppress(OSError):
        run.write_text("kick 0 500")
end = time.monotonic() + int(os.environ["AT_ONCE_SECONDS"])
with rtshm.Control() as control:
    while time.monotonic() < end:
        control.create("r", period="{period}")
        run.write_text("add 0 r")
        thread = threading.Thread(target=kick)
        thread.start()
        time.sleep(0.05)
        control.delete("r")
        thread.join()
'
rmmod rtshm_probe
rmmod rtshm
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
    # On this kernel 20 us is how long a store must wait to be seen too late: see the patch.
    Fault("poll-barrier", "7.3-um", r"a poller slept on", at_once("handshake")),
    Fault("store-for-exchange", "7.3-um", r"was published and \d+ is there", at_once("stays")),
    Fault("no-second-look", "7.3-um", r"tick \d+ comes after tick \d+", at_once("overtaken")),
    Fault("detach-without-lock", "7.3-um", r"after its removal|Kernel panic", TASKS),
    Fault("kick-without-wait", "7.3-um", r"BUG: KASAN: .* in rtshm_", kicked("none")),
    Fault("free-under-kick", "7.3-um", r"BUG: KASAN: .* in rtshm_kick", kicked("1h")),
    Fault("value-after-take", "7.3-um", r"which was not announced", at_once("announced")),
)


@pytest.fixture
def source(tmp_path: Path) -> Path:
    """A checkout of the module and what drives it, for a patch."""
    drives = [*STRESS.glob("*.[ch]"), *CLIENT.rglob("*.py")]
    files = [path.relative_to(CHECKOUT) for path in drives]
    return copies.make(tmp_path, [*payload.tree(CHECKOUT).files(), *files, Path(payload.STREAMS)])


def apply(source: Path, name: str) -> None:
    done = subprocess.run(
        ["git", "-C", source, "apply", PATCHES / f"{name}.patch"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, f"faults/{name}.patch no longer applies:\n{done.stderr}"


def run(kernel: str, source: Path, command: str) -> tuple[machine.Outcome, list[str]]:
    """And what was wrong: in the kernel's log, and on standard error."""
    done = payload.run(command, kernel=kernel, source=source, deadline=240)
    said = done.stderr.decode(errors="replace").splitlines()
    return done.outcome, [*done.outcome.splats(), *said]


def test_every_patch_is_used_and_applies(source: Path) -> None:
    assert {path.stem for path in PATCHES.iterdir()} == {fault.name for fault in FAULTS}
    for fault in FAULTS:
        apply(source, fault.name)
        subprocess.run(
            ["git", "-C", source, "apply", "-R", PATCHES / f"{fault.name}.patch"], check=True
        )
    for path in checkout.files(source):
        assert (source / path).read_bytes() == (CHECKOUT / path).read_bytes()


@pytest.mark.promise("robustness: Loading and unloading leave nothing behind")
def test_pages_that_are_not_given_back_are_seen_when_a_suite_closes(copy: Path) -> None:
    patch = PATCHES / "missing-memory-free.patch"
    closing = "python3 -m tests.lib.closing"
    command = f"{closing} before && insmod rtshm.ko size=8388608 && rmmod rtshm && {closing}"
    apply(copy, patch.stem)
    try:
        # As the suites do.
        done = payload.run(command, source=copy, deadline=240, warm=True)
    finally:
        subprocess.run(["git", "-C", copy, "apply", "-R", patch], check=True)
    assert done.outcome.status == 1
    assert re.search(rb"^closing: [78]\d\d\d KiB of pages were not given back$", done.stderr, re.M)


@pytest.mark.promise("robustness: A debugging kernel catches each seeded fault")
@pytest.mark.more
@pytest.mark.parametrize("fault", suites.of_kernel(FAULTS), ids=lambda fault: fault.name)
def test_fault_is_caught(fault: Fault, source: Path) -> None:
    apply(source, fault.name)
    seconds = f"export STORE_SECONDS={STORE_SECONDS} AT_ONCE_SECONDS={AT_ONCE_SECONDS}"
    outcome, found = run(fault.kernel, source, f"{seconds}\n{fault.drive}")
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
        [
            "set -e",
            f"export STORE_SECONDS={STORE_SECONDS_CLEAN} AT_ONCE_SECONDS={AT_ONCE_SECONDS_CLEAN}",
            *dict.fromkeys(drives),
        ]
    )
    outcome, found = run(kernel, source, command)
    assert found == []
    assert (outcome.status, outcome.lost) == (0, None)
