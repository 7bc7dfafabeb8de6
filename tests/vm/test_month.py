"""A month of ticks, by a module whose counters begin there.

Ticks and samples are counted in 64 bits, which at the highest rate, a tick in
10 us, last 5.8 million years: they are not tried. Their lower halves wrap.
"""

from __future__ import annotations

import io
from pathlib import Path

from tests.vm import kernels, machine, splats

CHECKOUT = Path(__file__).resolve().parents[2]
TABLE = kernels.load()

# At 10 kHz 29.8 days, and 1000 ticks before the lower half is 0.
BEFORE = 6 * 2**32 - 1000


def test_history_goes_on_where_the_lower_half_of_a_tick_wraps() -> None:
    output = io.BytesIO()
    outcome = machine.run(
        TABLE,
        TABLE[""],
        CHECKOUT,
        f"python3 -m tests.guest.month {BEFORE}",
        deadline=120,
        sinks=machine.Sinks(stdout=output, stderr=output),
        variables=[f"KCFLAGS=-DRTSHM_TICKS_BEFORE={BEFORE}ULL"],
    )
    assert outcome.lost is None, f"machine lost: {outcome.lost}"
    assert splats.scan(outcome.log(), outcome.accelerator) == []
    assert (outcome.status, output.getvalue()) == (0, b"month: passed\n"), output.getvalue()
