"""Sweeps: where edges are, whatever the chunks, and what a gap does."""

from __future__ import annotations

import math
import random
from itertools import pairwise
from typing import Any

import numpy
import pytest
from rtshm.recording.trigger import WAIT_NS, Edge, Mode, Sweep, Sweeper, Sweeps, Trigger, edges

DTYPE = numpy.dtype([("tick", "i8"), ("value", "f8")])
Rows = numpy.ndarray[Any, numpy.dtype[Any]]


def rows(values: list[float], first: int = 1) -> Rows:
    made = numpy.zeros(len(values), DTYPE)
    made["tick"] = numpy.arange(first, first + len(values))
    made["value"] = values
    return made


def sweeper(
    width: int, before: int, mode: Mode = Mode.NORMAL, edge: Edge = Edge.RISING, level: float = 0.5
) -> Sweeper:
    return Sweeper(width, before, Trigger(lambda rows: rows["value"], level, edge), mode)


def ticks(sweeps: list[Sweep]) -> list[tuple[int, int, int | None]]:
    """First tick, last tick and that of the edge."""
    return [
        (
            int(sweep.rows["tick"][0]),
            int(sweep.rows["tick"][-1]),
            None if sweep.at is None else int(sweep.rows["tick"][sweep.at]),
        )
        for sweep in sweeps
    ]


@pytest.mark.parametrize(
    ("edge", "found"),
    [(Edge.RISING, [1, 4]), (Edge.FALLING, [2, 6]), (Edge.BOTH, [1, 2, 4, 6])],
)
def test_edge_is_the_first_value_on_the_other_side(edge: Edge, found: list[int]) -> None:
    assert list(edges(numpy.array([0.0, 2, 1, 0, 1, 2, 0]), 1, edge)) == found


def test_value_that_is_not_a_number_is_on_neither_side() -> None:
    values = numpy.array([0, math.nan, 2, math.nan, 0.0])
    assert len(edges(values, 1, Edge.BOTH)) == 0


def test_sweep_has_the_samples_before_its_edge() -> None:
    (sweep,) = sweeper(6, 2).feed(rows([0, 0, 0, 1, 1, 1, 1, 1, 1]))
    assert ticks([sweep]) == [(2, 7, 4)]
    assert (sweep.at, sweep.whole) == (2, True)


def test_edge_without_enough_before_it_does_not_count() -> None:
    assert ticks(sweeper(4, 3).feed(rows([0, 1, 0, 0, 1, 1, 1]))) == [(2, 5, 5)]


def test_edge_within_a_sweep_begins_no_other() -> None:
    assert ticks(sweeper(4, 0).feed(rows([0, 1, 0, 1, 0, 0, 1, 0, 0, 0]))) == [
        (2, 5, 2),
        (7, 10, 7),
    ]


def test_auto_sweeps_without_an_edge_where_there_is_none() -> None:
    made = sweeper(4, 1, Mode.AUTO).feed(rows([0.0] * 9 + [1, 1, 1, 1]))
    assert ticks(made) == [(1, 4, None), (5, 8, None), (9, 12, 10)]
    free = Sweeper(3, 0, None, Mode.AUTO).feed(rows([0.0] * 7))
    assert ticks(free) == [(1, 3, None), (4, 6, None)]


def test_single_makes_one_sweep_until_it_is_armed() -> None:
    made = sweeper(2, 0, Mode.SINGLE)
    assert ticks(made.feed(rows([0, 1, 0, 1, 0, 1, 0]))) == [(2, 3, 2)]
    assert made.stopped
    assert made.feed(rows([0, 1, 0], first=8)) == []
    made.arm()
    assert ticks(made.feed(rows([1, 0, 1, 0], first=11))) == [(13, 14, 13)]


@pytest.mark.promise("scope: An edge does not depend on how samples arrive, and a gap ends a sweep")
def test_gap_ends_a_sweep_and_no_edge_is_across_it() -> None:
    made = sweeper(6, 1)
    assert made.feed(rows([0, 0, 1])) == []
    (sweep,) = made.feed(rows([1, 1, 0], first=10))
    assert ticks([sweep]) == [(2, 3, 3)]
    assert not sweep.whole
    # From 0 up to 1, with a gap between.
    assert made.feed(rows([1, 1, 1, 1, 1, 1, 1, 1], first=20)) == []
    joined = numpy.concatenate([rows([0, 0], first=30), rows([1, 1, 0, 1, 1, 1, 1, 1], first=40)])
    assert ticks(made.feed(joined)) == [(42, 47, 43)]


@pytest.mark.promise("scope: An edge does not depend on how samples arrive, and a gap ends a sweep")
@pytest.mark.parametrize("mode", list(Mode))
@pytest.mark.parametrize("edge", list(Edge))
def test_chunks_make_no_difference(mode: Mode, edge: Edge) -> None:
    chance = random.Random(1)
    for _ in range(200):
        values = [float(chance.random() < 0.2) for _ in range(120)]
        data = rows(values)
        # Two gaps.
        data["tick"][50:] += 3
        data["tick"][90:] += 1
        width = chance.randrange(1, 20)
        before = chance.randrange(width)
        whole = ticks(sweeper(width, before, mode, edge).feed(data))
        cuts = sorted(chance.sample(range(121), 8))
        in_chunks = sweeper(width, before, mode, edge)
        made = [
            sweep
            for begin, end in pairwise([0, *cuts, 120])
            for sweep in in_chunks.feed(data[begin:end])
        ]
        assert ticks(made) == whole
        for sweep in made:
            assert (numpy.diff(sweep.rows["tick"]) == 1).all()
            assert len(sweep.rows) == width or not sweep.whole


def test_kept_samples_do_not_grow() -> None:
    for mode in Mode:
        made = sweeper(10, 5, mode)
        for number in range(1000):
            made.feed(rows([0.0] * 10, first=1 + 10 * number))
        assert made._rows is not None
        assert len(made._rows) <= 30


def test_more_before_the_edge_than_a_sweep_has_is_refused() -> None:
    with pytest.raises(ValueError, match="10 samples before the edge; a sweep has 10"):
        sweeper(10, 10)


TIMED = numpy.dtype([("tick", "i8"), ("time_ns", "i8"), ("value", "f8")])
MS = 1_000_000


def timed(values: list[float], first: int = 1, period_ns: int = MS) -> Rows:
    made = numpy.zeros(len(values), TIMED)
    made["tick"] = numpy.arange(first, first + len(values))
    made["time_ns"] = made["tick"] * period_ns
    made["value"] = values
    return made


def times(sweep: Sweep) -> list[list[int]]:
    return [(part["time_ns"] // MS).tolist() for part in sweep.parts]


NONE = timed([])


def test_sweep_has_the_samples_of_other_regions_from_its_time() -> None:
    sweeps = Sweeps(sweeper(4, 1), 1, [TIMED, TIMED], 10**9)
    # The other has no sample from after it yet.
    first = [timed([1, 2], period_ns=2 * MS), timed([0, 0, 1, 1, 1, 1])]
    assert sweeps.feed(first) == []
    (sweep,) = sweeps.feed([timed([3, 4], first=3, period_ns=2 * MS), NONE])
    assert times(sweep) == [[2, 4], [2, 3, 4, 5]]
    assert (sweep.at, sweep.parts[1] is sweep.rows) == (1, True)


def test_sweep_does_not_wait_long_for_a_region_that_is_slow() -> None:
    sweeps = Sweeps(sweeper(4, 1), 0, [TIMED, TIMED], 10**9)
    count = WAIT_NS // MS
    assert sweeps.feed([timed([0.0, 0, 1, 1, 1, *[1] * (count - 1)]), NONE]) == []
    (sweep,) = sweeps.feed([timed([1], first=count + 5), NONE])
    assert times(sweep) == [[2, 3, 4, 5], []]


def test_sweep_has_the_samples_of_other_regions_when_all_are_read_late() -> None:
    """Later than a sweep waits."""
    sweeps = Sweeps(sweeper(4, 1), 0, [TIMED, TIMED], 10**9)
    late = 2 * WAIT_NS // MS
    (sweep,) = sweeps.feed([timed([0.0, 0, 1, *[1] * late]), timed([0.0] * late)])
    assert times(sweep) == [[2, 3, 4, 5], [2, 3, 4, 5]]


def test_last_sweep_of_a_recording_does_not_wait() -> None:
    sweeps = Sweeps(sweeper(4, 1), 0, [TIMED, TIMED], 10**9)
    (sweep,) = sweeps.feed([timed([0.0, 0, 1, 1, 1]), timed([0.0] * 3)], last=True)
    assert times(sweep) == [[2, 3, 4, 5], [2, 3]]


def test_old_samples_of_other_regions_are_forgotten() -> None:
    sweeps = Sweeps(sweeper(4, 1), 0, [TIMED, TIMED], 50 * MS)
    for at in range(1, 2000, 10):
        sweeps.feed([timed([0.0] * 10, first=at)] * 2)
    assert len(sweeps._rows[1]) <= 60
    # Also where the leading one has stopped.
    for at in range(2001, 4000, 10):
        sweeps.feed([NONE, timed([0.0] * 10, first=at)])
    assert len(sweeps._rows[1]) <= 60
