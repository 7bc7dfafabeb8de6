"""That the library works on each kernel: opening, reading the history, storing into a field."""

from __future__ import annotations

import time
from datetime import timedelta
from typing import TYPE_CHECKING

import numpy
import pytest
from rtshm import Control, Samples

from tests.lib import tearing

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.promise("history: Lost samples are exactly the gaps in the tick numbers")
def test_lost_is_the_gaps_in_the_ticks(control: Control) -> None:
    control.create("a", period=timedelta(microseconds=200), history=16)
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
def test_of_plain_stores_of_one_field_none_is_torn(control: Control, tear: Path) -> None:
    tearing.store_one_field(control, tear, 50_000)
