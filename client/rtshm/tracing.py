"""Tracing instances in tracefs: buffers, events and triggers apart from all others."""

from __future__ import annotations

import errno
import fcntl
import os
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

from rtshm.errors import RefusedError, refusing
from rtshm.kernel_files import lockdown

if TYPE_CHECKING:
    from collections.abc import Iterator

TRACEFS = Path("/sys/kernel/tracing")
INSTANCES = TRACEFS / "instances"
PREFIX = "rtshm-blame-"


@contextmanager
def instance(name: str) -> Iterator[Path]:
    """Create a tracing instance, and remove it at the end: its directory, in the context.

    A killed process cannot remove its instances. Each process holds a lock on its own, so an
    instance of this package without a lock is left over, and is removed here.
    Raises RefusedError with a remedy.
    """
    path = INSTANCES / f"{PREFIX}{name}-{os.getpid()}"
    with refusing(INSTANCES, _remedy), _locked(INSTANCES):
        for left in INSTANCES.glob(f"{PREFIX}*"):
            try:
                with _locked(left, fcntl.LOCK_NB):
                    left.rmdir()
            except BlockingIOError:
                continue
        path.mkdir()
        lock = _locked(path)
        lock.__enter__()
    try:
        yield path
    finally:
        # trace-cmd may have removed it.
        with refusing(INSTANCES, _remedy), suppress(FileNotFoundError):
            path.rmdir()
        lock.__exit__(None, None, None)


def enable(path: Path, event: str) -> None:
    """Record an event, such as irq/softirq_entry, in an instance. Raises RefusedError."""
    if not (folder := path / "events" / event).exists():
        raise RefusedError(
            errno.ENOENT,
            f"this kernel has no event {event.replace('/', ':')}",
            folder,
            "use a kernel with CONFIG_EVENT_TRACING, as Debian's",
        )
    put(folder / "enable", "1")


def put(file: Path, text: str) -> None:
    """Write to a file of tracefs. Raises RefusedError with a remedy."""
    with refusing(INSTANCES, _remedy):
        file.write_text(text)


@contextmanager
def _locked(path: Path, flags: int = 0) -> Iterator[None]:
    fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | flags)
        yield
    finally:
        os.close(fd)


def _remedy(number: int | None) -> str | None:
    """Return what to do when tracefs refuses something."""
    if lockdown() == "confidentiality":
        return "the kernel is locked down: boot with lockdown=integrity, or none, to trace"
    match number:
        case errno.EACCES | errno.EPERM | errno.EROFS:
            return "tracing takes root: use sudo, outside of containers"
        case errno.ENOENT:
            return (
                f"tracefs is not mounted: sudo mount -t tracefs nodev {TRACEFS}; "
                "a kernel without CONFIG_TRACING has none"
            )
        case _:
            return None
