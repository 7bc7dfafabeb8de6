"""A process and the ticks, each on a cpu of its own: what shows if both run at one instant."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.lib.fixtures import Load
    from tests.stress.program import Stress

pytestmark = pytest.mark.amounts("at-once-seconds")


@pytest.fixture(autouse=True)
def loaded(load: Load) -> None:
    load(print=0, period_ns=3_600_000_000_000, period_min_ns=10_000)


@pytest.mark.promise("word: A publication that comes while the tick takes another is kept")
def test_published_value_stays_whatever_the_tick_does(stress: Stress, amounts: list[int]) -> None:
    stress("stays", *amounts)


@pytest.mark.promise("word: An announcement that a tick took is one that was made")
def test_taken_announcement_is_one_that_was_made(stress: Stress, amounts: list[int]) -> None:
    stress("announced", *amounts)


@pytest.mark.promise("history: A sample that is overwritten while it is read is not returned")
def test_overwritten_sample_is_not_read(stress: Stress, amounts: list[int]) -> None:
    stress("overtaken", *amounts)


@pytest.mark.promise("word: A poller that looks while the tick takes is woken")
def test_poller_that_looks_while_the_tick_takes_is_woken(
    stress: Stress, amounts: list[int]
) -> None:
    stress("handshake", *amounts)
