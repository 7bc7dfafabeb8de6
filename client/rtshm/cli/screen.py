"""The terminal: how wide it is, and the keys that are pressed."""

from __future__ import annotations

import os
import select
import shutil
import signal
import sys
import termios
import tty
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.live import Live


def terminal_width() -> int | None:
    """Return the columns of the terminal that standard output is; None for anything else."""
    return shutil.get_terminal_size().columns if sys.stdout.isatty() else None


def has_screen() -> bool:
    """Whether there is a terminal, and one whose cursor can be moved."""
    streams = (sys.stdin, sys.stdout)
    return all(each and each.isatty() for each in streams) and (
        os.environ.get("TERM", "dumb") not in ("", "dumb", "unknown")
    )


@contextmanager
def screen() -> Iterator[tuple[Callable[[], str], Live]]:
    """Return what has the keys that were pressed since, without waiting, and what paints.

    The terminal is as it was afterwards.
    """
    from rich.console import Console
    from rich.live import Live

    caught: list[int] = []

    def pressed() -> str:
        # Not in the handler: plotext catches what is raised within it, whatever it is.
        if caught:
            sys.exit(128 + caught[0])
        keys = b""
        while select.select([fd], [], [], 0)[0]:
            read = os.read(fd, 64)
            if not read:
                sys.exit(128 + signal.SIGHUP)
            keys += read
        return keys.decode("ascii", "ignore")

    fd = sys.stdin.fileno()
    modes = termios.tcgetattr(fd)
    handlers = {
        number: signal.signal(number, lambda number, frame: caught.append(number))
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    }
    try:
        tty.setcbreak(fd)
        with Live(console=Console(), screen=True, auto_refresh=False) as live:
            yield pressed, live
    finally:
        termios.tcsetattr(fd, termios.TCSADRAIN, modes)
        for number, handler in handlers.items():
            signal.signal(number, handler)
