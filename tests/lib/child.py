"""Forked children that end where they should, whatever happens in them."""

from __future__ import annotations

import os
import signal
import traceback
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

FAILED = 99


def _fork(act: Callable[[], int | None]) -> int:
    pid = os.fork()
    if pid == 0:
        status = FAILED
        try:
            status = act() or 0
        except BaseException:
            traceback.print_exc()
        finally:
            # Never back into pytest.
            os._exit(status)
    return pid


def status_of(act: Callable[[], int | None]) -> int:
    """Run `act` in a child; its exit status, 99 if it raised."""
    return os.waitstatus_to_exitcode(os.waitpid(_fork(act), 0)[1])


@contextmanager
def killed(act: Callable[[], int | None]) -> Iterator[int]:
    """A child that runs `act` until the block ends; then SIGKILL. Fails if it ended before."""
    pid = _fork(act)
    try:
        yield pid
    finally:
        os.kill(pid, signal.SIGKILL)
        status = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    assert status == -signal.SIGKILL
