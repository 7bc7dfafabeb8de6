"""Allocations and copies that fail, one after the other: see failures.c."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import rtshm

from tests.lib import module
from tests.lib.libc import PAGE

if TYPE_CHECKING:
    from tests.lib.fixtures import Load
    from tests.stress.program import Count, Stress


SLABS, PAGES, COPIES = range(3)
HOUR_NS = 3_600_000_000_000


@pytest.mark.promise("robustness: Loading fails whole wherever an allocation fails")
@pytest.mark.amounts("failures")
def test_load_and_unload_with_every_allocation_failing(stress: Stress, count: Count) -> None:
    before = module.traces()
    done = stress("failures", SLABS, 0)
    assert done["operations"] == 2
    assert module.traces() == before
    count("fault-points", done["points"])
    count("load-unload-cycles", done["points"])


@pytest.mark.promise("robustness: Each operation fails whole wherever an allocation fails")
@pytest.mark.amounts("failures")
def test_every_operation_with_every_allocation_failing(
    stress: Stress, amounts: list[int], load: Load, count: Count
) -> None:
    """And nothing of what failed is still counted: what is left of every limit can be had."""
    (points,) = amounts
    room = 4096 * PAGE
    load(print=0, period_ns=HOUR_NS, bytes_max=room, rate_max_hz=1000, regions_max=2)
    before = module.traces()
    done = stress("failures", SLABS, 1)["points"] + stress("faults", PAGES, 1)["points"]
    assert done >= points
    assert module.traces() == before
    with rtshm.Control() as control:
        control.create("rest", size=room - PAGE, period=1_001_002)
        control.delete("rest")
    count("fault-points", done)


@pytest.mark.promise(
    "robustness: Faulting user memory is EFAULT, and an incomplete sample comes again"
)
@pytest.mark.amounts("copy-failures")
def test_every_operation_with_every_copy_failing(
    stress: Stress, amounts: list[int], load: Load, count: Count
) -> None:
    (points,) = amounts
    load(print=0, period_ns=HOUR_NS)
    done = stress("failures", COPIES, 1)["points"]
    assert done >= points
    count("fault-points", done)
