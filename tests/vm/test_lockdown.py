"""What a kernel that is locked down makes of raw memory: a machine of its own, for there is
no way back."""

from __future__ import annotations

import io
from pathlib import Path

from tests.vm import kernels, machine, splats

CHECKOUT = Path(__file__).resolve().parents[2]
TABLE = kernels.load()


def test_locked_down_kernel_gives_no_raw_memory_and_the_error_says_so() -> None:
    output = io.BytesIO()
    outcome = machine.run(
        TABLE,
        TABLE[""],
        CHECKOUT,
        "python3 -m tests.guest.lockdown",
        deadline=120,
        sinks=machine.Sinks(stdout=output, stderr=output),
    )
    assert outcome.lost is None, f"machine lost: {outcome.lost}"
    assert splats.scan(outcome.log(), outcome.accelerator) == []
    assert (outcome.status, output.getvalue()) == (0, b"lockdown: passed\n"), output.getvalue()
