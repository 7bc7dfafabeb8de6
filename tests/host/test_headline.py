"""The table at the end: what it adds up, and that it can find something missing."""

from __future__ import annotations

import pytest

from tests.lib import headline
from tests.lib.amounts import AMOUNTS, COUNTED
from tests.lib.suites import Result, Suite

KERNELS = headline.AT_LEAST["kernels-passed"]
ENOUGH = "".join(
    f"amount: {name} {least}\n" for name, least in headline.AT_LEAST.items() if name in COUNTED
)
FAULTS = {
    "splats": "splat: BUG: KASAN: slab-use-after-free in rtshm_tick",
    "leaks": "closing: unreferenced object 0xffff888003e2a000 (size 4096):",
    "torn": "kills: a torn record in a sample (seed 7)",
    "lost": "loss: 100 ticks, 98 read and 1 lost (seed 7)",
}


def result(kernel: str, output: str = "", *faults: str) -> Result:
    return Result(Suite(kernel, "stress", more=True), output, list(faults), 1.0)


def enough() -> list[Result]:
    others = [result(f"6.{minor}") for minor in range(KERNELS - 1)]
    return [result("6.12-kasan", ENOUGH), *others]


def test_enough_is_enough() -> None:
    assert headline.short(headline.total(enough())) == []


def test_each_figure_that_is_short_is_named() -> None:
    for line in ENOUGH.splitlines():
        name = line.split()[1]
        less = [result("6.12-kasan", ENOUGH.replace(line + "\n", "")), *enough()[1:]]
        (fault,) = headline.short(headline.total(less))
        assert fault.startswith(name)


@pytest.mark.parametrize("name", COUNTED)
def test_amount_that_one_kernel_did_not_do_is_missed(name: str) -> None:
    """Each kernel's own amount is in the sum, so that no other one makes up for it."""
    of_kasan = AMOUNTS[COUNTED[name]]["kasan"]
    assert of_kasan
    sums = headline.total(enough())
    sums[name] -= of_kasan
    assert headline.short(sums) == [
        f"{name}: {sums[name]:,}, and {headline.AT_LEAST[name]:,} at least are promised"
    ]


def test_kernel_with_a_fault_in_one_of_its_suites_did_not_pass() -> None:
    sums = headline.total([*enough(), result("6.1", "", "status 1")])
    assert headline.short(sums) == [
        f"kernels-passed: {KERNELS - 1}, and {KERNELS} at least are promised"
    ]


def test_each_kind_of_fault_is_counted() -> None:
    for name, line in FAULTS.items():
        in_output = headline.total([*enough(), result("7.3", line + "\n")])
        assert headline.short(in_output) == [f"{name}: 1, and none are promised"]
        assert headline.total([result("7.3", "", line)])[name] == 1


def test_table_has_the_limit_next_to_each_figure() -> None:
    lines = headline.table(enough(), whole=True)
    assert lines[0] == "6.12-kasan-stress             1 s  passed"
    least = headline.AT_LEAST["load-unload-cycles"]
    assert f"{'load-unload-cycles':24} {least:12,}  at least {least:,}" in lines
    assert "splats                              0" in lines


def test_table_of_some_suites_has_no_limits() -> None:
    assert not any("at least" in line for line in headline.table(enough(), whole=False))
    lines = headline.table([result("6.12")], whole=False)
    assert [line.split()[0] for line in lines[1:]] == ["kernels-passed", *headline.NONE]
