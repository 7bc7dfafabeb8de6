"""A queue of setpoints that a program in Python fills, where time counts instructions."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.boots.program import Program


@pytest.mark.promise("queues: A writer in Python at 10 kHz has no underrun")
@pytest.mark.more
def test_queue_at_10_khz_has_no_underrun_in_a_minute(guest_program: Program) -> None:
    guest_program("queue", icount=True)
