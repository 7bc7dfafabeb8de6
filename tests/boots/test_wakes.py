"""Programs that wait for a tick, where time counts instructions: their lateness and its cost."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.boots.program import Program


def test_reader_is_woken_as_soon_as_a_thread_that_sleeps(guest_program: Program) -> None:
    guest_program("wakes", kernel="6.12-rt", icount=True)


def test_watches_of_an_unprivileged_user_cost_other_regions_no_tick(
    guest_program: Program,
) -> None:
    guest_program("watches", icount=True)


@pytest.mark.parametrize("kernel", ["6.12", "6.12-rt"])
def test_reads_of_a_region_make_its_ticks_no_later(guest_program: Program, kernel: str) -> None:
    guest_program("readers", kernel=kernel, icount=True)
