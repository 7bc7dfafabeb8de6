"""A region's ticks on a cpu of their own, set aside on the kernel's command line."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.boots.program import Program


@pytest.mark.promise(
    "ticks: A timer runs on the CPU that was asked for, and on another one while that is offline"
)
def test_region_ticks_on_an_isolated_cpu_and_only_if_it_is_asked_to(guest_program: Program) -> None:
    guest_program("isolated", 1, kernel="6.12-rt", arguments="isolcpus=1")
