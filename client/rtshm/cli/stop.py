"""Control-C and signals like SIGTERM as the end of work that is to be completed, not cut off."""

from __future__ import annotations

import signal
from types import FrameType
from typing import Self

_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT, signal.SIGXCPU)


class Stop:
    """Within it the signals are noted; a second Control-C is a KeyboardInterrupt again."""

    def __init__(self) -> None:
        self.why = ""
        """Which signal came first, "" if none did."""

    def __enter__(self) -> Self:
        self._before = {
            number: signal.signal(number, self._note)
            for number in _SIGNALS
            # As nohup has it.
            if signal.getsignal(number) is not signal.SIG_IGN
        }
        return self

    def __exit__(self, *exc: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def _note(self, number: int, _frame: FrameType | None) -> None:
        if self.why and number == signal.SIGINT:
            raise KeyboardInterrupt
        name = "Control-C" if number == signal.SIGINT else signal.Signals(number).name
        self.why = self.why or name
