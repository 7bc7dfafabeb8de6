"""Control-C and SIGTERM as the end of work that is to be completed, and not cut off."""

from __future__ import annotations

import signal
from typing import TYPE_CHECKING, Self

if TYPE_CHECKING:
    from types import FrameType

SLICE = 0.1
"""Seconds that a wait may take at most: the signals end none, they are looked for after it."""


class Stop:
    """Within it both signals are noted, and nothing else."""

    def __init__(self) -> None:
        self.why = ""
        """Which signal came, "" if none did."""

    def __enter__(self) -> Self:
        self._before = {
            number: signal.signal(number, self._note) for number in (signal.SIGINT, signal.SIGTERM)
        }
        return self

    def __exit__(self, *exc: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def _note(self, number: int, _frame: FrameType | None) -> None:
        self.why = "Control-C" if number == signal.SIGINT else signal.Signals(number).name
