"""Figures and their limits, as the guest takes them and the host shows them.

Time is in seconds of the guest. Where the machine counts instructions for time
(icount), figures repeat. A figure beyond its limit is a failure; where figures do not
repeat, they have no limits.
"""

from __future__ import annotations

import json
import os
import platform
import sys
import timeit
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

ROUNDS = 5
# -icount shift=1: an instruction is two nanoseconds.
INSTRUCTION_NS = 2


@dataclass(frozen=True, slots=True)
class Figure:
    group: str
    """The module of bench/ that took it."""
    name: str
    value: float | None
    """None if it could not be taken: `why` has the reason."""
    unit: str = ""
    most: float | None = None
    least: float | None = None
    why: str = ""
    """Why it could not be taken."""

    @property
    def kept(self) -> bool:
        if self.value is None:
            return True
        above = self.most is not None and self.value > self.most
        below = self.least is not None and self.value < self.least
        return not (above or below)

    @property
    def limit(self) -> str:
        if self.most is not None:
            return f"<= {plain(self.most)}"
        return "" if self.least is None else f">= {plain(self.least)}"

    @property
    def verdict(self) -> str:
        if self.value is None:
            return "not taken"
        if not self.limit:
            return ""
        return "kept" if self.kept else "MISSED"


def plain(value: float) -> str:
    """Three digits that matter, and no exponent."""
    if value == 0 or abs(value) >= 100:
        return f"{value:,.0f}"
    return f"{value:.3g}"


@dataclass(frozen=True, slots=True)
class Run:
    """What one machine found, and what it was."""

    kernel: str
    release: str
    accelerator: str
    python: str
    figures: tuple[Figure, ...]

    @property
    def failures(self) -> list[Figure]:
        return [figure for figure in self.figures if not figure.kept]

    def to_json(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_json(cls, found: dict[str, Any]) -> Run:
        figures = tuple(Figure(**figure) for figure in found["figures"])
        return cls(**{**found, "figures": figures})


class Figures:
    """Collects figures, and prints each on standard error.

    With `limits` false, add() ignores the limits that it gets.
    """

    def __init__(self, *, limits: bool = True) -> None:
        self.found: list[Figure] = []
        self.group = ""
        self._limits = limits

    def add(
        self,
        name: str,
        value: float,
        unit: str = "",
        *,
        most: float | None = None,
        least: float | None = None,
    ) -> float:
        if not self._limits:
            most = least = None
        self._take(Figure(self.group, name, value, unit, most, least))
        return value

    def absent(self, name: str, why: str) -> None:
        """What it was to be compared with is not there, or did not run."""
        self._take(Figure(self.group, name, None, why=why))

    def _take(self, figure: Figure) -> None:
        assert (figure.group, figure.name) not in [(f.group, f.name) for f in self.found]
        self.found.append(figure)
        print(line(figure), file=sys.stderr, flush=True)

    def run(self) -> Run:
        return Run(
            kernel=os.environ.get("VM_KERNEL", ""),
            release=platform.release(),
            accelerator=os.environ.get("VM_ACCELERATOR", "native"),
            python=platform.python_version(),
            figures=tuple(self.found),
        )


def line(figure: Figure) -> str:
    if figure.value is None:
        return f"{figure.name:62} not taken: {figure.why}"
    value = f"{plain(figure.value)} {figure.unit}"
    return f"{figure.name:62}{value:>22}{figure.limit:>16}  {figure.verdict}".rstrip()


def seconds(act: Callable[[], object], *, calls: int = 1, rounds: int = ROUNDS) -> float:
    """Of a call of `act`, the least of some rounds."""
    return min(timeit.repeat(act, number=calls, repeat=rounds)) / calls


def write(run: Run) -> None:
    """For the host, on standard output."""
    json.dump(run.to_json(), sys.stdout)
