"""The kernel module of a checkout, built in the root of a kernel's suite."""

from __future__ import annotations

import subprocess
import time
from pathlib import Path
from typing import TYPE_CHECKING

from tests.vm import cache, checkout, image
from tests.vm.errors import HarnessError
from tests.vm.progress import say

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tests.vm.kernels import Kernel, Table

MODULE = "rtshm.ko"

# Debian's headers of 6.1 have no vmlinux to take types from: there modules have no BTF.
HARMLESS = (f"Skipping BTF generation for {MODULE} due to unavailability of vmlinux",)


def module(
    table: Table,
    kernel: Kernel,
    source: Path,
    *,
    variables: Sequence[str] = (),
    files: image.Files | None = None,
) -> bytes:
    """The built module; an error or any warning of the compiler is a HarnessError.

    `variables` go to kbuild (`W=1`, `C=2`). `files` are the kernel's with something about
    them changed. The build directory stays, so that kbuild compiles only what changed.
    """
    files = files or image.files(table, kernel)
    # By path, so that two checkouts do not undo each other's work.
    name = f"{kernel.name}-{cache.key(str(source), files.key, list(variables))}"
    directory = cache.root() / "build" / name
    prune(directory.parent)
    with cache.locked(cache.root() / "locks" / f"build-{name}"):
        sources = {path: (source / path).read_bytes() for path in module_sources(source)}
        stamp = directory / ".stamp"
        state = cache.key([[str(path), data.hex()] for path, data in sorted(sources.items())])
        result = directory / MODULE
        if stamp.exists() and stamp.read_text() == state and result.exists():
            return result.read_bytes()
        stamp.unlink(missing_ok=True)
        synchronise(directory, sources)
        (directory / ".checkout").write_text(str(source))
        begin = time.monotonic()
        try:
            make(files, kernel, directory, variables)
        except BaseException:
            # What was compiled with a warning would be up to date, and silent, next time.
            cache.discard(directory)
            raise
        say(f"built {MODULE} for {kernel.name} in {time.monotonic() - begin:.1f} s")
        stamp.write_text(state)
        return result.read_bytes()


def prune(directory: Path) -> None:
    """Remove the build directories of checkouts that are no more."""
    for origin in directory.glob("*/.checkout"):
        if not Path(origin.read_text()).exists():
            cache.discard(origin.parent)


def module_sources(source: Path) -> list[Path]:
    found = [
        path
        for path in checkout.files(source)
        if (path.name == "Kbuild" and len(path.parts) == 1) or path.parts[0] == "kmod"
    ]
    if Path("Kbuild") not in found:
        raise HarnessError(f"{source} has no Kbuild: nothing to build {MODULE} from")
    return found


def synchronise(directory: Path, sources: dict[Path, bytes]) -> None:
    """Make `directory` have these sources, touching only what differs."""
    directory.mkdir(parents=True, exist_ok=True)
    listing = directory / ".sources"
    if listing.exists():
        for name in listing.read_text().splitlines():
            if Path(name) not in sources:
                (directory / name).unlink(missing_ok=True)
    for path, data in sources.items():
        target = directory / path
        if not target.exists() or target.read_bytes() != data:
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(data)
    listing.write_text("".join(f"{path}\n" for path in sources))


def make(files: image.Files, kernel: Kernel, directory: Path, variables: Sequence[str]) -> None:
    """Run kbuild; raise with its output if it fails or prints anything that is not progress."""
    command = [
        "make",
        "-s",
        "-j2",
        "-C",
        files.headers,
        "M=/build",
        *variables,
        "modules",
    ]
    done = subprocess.run(
        files.command(command, {directory: "/build"}),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        check=False,
    )
    # Names as in the checkout, so that an editor finds them.
    text = done.stdout.decode(errors="replace").replace("/build/", "")
    output = "\n".join(line for line in text.splitlines() if line not in HARMLESS).strip()
    if done.returncode != 0 or output:
        why = f"status {done.returncode}" if done.returncode else "warnings are errors here"
        raise HarnessError(f"{output}\n{MODULE} for {kernel.name}: {why}")
