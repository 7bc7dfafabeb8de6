"""What a run takes into its guest: a value that a project makes, and this package only carries."""

from __future__ import annotations

import contextlib
import subprocess
import threading
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from vm.host.errors import HarnessError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from concurrent.futures import Future
    from pathlib import Path

    from vm.host.splats import Allowed

Files = Mapping[str, bytes]
"""Contents by path, relative to the checkout."""


def nothing(*arguments: object) -> Files:
    return {}


@dataclass(frozen=True, slots=True)
class Payload:
    """A checkout, what is compiled of it, and what its command finds in the guest."""

    source: Path
    """The checkout: the guest has a copy of what git would commit, at the same path."""
    made: Callable[[], Files] = nothing
    """Returns further files for the copy, which are quick to make."""
    built: Callable[[Compiler], Files] = nothing
    """Returns what takes a compiler: called in a thread while the machine comes up."""
    commands: Mapping[str, str] = field(default_factory=dict)
    """Scripts by name, in a directory at the head of the guest's PATH."""
    environment: Mapping[str, str] = field(default_factory=dict)
    imports: tuple[str, ...] = ()
    """Modules of the checkout, on its PYTHONPATH, that a warm interpreter imports ahead."""
    arguments: str = ""
    """For the kernel's command line."""
    allowed: tuple[Allowed, ...] = ()
    """Lines in the kernel's log that are no fault of what is tested."""


class Compiler:
    """Runs the programs that build, one after the other; another thread may end them."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._process: subprocess.Popen[bytes] | None = None
        self._ended = False

    def run(self, command: Sequence[str]) -> tuple[int, bytes]:
        """Run a command; returns its status, and what it printed."""
        with self._lock:
            if self._ended:
                raise HarnessError("the build was ended before its end")
            self._process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
            )
        with self._process as process:
            try:
                output, _ = process.communicate()
            except BaseException:
                process.kill()
                raise
        return process.returncode, output

    def end(self) -> None:
        """End the program that runs; run() raises from here on."""
        with self._lock:
            self._ended = True
            # Under sudo it may belong to another user, and ends when it has built.
            if self._process is not None:
                with contextlib.suppress(PermissionError):
                    self._process.kill()


@contextlib.contextmanager
def begun(payload: Payload) -> Iterator[Future[Files]]:
    """What `payload.built` returns; the build ends with the block, or by what is raised in it."""
    compiler = Compiler()
    with ThreadPoolExecutor(1) as pool:
        try:
            yield pool.submit(payload.built, compiler)
        except BaseException:
            compiler.end()
            raise
