"""Acts that come when somebody waits, neither before nor by the clock."""

from __future__ import annotations

import os
import re
import threading
import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from tests.lib.module import PATIENCE

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


@contextmanager
def when_polling(act: Callable[[], object]) -> Iterator[None]:
    """Have `act` done once the main thread waits in poll(), select() or epoll_wait()."""
    wchan = Path(f"/proc/self/task/{os.getpid()}/wchan")
    over = threading.Event()

    def wait_and_act() -> None:
        # poll_schedule_timeout(), ep_poll(), do_select().
        while not re.search("poll|select", wchan.read_text()):
            if over.wait(0.01):
                return
        act()

    thread = threading.Thread(target=wait_and_act)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


def wait_until(true: Callable[[], bool], what: str) -> None:
    deadline = time.monotonic() + PATIENCE
    while not true():
        assert time.monotonic() < deadline, f"not within {PATIENCE} s: {what}"
        time.sleep(0.01)


def wait_asleep(task: Path) -> None:
    """Wait until a task of /proc waits in the module."""
    deadline = time.monotonic() + PATIENCE
    while not (task / "wchan").read_text().startswith("rtshm_"):
        assert time.monotonic() < deadline, f"{task} waits in {(task / 'wchan').read_text()}"
        time.sleep(0.01)
