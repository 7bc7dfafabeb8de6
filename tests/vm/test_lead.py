"""A tick that is waited for, where time counts instructions: how late it is then."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tests.vm.conftest import Program


def test_what_keeps_the_interrupt_makes_no_tick_late_up_to_the_lead(guest_program: Program) -> None:
    guest_program("lead", icount=True)
