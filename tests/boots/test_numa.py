"""Where the memory of a region is on a machine of several nodes."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.boots.program import Program


@pytest.mark.promise("ticks: Memory of a region is on the NUMA node of its timer's CPU")
def test_memory_of_a_region_is_on_the_node_of_its_timer(guest_program: Program) -> None:
    # Debian's other flavours have no NUMA_EMU.
    guest_program("numa", kernel="6.12-rt", arguments="numa=fake=2")
