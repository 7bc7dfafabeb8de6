"""The C of the module under a bounded model checker, on a processor that reorders stores and
loads: see tests/host/kernel/order.py."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.host.kernel import order

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.more


@pytest.mark.promise("ordering: No reader sees part of a write, or an old value, on weak memory")
@pytest.mark.parametrize("check", order.TAKEN)
def test_no_order_of_stores_and_loads_breaks_the_protocol(check: str, tmp_path: Path) -> None:
    assert order.verdict(check, order.sources(), tmp_path) == order.Verdict([], [])


RELAXED = ("return cmpxchg((u64 __force", "return cmpxchg_relaxed((u64 __force")
FAULTS = {
    "copies-no-second-look": ("if (!read_seqcount_retry(&region->sequence, sequence))", ""),
    "ring-no-second-look": ("kept = rtshm_ring_first(ring, first);", "kept = first;"),
    "ring-first-look-without-lock": (
        "scoped_guard(raw_spinlock_irq, &region->lock) {\n\t\t\tfirst = rtshm_ring_first",
        "{ first = rtshm_ring_first",
    ),
    "handshake-no-release": ("bits, __ATOMIC_RELEASE", "bits, __ATOMIC_RELAXED"),
    "handshake-no-full-barrier": RELAXED,
    "handshake-no-exchange": (
        "return rtshm_cmpxchg(region, seen->bits, left.bits)",
        "return WRITE_ONCE(*rtshm_word(region), left.bits), true",
    ),
    "poll-no-barrier": ("smp_mb__after_atomic();", ""),
    "poll-no-full-barrier": RELAXED,
}


@pytest.mark.parametrize("fault", FAULTS)
def test_fault_in_a_protocol_is_found(fault: str, tmp_path: Path) -> None:
    text = order.sources()
    assert text.count(FAULTS[fault][0]) == 1
    faulty = text.replace(*FAULTS[fault])
    assert order.verdict(fault.split("-")[0], faulty, tmp_path, "FAULTY").wrong


@pytest.mark.parametrize("barrier", ["WMB", "RMB"])
def test_barriers_of_a_sequence_count_are_needed(barrier: str, tmp_path: Path) -> None:
    """On the processor that is looked at: without reordering they would not be."""
    faulty = order.verdict("copies", order.sources(), tmp_path, "FAULTY", f"WITHOUT_{barrier}")
    assert faulty.wrong
