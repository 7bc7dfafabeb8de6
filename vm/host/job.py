"""The disk of a run: the checkout at its head, and behind it the modules that are built of it.

A guest comes up with the first, and asks for the second where it can do nothing more
without: the compiler runs meanwhile.
"""

from __future__ import annotations

import os
import socket
import tarfile
from typing import TYPE_CHECKING

from vm.host import checkout
from vm.host.errors import HarnessError

if TYPE_CHECKING:
    from concurrent.futures import Future
    from pathlib import Path

    from vm.host.payload import Files

# Guest kernels see a disk's size only once, when they find it. So all jobs have this size;
# the file is sparse.
BYTES = 1 << 30

# Where the second archive is, far behind what a guest may read ahead of the first: what it
# has read once it does not read again.
BEHIND = BYTES // 2 // tarfile.RECORDSIZE


def pad(path: Path) -> int:
    """Give a job's disk the size that all have; the size it had."""
    size = path.stat().st_size
    if size > BYTES // 4:
        raise HarnessError(f"the checkout has {size} bytes; a guest takes {BYTES // 4} at most")
    os.truncate(path, BYTES)
    return size


class Job:
    """A disk with a checkout's archive on it, and what is to come behind."""

    def __init__(self, path: Path, source: Path, built: Future[Files]) -> None:
        self.path = path
        self.size = pad(path)
        """Bytes of the first archive."""
        self.built = built
        self._source = source
        self._done, end = socket.socketpair()
        built.add_done_callback(lambda built: end.close())

    def fileno(self) -> int:
        """Readable when all is built, or failed."""
        return self._done.fileno()

    @property
    def failed(self) -> bool:
        return self.built.done() and self.built.exception() is not None

    def bring(self) -> tuple[int, int]:
        """Write the second archive: where it is and how long, in tar's records.

        Raises what the build raised.
        """
        with self.path.open("r+b") as file:
            file.seek(BEHIND * tarfile.RECORDSIZE)
            checkout.write_built(file, self._source, self.built.result())
            end = file.tell()
        if end > BYTES:
            raise HarnessError(f"what was built ends {end - BYTES} bytes behind the job's disk")
        return BEHIND, end // tarfile.RECORDSIZE - BEHIND

    def close(self) -> None:
        self._done.close()
