"""The scan of a kernel log: every pattern catches its line, and a clean log is clean."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from vm.host import splats

# As they come, some from faults of test_faults.py, some put together; `>` is before the
# lines that must be found.
LOGS = sorted(Path(__file__).with_name("logs").iterdir())

CLEAN = """\
[    0.000000] Linux version 6.12.117+deb13-cloud-amd64 (gcc-14) #1 SMP PREEMPT_DYNAMIC
[    0.044000] tsc: Unable to calibrate against PIT
[    0.310000] x86/bugs: Speculation debugging is off
[    2.281519] amd_pstate: the _CPC object is not present in SBIOS or ACPI disabled
[    4.870459] EXT4-fs (vda): mounted filesystem r/w without journal. Quota mode: none.
[    5.249835] hello: loading out-of-tree module taints kernel.
[    5.250000] hello: module verification failed: signature and/or required key missing
[    5.260000] hello: hello, world
""".splitlines()

# One line of a real log per pattern, in the order of the list.
DIRTY = """\
BUG: sleeping function called from invalid context at kernel/locking/mutex.c:585
kernel BUG at mm/slub.c:448!
BUG: KASAN: slab-use-after-free in hello_say+0x42/0x90 [hello]
watchdog: BUG: soft lockup - CPU#0 stuck for 26s! [insmod:123]
INFO: task rmmod:99 blocked for more than 120 seconds.
WARNING: suspicious RCU usage
[ BUG: Invalid wait context ]
WARNING: possible circular locking dependency detected
WARNING: inconsistent lock state
ODEBUG: free active (active state 0) object: hrtimer
refcount_t: underflow; use-after-free.
unreferenced object 0xffff888003a4d000 (size 256):
kmemleak: 3 new suspected memory leaks (see /sys/kernel/debug/kmemleak)
BUG: Bad page state in process python3  pfn:03a4d
BUG hello_cache (Tainted: G O): Objects remaining on __kmem_cache_shutdown()
list_del corruption. prev->next should be ffff888003a4d000
usercopy: Kernel memory exposure attempt detected from vmalloc
Oops: general protection fault, probably for non-canonical address
Internal error: Oops: 0000000096000004 [#1] SMP
BUG: scheduling while atomic: swapper/0/0/0x00010002
hrtimer: interrupt took 5123456 ns
netlink: 'python3': attribute type 1 has an invalid length.
sysfs: cannot create duplicate filename '/class/hello'
Out of memory: Killed process 119 (python3) total-vm:97344kB
Kernel panic - not syncing: kernel: panic_on_warn set ...
Call Trace:
""".splitlines()


@pytest.mark.promise(
    "machine: The virtual machine finds each fault in the log, and tells a lost machine apart"
)
@pytest.mark.parametrize("path", LOGS, ids=lambda path: path.stem)
def test_every_fault_is_found_in_its_log(path: Path) -> None:
    lines = path.read_text().splitlines()
    wanted = [line[2:] for line in lines if line.startswith("> ")]
    assert wanted
    assert splats.scan([*CLEAN, *(line[2:] for line in lines)], "icount") == wanted


def test_there_are_logs_enough() -> None:
    assert len({path.read_text() for path in LOGS}) >= 25


def test_a_clean_log_is_clean() -> None:
    assert splats.scan(CLEAN, "icount") == []


@pytest.mark.promise(
    "machine: The virtual machine finds each fault in the log, and tells a lost machine apart"
)
@pytest.mark.parametrize(
    ("pattern", "line"), list(zip(splats.DENY, DIRTY, strict=True)), ids=splats.DENY
)
def test_every_pattern_catches_its_line(pattern: str, line: str) -> None:
    assert re.search(pattern, line)
    assert splats.scan([*CLEAN, f"[    6.000000] {line}"], "icount") == [f"[    6.000000] {line}"]


@pytest.mark.promise(
    "machine: The virtual machine finds each fault in the log, and tells a lost machine apart"
)
@pytest.mark.parametrize("word", ["BUG", "WARNING", "UBSAN", "Oops"])
def test_the_general_pattern_catches_its_words(word: str) -> None:
    assert re.search(splats.DENY[0], f"[    6.000000] {word}: x")
    assert not re.search(splats.DENY[0], f"[    6.000000] DE{word}: x")


def test_an_allowed_line_is_tolerated_under_its_accelerators_only() -> None:
    line = "[   62.644650] hrtimer: interrupt took 271733 ns"
    assert splats.scan([line], "tcg") == []
    assert splats.scan([line], "icount") == [line]
    assert splats.scan([f"{line}, and a BUG: too"], "tcg") != []


def test_every_allowed_line_has_a_reason() -> None:
    for entry in splats.ALLOW:
        assert entry.reason
        assert entry.accelerators
