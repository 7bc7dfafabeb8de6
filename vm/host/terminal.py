"""The terminal at which a person sits, while a program in the guest has it.

Typed text goes to the guest as it is: Control-C and the like are for its terminal to act on.
"""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import sys
import termios
import time
import tty
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

# Control-], pressed so often in this time, ends the machine: also one that hangs.
LEAVE, TIMES, SECONDS = b"\x1d", 3, 1.0

# Puts the settings "$0" back when its standard input ends, however that comes.
GUARD = 'cat; exec stty "$0" <&1'


def is_there() -> bool:
    """Whether a person can type to this process, and see what it writes."""
    return sys.stdin.isatty() and sys.stdout.isatty()


class Left(Exception):
    """The person at the terminal wants the machine ended."""


class Terminal:
    """The terminal of this process, handed to a port of the machine; `close` takes it back."""

    def __init__(self, port: socket.socket, resized: Callable[[int, int], None]) -> None:
        self._port = port
        self._pressed: list[float] = []
        self._resized = resized
        # Settings are a process's of its own to put back, since this one may be killed.
        settings = subprocess.run(["stty", "-g"], stdout=subprocess.PIPE, check=True).stdout
        reading, self._held = os.pipe()
        self._guard = subprocess.Popen(
            ["sh", "-c", GUARD, settings.decode().strip()],
            stdin=reading,
            stdout=sys.stdin,
            start_new_session=True,
        )
        os.close(reading)
        # What was typed until now is kept.
        tty.setraw(sys.stdin.fileno(), termios.TCSADRAIN)
        self._before = signal.signal(signal.SIGWINCH, lambda number, frame: self.tell_size())
        self.tell_size()

    def tell_size(self) -> None:
        size = os.get_terminal_size(sys.stdin.fileno())
        self._resized(size.lines, size.columns)

    def fileno(self) -> int:
        return sys.stdin.fileno()

    def read(self) -> None:
        """Send what is typed; raise Left for Control-] pressed three times.

        What a guest does not take, which is some 200 KB behind, is dropped with a bell.
        """
        typed = os.read(self.fileno(), 4096)
        if not typed:
            raise Left
        for _ in range(typed.count(LEAVE)):
            now = time.monotonic()
            self._pressed = [then for then in self._pressed if now - then < SECONDS] + [now]
            if len(self._pressed) == TIMES:
                raise Left
        sent = 0
        with contextlib.suppress(OSError):
            sent = self._port.send(typed, socket.MSG_DONTWAIT)
        if sent < len(typed):
            os.write(sys.stdout.fileno(), b"\a")

    def close(self) -> None:
        """Take the terminal back, with the settings that it had."""
        signal.signal(signal.SIGWINCH, self._before)
        os.close(self._held)
        self._guard.wait()
