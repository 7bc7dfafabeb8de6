"""Regions that come, change and go under their timers, their pollers and dumps."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.lib.fixtures import Load
    from tests.stress.program import Count, Stress


@pytest.fixture(autouse=True)
def loaded(load: Load) -> None:
    load(print=0, period_ns=1_000_000)


@pytest.mark.promise("robustness: Creating, changing and deleting race with ticks and opens")
@pytest.mark.amounts("race")
def test_two_cpus_change_the_same_timers(stress: Stress, amounts: list[int], count: Count) -> None:
    (operations,) = amounts
    done = stress("race", operations)
    assert done["operations"] == operations
    assert min(done["made"], done["set"], done["defaults"]) > 0
    count("timer-operations", operations)


@pytest.mark.promise("robustness: A region that ticks can be deleted")
@pytest.mark.amounts("churn", "dumps")
def test_delete_under_a_running_timer_and_under_dumps(
    stress: Stress, amounts: list[int], count: Count
) -> None:
    deletes, dumps = amounts
    done = stress("churn", deletes, dumps)
    assert done["deletes"] >= deletes
    assert done["dumps"] >= dumps
    assert done["interrupted"] > 0
    count("timer-operations", 2 * done["deletes"])


@pytest.mark.promise("regions: A delete hangs up on those who wait")
@pytest.mark.amounts("polled")
def test_delete_is_told_to_all_pollers(stress: Stress, amounts: list[int]) -> None:
    (deletes,) = amounts
    assert stress("polled", deletes) == {"deletes": deletes, "told": 3 * deletes}


@pytest.mark.promise("limits: All the ticks that the limits allow leave the machine usable")
@pytest.mark.amounts("storm-seconds")
def test_as_many_timers_as_there_may_be(stress: Stress, amounts: list[int]) -> None:
    """At the shortest period: 12 and the default region's are the highest rate of all."""
    (seconds,) = amounts
    assert stress("storm", seconds, 12, 100_000)["p99_us"] < 1_000_000
