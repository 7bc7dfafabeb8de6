"""What ends a run from outside: the first signal does, and all that come after it are ignored."""

from __future__ import annotations

import signal
import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from types import FrameType


def once(*numbers: signal.Signals) -> None:
    """Raise KeyboardInterrupt for the first SIGINT, or SystemExit for another of these signals.

    A second signal would interrupt what removes machines, mounts and half-made files. A signal
    that this process was started to ignore stays ignored. One that this process was started
    to block (`env --block-signal=INT`) arrives now: Python has no traceback to print by itself.
    """

    def end(number: int, frame: FrameType | None) -> None:
        for each in heeded:
            # Not SIG_IGN, which a program that is started from now on would inherit.
            signal.signal(each, lambda number, frame: None)
        if number == signal.SIGINT:
            raise KeyboardInterrupt
        sys.exit(128 + number)

    heeded = [each for each in numbers if signal.getsignal(each) is not signal.SIG_IGN]
    for each in heeded:
        signal.signal(each, end)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, numbers)
