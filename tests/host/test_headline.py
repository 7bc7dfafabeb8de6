"""The table at the end: what it adds up, and that it can find something missing."""

from __future__ import annotations

from tests.lib import headline
from tests.lib.suites import Result, Suite

KERNELS = headline.AT_LEAST["kernels-passed"]
ENOUGH = """\
figure: load-unload-cycles 300
figure: writers-killed 1000
figure: fault-points 300
figure: mmap-cases 4096
figure: fuzz-requests 200000
figure: timer-operations 100000
figure: samples-checked 500000
"""
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


def test_requests_without_kasan_are_not_those_promised() -> None:
    others = [result("6.12", ENOUGH), result("6.12-kasan"), *enough()[1:]]
    assert headline.short(headline.total(others)) == [
        "fuzz-requests-kasan: 0, and 200,000 at least are promised"
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
    assert "load-unload-cycles                300  at least 300" in lines
    assert "splats                              0" in lines


def test_table_of_some_suites_has_no_limits() -> None:
    assert not any("at least" in line for line in headline.table(enough(), whole=False))
