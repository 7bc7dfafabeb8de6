"""Sweeps of samples, as an oscilloscope makes them: around an edge, or one after another."""

from __future__ import annotations

import enum
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy

from rtshm.recording.columns import Array, joined

WAIT_NS = 200_000_000
"""How long a sweep waits for the samples of other regions."""


class Edge(enum.StrEnum):
    """Which way a value goes through a level."""

    RISING = "rising"
    """From below it to it, or above."""
    FALLING = "falling"
    """From above it to it, or below."""
    BOTH = "both"


class Mode(enum.StrEnum):
    """When there is a sweep."""

    AUTO = "auto"
    """At an edge, or without one when none comes for as long as a sweep is."""
    NORMAL = "normal"
    """At an edge."""
    SINGLE = "single"
    """At the first edge; the next when armed again."""


def edges(values: Array, level: float, edge: Edge) -> Array:
    """Indices, from 1, of the values that are the first on the other side of `level`.

    A value that is not a number is on neither side.
    """
    before, after = values[:-1], values[1:]
    found = numpy.zeros(before.shape, bool)
    if edge in (Edge.RISING, Edge.BOTH):
        found |= (before < level) & (after >= level)
    if edge in (Edge.FALLING, Edge.BOTH):
        found |= (before > level) & (after <= level)
    return numpy.flatnonzero(found) + 1


@dataclass(frozen=True)
class Sweep:
    """Samples one after another, without a gap."""

    rows: Array
    """As Samples.read_array() gave them."""
    at: int | None
    """Index of the sample with the edge; None: there was none."""
    whole: bool
    """False: a gap in the ticks ended it."""
    parts: tuple[Array, ...] = ()
    """Of Sweeps: the samples of each region from the same time, `rows` among them."""


@dataclass(frozen=True)
class Trigger:
    """What begins a sweep: an edge of `values(rows)`."""

    values: Callable[[Array], Array]
    level: float
    edge: Edge = Edge.RISING


class Sweeper:
    """Makes sweeps of `width` samples, `before` of them before the edge, of what it is fed.

    An edge counts when `before` samples precede it without a gap, and
    none that lies in a sweep begins another. Without a trigger there is no edge.

    Raises ValueError if `before` is not less than `width`.
    """

    def __init__(self, width: int, before: int, trigger: Trigger | None, mode: Mode) -> None:
        if not 0 <= before < width:
            raise ValueError(
                f"{before} samples before the edge; a sweep has {width}: give less than that"
            )
        self.mode = mode
        self.stopped = False
        """A single sweep was made."""
        self._width = width
        self._before = before
        self._trigger = trigger
        self._clear()

    def arm(self) -> None:
        """Let the next edge begin a sweep, not one that has been already."""
        self.stopped = False
        self._clear()

    def _clear(self) -> None:
        self._rows: Array | None = None
        # Indices into the rows: where the last sweep ended, and the edge of one that is begun.
        self._ended = 0
        self._looked = 1
        self._at: int | None = None

    def feed(self, rows: Array) -> list[Sweep]:
        """The sweeps that end with these samples, whose ticks go on from those before."""
        sweeps: list[Sweep] = []
        for piece in numpy.split(rows, numpy.flatnonzero(numpy.diff(rows["tick"]) != 1) + 1):
            if len(piece) == 0:
                continue
            if self._rows is not None and piece["tick"][0] != self._rows["tick"][-1] + 1:
                sweeps += self._break()
            self._rows = joined(rows.dtype, [*([] if self._rows is None else [self._rows]), piece])
            while not self.stopped and (sweep := self._next()) is not None:
                sweeps.append(sweep)
                self.stopped = self.mode is Mode.SINGLE
            self._forget()
        return sweeps

    def _break(self) -> list[Sweep]:
        """A gap: what was begun ends here."""
        sweeps = []
        if self._rows is not None and self._at is not None and not self.stopped:
            begin = self._at - self._before
            sweeps.append(Sweep(self._rows[begin:], self._before, whole=False))
            self.stopped = self.mode is Mode.SINGLE
        self._clear()
        return sweeps

    def _next(self) -> Sweep | None:
        rows = self._rows
        assert rows is not None
        if self._at is None:
            self._at = self._edge(rows)
        if self._at is not None:
            begin = self._at - self._before
            if len(rows) < begin + self._width:
                return None
            at: int | None = self._before
        elif self.mode is Mode.AUTO and len(rows) >= self._ended + self._width:
            begin, at = self._ended, None
        else:
            return None
        self._at = None
        self._ended = begin + self._width
        self._looked = max(self._ended, 1)
        return Sweep(rows[begin : self._ended], at, whole=True)

    def _edge(self, rows: Array) -> int | None:
        """The first edge that was not looked at yet and has enough before it."""
        begin = max(self._looked, self._before, 1)
        end = len(rows)
        if self.mode is Mode.AUTO:
            # A later one comes after the sweep that there is without.
            end = min(end, self._ended + self._width)
        if self._trigger is None or begin >= end:
            return None
        values = self._trigger.values(rows[begin - 1 : end])
        found = edges(values, self._trigger.level, self._trigger.edge)
        self._looked = end
        return begin - 1 + int(found[0]) if len(found) else None

    def _forget(self) -> None:
        """What no sweep can have any more."""
        rows = self._rows
        assert rows is not None
        if self.stopped:
            self._ended = self._looked = len(rows)
            self._at = None
        if self._at is not None:
            spare = self._at - self._before
        elif self.mode is Mode.AUTO and not self.stopped:
            spare = min(self._ended, self._looked - self._before - 1)
        else:
            spare = self._looked - self._before - 1
        if spare <= 0:
            return
        self._rows = rows[spare:].copy()
        self._ended = max(self._ended - spare, 0)
        self._looked -= spare
        if self._at is not None:
            self._at -= spare


class Sweeps:
    """Makes sweeps of several regions: those of one, and what the others have of their time.

    `sweeper` makes the sweeps of the region with the number `leading`. A sweep
    waits until each of the others has a sample from after it, or for WAIT_NS
    by the time of the samples. `keep_ns` is the longest that it takes to make one,
    and to read what it is made of.
    """

    def __init__(
        self, sweeper: Sweeper, leading: int, dtypes: Sequence[numpy.dtype[Any]], keep_ns: int
    ) -> None:
        self.sweeper = sweeper
        self._leading = leading
        self._rows = [numpy.zeros(0, dtype) for dtype in dtypes]
        self._waiting: list[Sweep] = []
        self._keep_ns = keep_ns

    def feed(self, rows: Sequence[Array], *, last: bool = False) -> list[Sweep]:
        """The sweeps that are complete with these samples, an array of each region.

        Those of the leading region have to be read first: a sweep that has
        waited long enough by them waits for nothing that the others have.
        With `last` no more samples come, and no sweep waits.
        """
        for number, each in enumerate(rows):
            if number != self._leading and len(each):
                self._rows[number] = joined(each.dtype, [self._rows[number], each])
        now_ns = 0
        if len(leading := rows[self._leading]):
            self._waiting += self.sweeper.feed(leading)
            now_ns = int(leading["time_ns"][-1])
        done: list[Sweep] = []
        for sweep in self._waiting:
            begin, end = sweep.rows["time_ns"][[0, -1]]
            behind = any(
                not len(each) or each["time_ns"][-1] < end
                for number, each in enumerate(self._rows)
                if number != self._leading
            )
            if behind and not last and now_ns < int(end) + WAIT_NS:
                break
            parts = [_between(each, begin, end) for each in self._rows]
            parts[self._leading] = sweep.rows
            done.append(replace(sweep, parts=tuple(parts)))
        del self._waiting[: len(done)]
        oldest = [int(sweep.rows["time_ns"][0]) for sweep in self._waiting[:1]]
        latest = [int(each["time_ns"][-1]) for each in rows if len(each)]
        oldest.append(max(max(latest, default=0) - self._keep_ns, 0))
        self._rows = [_between(each, min(oldest), 2**63 - 1) for each in self._rows]
        return done


def _between(rows: Array, begin: int, end: int) -> Array:
    return rows[(rows["time_ns"] >= begin) & (rows["time_ns"] <= end)]
