"""What a kernel that is locked down makes of raw memory: a machine of its own, for there is
no way back."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.boots.program import Program


@pytest.mark.promise("raw memory: An error names what forbids /dev/mem")
def test_locked_down_kernel_gives_no_raw_memory_and_the_error_says_so(
    guest_program: Program,
) -> None:
    guest_program("lockdown", warm=True)


@pytest.mark.promise("BPF: A locked-down kernel loads and runs BPF tasks")
def test_locked_down_kernel_takes_bpf_tasks(guest_program: Program) -> None:
    guest_program("lockdown_tasks", warm=True)
