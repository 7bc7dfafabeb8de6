"""Writers that die at any instant, writers that mean harm, and who reads of them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import rtshm

from tests.lib import tearing
from tests.lib.tearing import checked, hostile

if TYPE_CHECKING:
    from pathlib import Path

    from tests.lib.fixtures import Load
    from tests.stress.program import Count, Stress


DEPTH = 256


@pytest.fixture(autouse=True)
def loaded(load: Load) -> None:
    load(print=0, period_ns=3_600_000_000_000)


@pytest.mark.promise("word: A writer killed at any instant leaves a whole word")
@pytest.mark.amounts("kills")
def test_killed_writers_leave_whole_records(
    stress: Stress, amounts: list[int], count: Count
) -> None:
    (kills,) = amounts
    done = stress("kills", kills)
    assert done["kills"] == kills
    assert done["checked"] > kills
    assert done["longest"] <= 3
    count("writers-killed", kills)


@pytest.mark.promise("fields: A reader never sees half of a record that write() or update() stored")
@pytest.mark.amounts("records")
def test_of_many_records_by_write_none_is_torn(tear: Path, amounts: list[int]) -> None:
    (records,) = amounts
    fields = 64
    with rtshm.Control() as control:
        control.create("plain", layout=f"all:u64[{fields}]", period=2_000_000)
    with checked(tear, "plain", fields) as seen, hostile(tear, "write", "plain", fields, records):
        pass
    assert seen[0].changed > 0
    assert seen[0].torn == 0


@pytest.mark.promise("fields: A store of one number through the view is whole")
@pytest.mark.amounts("stores")
def test_of_many_plain_stores_of_one_field_none_is_torn(tear: Path, amounts: list[int]) -> None:
    with rtshm.Control() as control:
        tearing.store_one_field(control, tear, amounts[0])


@pytest.mark.promise("robustness: A hostile writer harms no other region and stops no tick")
@pytest.mark.amounts("hostile-seconds")
def test_hostile_writer_harms_nobody_else(stress: Stress, amounts: list[int]) -> None:
    (seconds,) = amounts
    assert stress("hostile", seconds)["periods"] >= 1000 * seconds


@pytest.mark.promise("robustness: A tick reads user memory only by marked accesses")
@pytest.mark.amounts("loss")
def test_every_tick_is_read_or_seen_as_lost(
    stress: Stress, amounts: list[int], count: Count
) -> None:
    (samples,) = amounts
    done = stress("loss", samples, 4000, DEPTH)
    assert done["read"] >= samples
    # Some did stall for longer than the ring is deep, or nothing was put to the test.
    assert done["gaps"] > 0
    count("samples-checked", done["read"])
