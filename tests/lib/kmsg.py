"""The module's lines in the kernel log, from /dev/kmsg."""

from __future__ import annotations

import os
import select
import time
from dataclasses import dataclass
from io import FileIO
from pathlib import Path
from typing import TYPE_CHECKING, Self

from rtshm.errors import log_remedy, refused

if TYPE_CHECKING:
    from collections.abc import Iterator

KMSG = Path("/dev/kmsg")
# A record is given whole or not at all; this is the kernel's own limit of one.
_RECORD_BYTES = 8192
_DRAIN_SECONDS = 1.0


@dataclass(frozen=True, slots=True)
class Line:
    """A line of the module: its text, and seconds since boot."""

    seconds: float
    text: str

    def __str__(self) -> str:
        return f"[{self.seconds:12.6f}] {self.text}"


class KernelLog:
    """The lines that begin with `prefix`, from the oldest kept, or only new ones.

    A context manager. Raises OSError where the log may not be read.
    """

    def __init__(self, *, new_only: bool = False, prefix: str = "rtshm: ") -> None:
        self._prefix = prefix
        try:
            self._file = FileIO(KMSG)
        except OSError as error:
            raise refused(error, KMSG, log_remedy(error.errno)) from None
        os.set_blocking(self._file.fileno(), False)
        if new_only:
            self._file.seek(0, os.SEEK_END)

    def lines(self, timeout: float | None = None) -> Iterator[Line]:
        """Lines as they come; ends when `timeout` seconds (None: never) have passed.

        The lines that are there by then are still given; for a second at most,
        should the log not run dry.
        """
        deadline = float("inf") if timeout is None else time.monotonic() + timeout
        poll = select.poll()
        poll.register(self._file, select.POLLIN)
        while time.monotonic() < deadline + _DRAIN_SECONDS:
            try:
                record = os.read(self._file.fileno(), _RECORD_BYTES).decode(errors="replace")
            except BlockingIOError:
                left = deadline - time.monotonic()
                if left <= 0:
                    return
                poll.poll(None if timeout is None else left * 1000)
                continue
            except BrokenPipeError:
                # Lines were overwritten before they were read: go on with the oldest kept.
                continue
            head, _, message = record.partition(";")
            text = message.partition("\n")[0]
            if text.startswith(self._prefix):
                yield Line(int(head.split(",")[2]) / 1e6, text)

    def close(self) -> None:
        self._file.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()
