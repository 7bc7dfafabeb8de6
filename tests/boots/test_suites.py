"""The suites in the guest, on each kernel of the table: one test here per machine."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

import pytest

from tests.lib import headline, suites

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.lib.suites import Suite


def test_counts_are_those_of_the_last_closing_line() -> None:
    output = (
        "x\n=== 1 failed, 3 passed in 0.10s ===\n= 41 passed, 2 skipped in 75.00s (0:01:15) =\n"
    )
    assert suites.counts(output) == {"passed": 41, "skipped": 2}
    assert suites.counts("no tests ran") == {}


@pytest.fixture(scope="module")
def runs(request: pytest.FixtureRequest) -> Iterator[suites.Runs]:
    """All suites that this session is to run: they begin at once, two at a time."""
    wanted = [
        cast("Suite", item.callspec.params["suite"])
        for item in request.session.items
        if isinstance(item, pytest.Function) and item.originalname == "test_suite"
    ]
    running = suites.Runs(wanted)
    yield running
    running.close()


@pytest.mark.parametrize(
    "suite",
    [
        pytest.param(suite, marks=[pytest.mark.more] if suite.more else [], id=str(suite))
        for suite in suites.all_suites()
    ],
)
def test_suite(suite: Suite, runs: suites.Runs, results: list[suites.Result]) -> None:
    result = runs.result(suite)
    results.append(result)
    if result.faults:
        print(result.output)
    assert result.faults == []


# One kernel does not do it all.
if not suites.CHOSEN:

    @pytest.mark.more
    def test_what_is_promised_of_all_suites_was_done(results: list[suites.Result]) -> None:
        assert headline.short(headline.total(results)) == []
