"""The suites in the guest, on each kernel of the table: one test here per machine."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.lib import schedule, suites

if TYPE_CHECKING:
    from tests.lib.suites import Suite


def test_counts_are_those_of_the_last_closing_line() -> None:
    output = (
        "x\n=== 1 failed, 3 passed in 0.10s ===\n= 41 passed, 2 skipped in 75.00s (0:01:15) =\n"
    )
    assert suites.counts(output) == {"passed": 41, "skipped": 2}
    assert suites.counts("no tests ran") == {}


@pytest.mark.promise("robustness: The suites pass on each kernel")
@pytest.mark.parametrize(
    "suite",
    [
        pytest.param(suite, marks=[pytest.mark.more] if suite.more else [], id=str(suite))
        for suite in suites.all_suites()
    ],
)
def test_suite(suite: Suite, request: pytest.FixtureRequest) -> None:
    result = suites.run(suite)
    request.node.user_properties.append(schedule.as_property(result))
    if result.faults:
        print(result.output)
    assert result.faults == []
