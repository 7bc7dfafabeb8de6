"""Artefacts on disk, named by a hash of what they are made of.

Two runs may want the same artefact at once, and any run may be killed at any
time. So an artefact is built under a lock in a directory of another name, and
appears under its own name by one rename: if it is there, it is whole.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import json
import os
import shutil
import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


# One for all projects: the kernels and the roots of two of them may be the same.
FOLDER = "kernel-vm"

# Directories on their way out.
REMOVED = "partial-removed"


def root() -> Path:
    base = os.environ.get("XDG_CACHE_HOME", "")
    # The XDG specification wants a relative path ignored.
    path = Path(base) if base.startswith("/") else Path.home() / ".cache"
    return path / FOLDER


def key(*parts: object) -> str:
    """A short name for everything in `parts`, which JSON must be able to express."""
    text = json.dumps(parts, sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


@contextmanager
def locked(path: Path, *, waiting: Callable[[], None] | None = None) -> Iterator[None]:
    """Hold the lock file `path`; `waiting` is called once if another process holds it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if waiting is not None:
                waiting()
            fcntl.flock(file, fcntl.LOCK_EX)
        yield


def artefact(
    kind: str,
    parts: object,
    build: Callable[[Path], None],
    *,
    waiting: Callable[[], None] | None = None,
    keep: int | None = None,
) -> Path:
    """The directory of the artefact made of `parts`; `build` fills it if it is not there.

    Of this kind, only the `keep` that were used last stay, or all.
    """
    name = f"{kind}-{key(parts)}"
    final = root() / name
    if not final.is_dir():
        with locked(root() / "locks" / name, waiting=waiting):
            if not final.is_dir():
                make(final, build)
    if keep is not None:
        with contextlib.suppress(FileNotFoundError):
            os.utime(final)
        prune(kind, keep)
    return final


def make(final: Path, build: Callable[[Path], None]) -> None:
    """Fill the directory, whose lock is held."""
    partial = root() / f"partial-{final.name}"
    discard(partial)
    partial.mkdir(parents=True)
    try:
        build(partial)
        partial.rename(final)
    except BaseException:
        discard(partial)
        raise


def remove(path: Path) -> None:
    """Take what is in the cache away, which another run may be doing, too: at once, as it came."""
    gone = root() / f"{REMOVED}-{os.getpid()}-{time.monotonic_ns()}"
    with contextlib.suppress(FileNotFoundError):
        path.rename(gone)
        discard(gone)


def prune(kind: str, keep: int) -> None:
    """Remove the artefacts of this kind but for those used last, and what was never finished."""
    found = []
    for path in root().glob(f"{kind}-*"):
        with contextlib.suppress(FileNotFoundError):
            found.append((path.stat().st_mtime, path))
    for _, path in sorted(found, reverse=True)[keep:]:
        remove(path)
    for path in [*root().glob(f"partial-{kind}-*"), *root().glob(f"{REMOVED}-*")]:
        name = path.name.removeprefix("partial-")
        lock = root() / "locks" / name
        lock.parent.mkdir(exist_ok=True)
        with lock.open("w") as file, contextlib.suppress(OSError):
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            discard(path)


def discard(path: Path) -> None:
    """Remove a tree; parts of a Debian root may lack the bits that let its owner do so."""
    if not path.exists():
        return

    def unlock_and_retry(function: Callable[[str], object], name: str, _: object) -> None:
        # Another run may remove the same tree.
        with contextlib.suppress(FileNotFoundError):
            folder = os.path.dirname(name)
            os.chmod(folder, os.stat(folder).st_mode | 0o700)
            function(name)

    shutil.rmtree(path, onerror=unlock_and_retry)
