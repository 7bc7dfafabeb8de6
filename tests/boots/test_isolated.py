"""A region's ticks on a cpu of their own, set aside on the kernel's command line."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tests.boots.program import Program


def test_region_ticks_on_an_isolated_cpu_and_only_if_it_is_asked_to(guest_program: Program) -> None:
    guest_program("isolated", 1, kernel="6.12-rt", arguments="isolcpus=1")
