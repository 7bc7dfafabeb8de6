"""What a person at the terminal sees of a long step: all of it on standard error."""

from __future__ import annotations

import contextlib
import errno
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING

from vm.host.errors import HarnessError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

TICK_SECONDS = 15.0
CLEANING_SECONDS = 20.0

# A file system with fewer bytes than these has no room for a step.
FULL = 1 << 20


def say(text: str) -> None:
    print(f"vm: {text}", file=sys.stderr, flush=True)


@contextmanager
def step(what: str, usual: str) -> Iterator[None]:
    """Say what begins and how long it usually takes, then every 15 s that it still goes on."""
    say(f"{what} (about {usual})")
    begin = time.monotonic()
    done = threading.Event()

    def tick() -> None:
        while not done.wait(TICK_SECONDS):
            say(f"  ... {what}: {time.monotonic() - begin:.0f} s")

    ticker = threading.Thread(target=tick, daemon=True)
    ticker.start()
    try:
        yield
    finally:
        done.set()
        ticker.join()
    say(f"{what}: done in {time.monotonic() - begin:.0f} s")


def run_logged(command: Sequence[str], log: Path, what: str, *, script: str = "") -> None:
    """Run a command with its output in `log`; if it fails, show the end and name the log.

    `script` is what the command repeats of its own text then, which is not shown.
    """
    with log.open("wb") as file:
        # In a session of its own: mmdebstrap hangs up its whole process group when it fails.
        process = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=file, stderr=file, start_new_session=True
        )
        try:
            status = process.wait()
        except BaseException:
            # It may have mounts and temporary files to clear away.
            with contextlib.suppress(OSError):
                os.killpg(process.pid, signal.SIGTERM)
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(CLEANING_SECONDS)
            raise
    if status != 0:
        repeated = set(script.splitlines())
        lines = log.read_text(errors="replace").splitlines()
        tail = [line for line in lines if line not in repeated][-15:]
        if shutil.disk_usage(log.parent).free < FULL:
            # Then the log has not said it, either.
            tail.append(f"{log.parent}: {os.strerror(errno.ENOSPC)}")
        raise HarnessError("\n".join([*tail, f"{what} failed (status {status}); log: {log}"]))
