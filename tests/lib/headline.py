"""What was done in all, and what has to be done at least: the table after the suites."""

from __future__ import annotations

import re
from collections import Counter
from typing import TYPE_CHECKING

from tests.lib import suites
from tests.lib.amounts import AMOUNTS, COUNTED, kind_of

if TYPE_CHECKING:
    from collections.abc import Iterable

    from tests.lib.suites import Result

# An amount that a suite ends with: see tests/stress/conftest.py.
AMOUNT = re.compile(r"amount: (\S+) (\d+)")

# The kernels that have the stress.
STRESSED = [
    kernel
    for rows in (suites.table().test, suites.table().more)
    for kernel, names in rows.items()
    if "stress" in names
]
AT_LEAST = {
    name: sum(AMOUNTS[row][kind_of(kernel)] or 0 for kernel in STRESSED)
    for name, row in COUNTED.items()
}
AT_LEAST["kernels-passed"] = len(suites.table().kernels())

# None of these; the drivers and tests/lib/closing.py end with a line on each.
NONE = {
    "splats": re.compile(r"^splat: "),
    "leaks": re.compile(r"^closing: .*(?:unreferenced object|not given back)"),
    "torn": re.compile(r"^\w+: .*\btorn\b.*\(seed \d+\)$"),
    "lost": re.compile(r"^\w+: .*\blost\b.*\(seed \d+\)$"),
}


def total(results: Iterable[Result]) -> Counter[str]:
    """The amounts of all suites together."""
    sums: Counter[str] = Counter(dict.fromkeys([*AT_LEAST, *NONE], 0))
    passed: dict[str, bool] = {}
    for result in results:
        kernel = result.suite.kernel
        passed[kernel] = passed.get(kernel, True) and not result.faults
        for name, number in AMOUNT.findall(result.output):
            sums[name] += int(number)
        for line in [*result.output.splitlines(), *result.faults]:
            sums.update(name for name, bad in NONE.items() if bad.search(line))
    sums["kernels-passed"] = sum(passed.values())
    return sums


def short(sums: Counter[str]) -> list[str]:
    """What is not as it has to be: empty if all is well."""
    found = [
        f"{name}: {sums[name]:,}, and {least:,} at least are promised"
        for name, least in AT_LEAST.items()
        if sums[name] < least
    ]
    return found + [f"{name}: {sums[name]:,}, and none are promised" for name in NONE if sums[name]]


def table(results: Iterable[Result], *, whole: bool) -> list[str]:
    """Each suite with its time, then the amounts, of a whole run with what is promised of it."""
    results = list(results)
    lines = [
        f"{result.suite!s:24} {result.seconds:6.0f} s  {'FAILED' if result.faults else 'passed'}"
        for result in results
    ]
    for name, number in total(results).items():
        # What no suite of this run is about.
        if not whole and not number and name in AT_LEAST:
            continue
        promise = f"  at least {AT_LEAST[name]:,}" if whole and name in AT_LEAST else ""
        lines.append(f"{name:24} {number:12,}{promise}")
    return lines
