"""How much of everything on which kernel: the amounts of tests/stress.

A sanitizer shows what a stock kernel does not, and makes it ten times slower; so
each amount goes with the kind of kernel that it is for.
"""

from __future__ import annotations

import functools
import os
from pathlib import Path

USER_MODE = "User Mode Linux" in Path("/proc/cpuinfo").read_text()

KASAN, LOCKDEP, KCSAN, GCOV = "kasan", "lockdep", "kcsan", "gcov"
UM, DEBIAN = "um", "debian"
KINDS = (KASAN, LOCKDEP, KCSAN, GCOV, UM, DEBIAN)

# None: not on this kernel.
_TABLE: dict[str, tuple[int | None, ...]] = {
    #                    kasan      lockdep    kcsan      gcov       um         debian
    "cycles":           (300,       100,       None,      60,        100,       60),
    "held":             (50,        20,        None,      10,        20,        10),
    "opened":           (1_000,     200,       None,      200,       200,       200),
    "spliced":          (20,        10,        None,      5,         10,        5),
    "asked":            (40,        15,        None,      None,      15,        25),
    "asked-requests":   (20_000,    8_000,     None,      None,      8_000,     50_000),
    "failures":         (300,       None,      None,      300,       None,      None),
    "copy-failures":    (200,       None,      None,      200,       None,      None),
    "bounds":           (4_096,     None,      None,      4_096,     4_096,     4_096),
    "vma":              (1,         1,         None,      1,         1,         1),
    "forks":            (500,       200,       None,      200,       200,       200),
    "deleted":          (200,       None,      None,      50,        50,        50),
    "deleted-stores":   (10_000,    None,      None,      10_000,    10_000,    10_000),
    "zeroed":           (100,       None,      None,      50,        50,        300),
    "mappers":          (32,        16,        None,      16,        16,        16),
    "mappers-rounds":   (4,         2,         None,      2,         2,         2),
    "attack":           (50,        50,        None,      50,        50,        50),
    # BPF, which kcsan and um lack.
    "replaced":         (1_000,     500,       None,      500,       None,      10_000),
    "loaders":          (200,       200,       None,      100,       None,      100),
    "guarded":          (100,       None,      None,      100,       None,      2_000),
    "kills":            (1_000,     500,       None,      300,       500,       300),
    "hostile-seconds":  (10,        None,      20,        2,         10,        2),
    "records":          (None,      None,      None,      None,      None,      1_000_000),
    "stores":           (None,      None,      None,      None,      None,      1_000_000),
    "interrupts":       (None,      None,      None,      None,      200,       1_000),
    "loss":             (500_000,   None,      100_000,   20_000,    200_000,   100_000),
    "polled":           (200,       50,        None,      50,        100,       50),
    "floor":            (64,        None,      None,      64,        64,        64),
    "storm-seconds":    (10,        10,        None,      None,      None,      None),
    "race":             (100_000,   25_000,    20_000,    10_000,    25_000,    10_000),
    "churn":            (1_000,     300,       None,      500,       300,       500),
    "dumps":            (200,       100,       None,      100,       100,       100),
    "hotplug":          (None,      25,        None,      None,      None,      None),
    # Where nothing runs at once a second shows that the driver works.
    "at-once-seconds":  (1,         1,         1,         1,         10,        1),
    "nesting-seconds":  (None,      20,        None,      None,      20,        None),
    "ticks":            (None,      None,      None,      None,      None,      15_000),
    "fuzz":             (200_000,   50_000,    None,      20_000,    50_000,    100_000),
    "fills":            (10,        None,      None,      5,         5,         5),
    "memcg":            (10,        None,      None,      50,        10,        50),
    "refused":          (50_000,    None,      None,      10_000,    10_000,    100_000),
}  # fmt: skip

AMOUNTS = {name: dict(zip(KINDS, row, strict=True)) for name, row in _TABLE.items()}

# What the suites count, by the row that each of them has at least.
COUNTED = {
    "load-unload-cycles": "cycles",
    "writers-killed": "kills",
    "fault-points": "failures",
    "mmap-cases": "bounds",
    "fuzz-requests": "fuzz",
    "timer-operations": "race",
    "samples-checked": "loss",
}


@functools.cache
def kind() -> str:
    """Of the running kernel, by what only it has."""
    debug = Path("/sys/kernel/debug")
    if USER_MODE:
        return UM
    if (debug / "gcov").exists():
        return GCOV
    if (debug / "failslab").exists():
        return KASAN
    if Path("/proc/lockdep_stats").exists():
        return LOCKDEP
    if (debug / "kcsan").exists():
        return KCSAN
    return DEBIAN


def kind_of(kernel: str) -> str:
    """Of a kernel, by its name in kernels.toml."""
    name = kernel.rpartition("-")[2]
    return name if name in KINDS else DEBIAN


def promised() -> str:
    """Of the kernel that the harness was asked for."""
    return kind_of(os.environ.get("VM_KERNEL", ""))


def amount(name: str) -> int:
    """The amount for the running kernel."""
    number = AMOUNTS[name][kind()]
    assert number is not None, f"{name} is not for a {kind()} kernel"
    return number
