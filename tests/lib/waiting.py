"""Acts that come when somebody waits, neither before nor by the clock."""

from __future__ import annotations

import os
import re
import threading
import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from tests.lib.amounts import USER_MODE
from tests.lib.module import PATIENCE

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

T = TypeVar("T")


def waits(task: Path, functions: str, pause: Callable[[float], object] = time.sleep) -> bool:
    """Whether a task of /proc waits in a function of the kernel that this expression finds."""
    if not USER_MODE:
        return re.search(functions, (task / "wchan").read_text()) is not None
    # There wchan does not name a function that waits: does it sleep, and go on doing so?
    before = (task / "status").read_text().splitlines()
    pause(0.05)
    after = (task / "status").read_text().splitlines()
    switches = [line for line in before if "ctxt_switches" in line]
    return "State:\tS (sleeping)" in before and switches == [
        line for line in after if "ctxt_switches" in line
    ]


@contextmanager
def when_polling(act: Callable[[], object]) -> Iterator[None]:
    """Have `act` done once the main thread waits in poll(), select() or epoll_wait()."""
    main = Path(f"/proc/self/task/{os.getpid()}")
    over = threading.Event()

    def wait_and_act() -> None:
        # poll_schedule_timeout(), ep_poll(), do_select().
        while not waits(main, "poll|select", over.wait):
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


def wait_until(get: Callable[[], T], what: str, seconds: float = PATIENCE) -> T:
    """Call `get` until it returns something true, and return that; `what` is for the error."""
    deadline = time.monotonic() + seconds
    while not (found := get()):
        assert time.monotonic() < deadline, f"not within {seconds} s: {what}"
        time.sleep(0.01)
    return found


def wait_asleep(task: Path) -> None:
    """Wait until a task of /proc waits in the module."""
    wait_until(lambda: waits(task, "^rtshm_"), f"{task} waits in the module")
