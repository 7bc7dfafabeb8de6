"""The module's lines in the kernel log, from /dev/kmsg."""

from __future__ import annotations

import os
import select
import time
from typing import TYPE_CHECKING, Self

from rtshm.cli.diagnosis import Line, open_log, read_line

if TYPE_CHECKING:
    from collections.abc import Iterator

_DRAIN_SECONDS = 1.0


class KernelLog:
    """The lines that begin with `prefix`, from the oldest kept, or only new ones.

    A context manager. Raises OSError where the log may not be read.
    """

    def __init__(self, *, new_only: bool = False, prefix: str = "rtshm: ") -> None:
        self._prefix = prefix
        self._file = open_log(new_only=new_only)
        os.set_blocking(self._file.fileno(), False)

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
                line = read_line(self._file)
            except BlockingIOError:
                left = deadline - time.monotonic()
                if left <= 0:
                    return
                poll.poll(None if timeout is None else left * 1000)
                continue
            if line and line.text.startswith(self._prefix):
                yield line

    def close(self) -> None:
        self._file.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()
