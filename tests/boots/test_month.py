"""A month of ticks, by a module whose counters begin there.

Ticks and samples are counted in 64 bits, which at the highest rate, a tick in
10 us, last 5.8 million years: they are not tried. Their lower halves wrap.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.boots.program import Program

# At 10 kHz 29.8 days, and 100 ticks before the lower half is 0.
BEFORE = 6 * 2**32 - 100


@pytest.mark.promise("history: A month of ticks at 10 kHz changes nothing")
def test_history_goes_on_where_the_lower_half_of_a_tick_wraps(guest_program: Program) -> None:
    flags = f"KCFLAGS=-DRTSHM_TICKS_BEFORE={BEFORE}ULL"
    guest_program("month", BEFORE, variables=[flags], warm=True)
