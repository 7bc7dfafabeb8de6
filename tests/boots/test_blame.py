"""Find who made a tick late, where time counts instructions and nothing else makes it so late."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.boots.program import Program


@pytest.mark.promise("blame: What keeps interrupts off for 50 us is named 20 times of 20")
@pytest.mark.parametrize(
    "kernel",
    [
        "6.12",
        *(pytest.param(each, marks=pytest.mark.more) for each in ("6.12-rt", "6.1", "7.2", "7.3")),
    ],
)
@pytest.mark.promise("blame: A function or a tick that keeps interrupts off is named")
def test_function_that_keeps_interrupts_off_is_named_each_time(
    guest_program: Program, kernel: str
) -> None:
    guest_program("blame", kernel=kernel, icount=True)


@pytest.mark.promise("blame: What the tick only interrupted is not named")
@pytest.mark.parametrize("kernel", [pytest.param("6.12", marks=pytest.mark.more), "6.12-rt"])
def test_read_that_is_interrupted_is_not_named_and_write_that_keeps_interrupts_off_is(
    guest_program: Program, kernel: str
) -> None:
    guest_program("blame_copies", kernel=kernel, icount=True)
