"""A region's ticks on a cpu of their own, set aside on the kernel's command line."""

from __future__ import annotations

import io
from pathlib import Path

from tests.vm import kernels, machine, splats

CHECKOUT = Path(__file__).resolve().parents[2]
TABLE = kernels.load()


def test_region_ticks_on_an_isolated_cpu_and_only_if_it_is_asked_to() -> None:
    output = io.BytesIO()
    outcome = machine.run(
        TABLE,
        TABLE["6.12-rt"],
        CHECKOUT,
        "python3 -m tests.guest.isolated 1",
        deadline=120,
        sinks=machine.Sinks(stdout=output, stderr=output),
        arguments="isolcpus=1",
    )
    assert outcome.lost is None, f"machine lost: {outcome.lost}"
    assert splats.scan(outcome.log(), outcome.accelerator) == []
    assert (outcome.status, output.getvalue()) == (0, b"isolated: passed\n"), output.getvalue()
