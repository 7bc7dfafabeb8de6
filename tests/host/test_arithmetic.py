"""What of the module is arithmetic alone, in all its cases: see tests/host/kernel."""

from __future__ import annotations

import random
import re
import string
from typing import TYPE_CHECKING

import pytest

from tests.host.kernel import arithmetic

if TYPE_CHECKING:
    import ctypes
    from collections.abc import Iterator
    from pathlib import Path

NONE = 2**64 - 1
PATTERN = re.compile(r"[a-z0-9][a-z0-9_-]{0,30}")


@pytest.fixture(scope="session")
def module(tmp_path_factory: pytest.TempPathFactory) -> ctypes.CDLL:
    return arithmetic.compiled(arithmetic.sources(), tmp_path_factory.mktemp("arithmetic"))


@pytest.mark.parametrize("record_bytes", [8, 40])
def test_reader_of_a_ring_gets_each_kept_sample_once(
    module: ctypes.CDLL, record_bytes: int
) -> None:
    """Depths 1 to 64, each position, each lag of the reader up to two rounds and two samples."""
    assert module.check_ring(64, record_bytes) > 10_000_000


def test_push_wakes_at_the_watermark_or_the_time_and_once(module: ctypes.CDLL) -> None:
    assert module.check_wake(20) == 20**3


def test_copies_are_exact_and_split_no_aligned_field(module: ctypes.CDLL) -> None:
    """Each length from each place of 200 bytes, in and out."""
    assert module.check_copies(200) == 201 * 202 // 2 - 1


def fuzzed_names(count: int) -> Iterator[bytes]:
    """Names, about half of them valid: random ones, and valid ones with one byte changed."""
    dice = random.Random(20260301)
    right = string.ascii_lowercase + string.digits + "_-"
    for _ in range(count):
        length = dice.choice((0, 1, 2, 3, 8, 30, 31, 32, 33, 64, 200))
        name = bytearray("".join(dice.choices(right, k=length)).encode())
        if name and dice.random() < 0.5:
            name[dice.randrange(length)] = dice.choice(b"\x01\t\n /.:%\\AZ_-\x7f\x80\xff*?~a")
        yield bytes(name)


@pytest.mark.promise("regions: A name matches [a-z0-9][a-z0-9_-]{0,30} and belongs to one region")
def test_accepted_names_are_those_of_the_pattern(module: ctypes.CDLL) -> None:
    names = [*fuzzed_names(50_000), *(bytes([one]) for one in range(1, 256))]
    accepted = {name for name in names if module.name_ok(name)}
    assert accepted == {name for name in names if PATTERN.fullmatch(name.decode("latin-1"))}
    assert 0 < len(accepted) < len(set(names))


def test_first_tick_is_the_next_of_the_grid(module: ctypes.CDLL) -> None:
    for period in (1, 7, 100_000, 3_600_000_000_000):
        for phase in {0, 1, period // 2, period - 1, 5 * period + 3}:
            for now in {0, phase, phase + 1, 10 * period - 1, 10 * period, 2**62}:
                first = module.first_tick(NONE, phase, period, now)
                assert first % period == phase % period
                assert first == phase if now < phase else now < first <= now + period
        assert module.first_tick(NONE, NONE, period, 12345) == 12345
        assert module.first_tick(777, NONE, period, 12345) == 777


FAULTS = {
    "run beyond the end of the ring": ("ring->depth - begin)", "ring->depth)"),
    "first sample by one too old": ("ring->head - kept)", "ring->head - kept - 1)"),
    "ring a slot too short": ("++ring->at == ring->depth", "++ring->at >= ring->depth - 1"),
    "last word of the record left out": ("++record < end", "++record < end - 1"),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_fault_in_the_ring_is_found(fault: str, tmp_path: Path) -> None:
    text = arithmetic.sources()
    assert text.count(FAULTS[fault][0]) == 1
    assert arithmetic.compiled(text.replace(*FAULTS[fault]), tmp_path).check_ring(5, 40) == -1


@pytest.mark.parametrize(
    ("right", "wrong"),
    [("pos & (piece - 1) || ", ""), ("size_t piece = sizeof(u64)", "size_t piece = sizeof(u32)")],
)
def test_fault_in_the_copies_is_found(right: str, wrong: str, tmp_path: Path) -> None:
    text = arithmetic.sources()
    assert text.count(right) == 1
    assert arithmetic.compiled(text.replace(right, wrong), tmp_path).check_copies(64) == -1
