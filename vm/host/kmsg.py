"""The kernel's log as it comes from /dev/kmsg, turned into the form that dmesg has."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, BinaryIO

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

END = "vm: end"

# Documentation/ABI/testing/dev-kmsg: level, sequence, microseconds, flags; text.
RECORD = re.compile(rb"\d+,(\d+),(\d+),[^;]*;(.*)")
ESCAPE = re.compile(rb"\\x([0-9a-f]{2})")
CONSOLE_LINE = re.compile(r"\[ *(\d+\.\d+)\]")


class Log:
    """Collects records into a file; `line` is called with the text of each as it comes."""

    def __init__(self, file: BinaryIO, line: Callable[[str], None]) -> None:
        self.ended = False
        self._file = file
        self._line = line
        self._rest = b""
        self._next = 0

    def feed(self, data: bytes) -> None:
        *whole, self._rest = (self._rest + data).split(b"\n")
        for raw in whole:
            # Lines that begin with a blank are the record's dictionary.
            if match := RECORD.fullmatch(raw):
                self._record(int(match[1]), int(match[2]), match[3])

    def _record(self, sequence: int, microseconds: int, escaped: bytes) -> None:
        if sequence < self._next:
            return  # the guest's reader was overtaken and began again
        if sequence > self._next > 0:
            lost = sequence - self._next
            self._file.write(b"[ %d records lost: the guest was overtaken ]\n" % lost)
        self._next = sequence + 1
        text = ESCAPE.sub(lambda match: bytes([int(match[1], 16)]), escaped)
        seconds, rest = divmod(microseconds, 1_000_000)
        stamp = b"[%5d.%06d] " % (seconds, rest)
        # dmesg repeats the time before each line of a record.
        for part in text.split(b"\n"):
            self._file.write(stamp + part + b"\n")
        self._file.flush()
        line = text.decode(errors="replace")
        if line == END:
            self.ended = True
        else:
            self._line(line)


def append_console(dmesg: Path, console: Path) -> None:
    """Append to a log what only the console has: the last words of a machine that panicked."""
    have = set(dmesg.read_text(errors="replace").splitlines())
    with dmesg.open("a") as file:
        for line in console.read_text(errors="replace").replace("\r", "").splitlines():
            if CONSOLE_LINE.match(line) and line not in have:
                have.add(line)
                file.write(line + "\n")
