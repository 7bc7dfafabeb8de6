"""Directories of runs, `runs/<time>-<pid>` in the cache, with their logs."""

from __future__ import annotations

import contextlib
import fcntl
import os
from datetime import datetime
from typing import TYPE_CHECKING

from vm.host import cache

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

KEEP = 50


@contextlib.contextmanager
def directory() -> Iterator[Path]:
    """A new directory for a run; while it is open no other run prunes it."""
    base = cache.root() / "runs"
    # Names sort by time.
    path = base / f"{datetime.now():%Y%m%d-%H%M%S-%f}-{os.getpid()}"
    # Locked before it has its name, so that it is never there unlocked.
    hidden = base / f".{path.name}"
    hidden.mkdir(parents=True)
    descriptor = os.open(hidden, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        hidden.rename(path)
        prune(base)
        yield path
    finally:
        os.close(descriptor)


def prune(base: Path) -> None:
    """Remove all but the last finished runs."""
    for path in sorted(base.iterdir(), reverse=True)[KEEP:]:
        try:
            descriptor = os.open(path, os.O_RDONLY)
        except FileNotFoundError:
            continue  # another run prunes, too
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            cache.discard(path)
        except (BlockingIOError, FileNotFoundError):
            pass
        finally:
            os.close(descriptor)
