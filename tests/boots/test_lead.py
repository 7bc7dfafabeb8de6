"""A tick that is waited for, where time counts instructions: how late it is then."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.lib import payload

if TYPE_CHECKING:
    from tests.boots.program import Program


@pytest.mark.promise("ticks: A lead hides interrupt latency up to its length, and no tick is early")
def test_interrupt_latency_up_to_the_lead_makes_no_tick_late(guest_program: Program) -> None:
    guest_program("lead", icount=True)


def test_lead_is_refused_where_the_clock_may_stand_while_the_cpu_waits() -> None:
    done = payload.run(
        "insmod rtshm.ko print=0 && rtshm create l --period 1s && "
        "rtshm create w --period 1s --lead 1us",
        deadline=120,
        arguments="highres=off",
    )
    assert (done.outcome.lost, done.outcome.status) == (None, 1)
    assert "lead: this kernel has no high-resolution timers" in done.stderr.decode()
