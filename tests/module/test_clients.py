"""That the library works on each kernel: opening, reading the history, storing into a field."""

from __future__ import annotations

import time
from datetime import timedelta
from typing import TYPE_CHECKING

import numpy
import pytest
import rtshm
from rtshm import Control, Samples

from tests.lib.tearing import checked, hostile

if TYPE_CHECKING:
    from pathlib import Path

RECORDS = 1_000_000
BOTH_HALVES = 0x1_0000_0001


@pytest.mark.promise("history: Lost samples are exactly the gaps in the tick numbers")
def test_lost_is_the_gaps_in_the_ticks(control: Control) -> None:
    control.create("a", period=timedelta(microseconds=200), record_depth=16)
    with Samples("a") as samples:
        first = last = gaps = 0
        for turn in range(50):
            time.sleep(0.001 * (turn % 7))
            array = samples.read_array(1 + turn % 20)
            if last:
                gaps += int(array["tick"][0]) - last - 1
            first = first or int(array["tick"][0])
            last = int(array["tick"][-1])
            assert (numpy.diff(array["tick"]) == 1).all()
        assert samples.lost == gaps > 0


@pytest.mark.promise("fields: A store of one number through the view is whole")
@pytest.mark.once
def test_of_1000000_plain_stores_of_one_field_none_is_torn(control: Control, tear: Path) -> None:
    control.create("plain", layout="first:u64", period=timedelta(milliseconds=2))
    with (
        rtshm.open("plain") as region,
        checked(tear, "plain", 1) as seen,
        hostile(tear, "store", "plain", 1, RECORDS),
    ):
        for low in range(10_000):
            region.view.first = low * BOTH_HALVES
            assert region.view.first % BOTH_HALVES == 0
    assert seen[0].changed > 0
    assert seen[0].torn == 0
