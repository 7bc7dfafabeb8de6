"""Figures beside their limits, taken in one run."""

from __future__ import annotations

import os
import platform
import timeit
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

ROUNDS = 5


class Figures:
    """Lines of a table, and whether all of them are within their limits."""

    def __init__(self) -> None:
        self.kept = True
        machine = os.environ.get("VM_ACCELERATOR", "this machine")
        print(f"Python {platform.python_version()}, Linux {platform.release()}, {machine}")
        self.line("", "found", "limit")

    def line(self, name: str, found: str, limit: str = "", kept: bool = True) -> None:
        self.kept &= kept
        print(f"{name:58}{found:>14}{limit:>14}{'' if kept else '  NOT KEPT'}", flush=True)

    def ratio(self, name: str, found: float, most: float) -> None:
        self.line(name, f"{found:.2f}", f"<= {most:.1f}", found <= most)


def least(act: Callable[[], object]) -> float:
    """Seconds of a call of `act`, the fewest of some rounds."""
    return min(timeit.repeat(act, number=1, repeat=ROUNDS))
