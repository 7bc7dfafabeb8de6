"""The kernel modules of a checkout, built in the root of a kernel's suite."""

from __future__ import annotations

import contextlib
import re
import subprocess
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING

from tests.vm import cache, checkout, image
from tests.vm.errors import HarnessError
from tests.vm.progress import say

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from concurrent.futures import Future

    from tests.vm.kernels import Kernel, Table

MODULE = "rtshm.ko"

# Modules of their own, built against rtshm's headers and Module.symvers as a user's would be.
BESIDE = (
    Path("kmod/examples/control"),
    Path("tests/modules/probe"),
    Path("bench/modules/bare"),
)

# Debian's headers of 6.1 have no vmlinux to take types from: there modules have no BTF.
HARMLESS = re.compile(r"Skipping BTF generation for \S+\.ko due to unavailability of vmlinux")


def modules(
    table: Table,
    kernel: Kernel,
    source: Path,
    *,
    variables: Sequence[str] = (),
    files: image.Files | None = None,
    compiler: Compiler | None = None,
) -> dict[str, bytes]:
    """The built modules by their paths; an error or any warning of the compiler is a HarnessError.

    `variables` go to kbuild (`W=1`, `C=2`). `files` are the kernel's with something about
    them changed. The build directory stays, so that kbuild compiles only what changed.
    """
    files = files or image.files(table, kernel)
    compiler = compiler or Compiler()
    directory = directory_of(kernel, source, files, variables)
    prune(directory.parent)
    with cache.locked(cache.root() / "locks" / f"build-{directory.name}"):
        sources = {path: (source / path).read_bytes() for path in module_sources(source)}
        stamp = directory / ".stamp"
        state = cache.key([[str(path), data.hex()] for path, data in sorted(sources.items())])
        if stamp.exists() and stamp.read_text() == state:
            return built(directory)
        stamp.unlink(missing_ok=True)
        synchronise(directory, sources)
        (directory / ".checkout").write_text(str(source))
        begin = time.monotonic()
        try:
            make(files, kernel, directory, variables, compiler=compiler)
            strip(files, directory, compiler)
            needs = seen_by_others(directory, sources)
            beside = directory / ".beside"
            # Each make takes kbuild a second, to find that there is nothing to do.
            if not beside.exists() or beside.read_text() != needs:
                beside.unlink(missing_ok=True)
                for path in BESIDE:
                    # Or kbuild does not look again at the symbols' versions in rtshm's.
                    (directory / path / "Module.symvers").unlink(missing_ok=True)
                    make(files, kernel, directory, variables, path, compiler)
                strip(files, directory, compiler)
                beside.write_text(needs)
        except BaseException:
            # What was compiled with a warning would be up to date, and silent, next time.
            cache.discard(directory)
            raise
        found = built(directory)
        names = ", ".join(Path(name).name for name in found)
        say(f"built {names} for {kernel.name} in {time.monotonic() - begin:.1f} s")
        stamp.write_text(state)
        return found


@contextlib.contextmanager
def begun(
    table: Table, kernel: Kernel, source: Path, variables: Sequence[str]
) -> Iterator[Future[dict[str, bytes]]]:
    """What modules() will give; the build ends with the block, or by what is raised in it."""
    compiler = Compiler()
    with ThreadPoolExecutor(1) as pool:
        try:
            yield pool.submit(
                modules, table, kernel, source, variables=variables, compiler=compiler
            )
        except BaseException:
            compiler.end()
            raise


def directory_of(
    kernel: Kernel, source: Path, files: image.Files, variables: Sequence[str]
) -> Path:
    """Where modules() builds; by path, so that two checkouts do not undo each other's work."""
    name = f"{kernel.name}-{cache.key(str(source), files.key, list(variables))}"
    return cache.root() / "build" / name


def seen_by_others(directory: Path, sources: dict[Path, bytes]) -> str:
    """The state of all that the modules beside rtshm.ko are made of.

    That is everything but rtshm's own C, of which they see what it exports.
    """
    parts = [
        [str(path), data.hex()]
        for path, data in sorted(sources.items())
        if path.suffix != ".c" or any(path.is_relative_to(folder) for folder in BESIDE)
    ]
    return cache.key(parts, (directory / "Module.symvers").read_text())


def built(directory: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(directory)): path.read_bytes()
        for path in sorted(directory.rglob("*.ko"))
    }


def prune(directory: Path) -> None:
    """Remove the build directories of checkouts that are no more."""
    for origin in directory.glob("*/.checkout"):
        if not Path(origin.read_text()).exists():
            cache.remove(origin.parent)


def module_sources(source: Path) -> list[Path]:
    found = [
        path
        for path in checkout.files(source)
        if (path.name == "Kbuild" and len(path.parts) == 1)
        or path.parts[0] == "kmod"
        or path.parts[:2] in (("tests", "modules"), ("bench", "modules"))
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


def make(
    files: image.Files,
    kernel: Kernel,
    directory: Path,
    variables: Sequence[str],
    beside: Path | None = None,
    compiler: Compiler | None = None,
) -> None:
    """Run kbuild; raise with its output if it fails or prints anything that is not progress."""
    command = [
        "make",
        "-s",
        "-j2",
        "-C",
        files.headers,
        *(["M=/build"] if beside is None else [f"M=/build/{beside}", *of_rtshm("/build")]),
        *variables,
        "modules",
    ]
    run(files, directory, command, f"{beside or MODULE} for {kernel.name}", compiler or Compiler())


def strip(files: image.Files, directory: Path, compiler: Compiler) -> None:
    """Take the debugging information off: 4 MB a module, which the guest has nothing to do with."""
    modules = [f"/build/{path.relative_to(directory)}" for path in directory.rglob("*.ko")]
    run(files, directory, ["strip", "--strip-debug", *modules], "strip", compiler)


def run(
    files: image.Files, directory: Path, command: Sequence[str], what: str, compiler: Compiler
) -> None:
    status, output = compiler.run(files.command(command, {directory: "/build"}))
    # Names as in the checkout, so that an editor finds them.
    text = output.decode(errors="replace").replace("/build/", "")
    lines = [line for line in text.splitlines() if not HARMLESS.fullmatch(line)]
    said = "\n".join(lines).strip()
    if status != 0 or said:
        why = f"status {status}" if status else "warnings are errors here"
        raise HarnessError(f"{said}\n{what}: {why}")


class Compiler:
    """Runs the programs that build, one after the other; another thread may end them."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._process: subprocess.Popen[bytes] | None = None
        self._ended = False

    def run(self, command: Sequence[str]) -> tuple[int, bytes]:
        """The status, and what was printed."""
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
        with self._lock:
            self._ended = True
            # By sudo it may be somebody else's, and ends when it has built.
            if self._process is not None:
                with contextlib.suppress(PermissionError):
                    self._process.kill()


def of_rtshm(tree: str) -> list[str]:
    """What a module beside rtshm.ko is built with: kmod/examples/control/Makefile says it too."""
    return [f"RTSHM={tree}", f"KBUILD_EXTRA_SYMBOLS={tree}/Module.symvers"]
