"""The kernel modules of a checkout, built in the root of a kernel's suite."""

from __future__ import annotations

import contextlib
import re
import shutil
import time
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from vm.host import cache, checkout, image
from vm.host.errors import HarnessError
from vm.host.payload import Compiler
from vm.host.progress import say

if TYPE_CHECKING:
    from collections.abc import Sequence

    from vm.host.kernels import Kernel, Table

# Debian's headers of 6.1 have no vmlinux to take types from: there modules have no BTF.
HARMLESS = re.compile(r"Skipping BTF generation for \S+\.ko due to unavailability of vmlinux")

# The file that names all that a build depends on, but for the checkout; and those of one checkout.
ALIKE = ".alike"
OWN = shutil.ignore_patterns(".stamp", ".checkout")


@dataclass(frozen=True, slots=True)
class Tree:
    """The out-of-tree modules of a checkout, whose Kbuild is at the top."""

    source: Path
    folders: tuple[str, ...] = ()
    """What they are built of, besides the Kbuild."""
    beside: tuple[str, ...] = ()
    """Folders with modules of their own, built against the top's headers and symbols."""
    variables: tuple[str, ...] = ()
    """kbuild's for those; `{tree}` stands for the top."""
    symbols: bool = False
    """Whether to keep the debugging information, 4 MB a module."""

    def files(self) -> list[Path]:
        """Paths of the sources, relative to the checkout."""
        found = [
            path
            for path in checkout.files(self.source)
            if path == Path("Kbuild") or any(path.is_relative_to(name) for name in self.folders)
        ]
        if Path("Kbuild") not in found:
            raise HarnessError(f"{self.source} has no Kbuild: no module to build")
        return found


def modules(
    table: Table,
    kernel: Kernel,
    tree: Tree,
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
    directory = directory_of(kernel, tree, files, variables)
    prune(directory.parent)
    with locked(directory):
        sources = {path: (tree.source / path).read_bytes() for path in tree.files()}
        stamp = directory / ".stamp"
        state = cache.key([[str(path), data.hex()] for path, data in sorted(sources.items())])
        if stamp.exists() and stamp.read_text() == state:
            return built(directory)
        stamp.unlink(missing_ok=True)
        made_of = cache.key(kernel.name, files.key, variables, tree.symbols, [*map(str, sources)])
        if not directory.exists():
            begin_alike(directory, made_of)
        synchronise(directory, sources)
        (directory / ALIKE).write_text(made_of)
        (directory / ".checkout").write_text(str(tree.source))
        begin = time.monotonic()
        try:
            make(files, kernel, directory, variables, compiler=compiler)
            needs = seen_by_others(directory, tree, sources)
            beside = directory / ".beside"
            # Each make takes kbuild a second, to find that there is nothing to do.
            if not beside.exists() or beside.read_text() != needs:
                beside.unlink(missing_ok=True)
                for folder in tree.beside:
                    # Or kbuild does not look again at the versions of the top's symbols.
                    (directory / folder / "Module.symvers").unlink(missing_ok=True)
                    named = [name.format(tree="/build") for name in tree.variables]
                    make(files, kernel, directory, [*named, *variables], folder, compiler)
                beside.write_text(needs)
            finish(files, directory, compiler, symbols=tree.symbols)
        except BaseException:
            # What was compiled with a warning would be up to date, and silent, next time.
            cache.discard(directory)
            raise
        found = built(directory)
        names = ", ".join(Path(name).name for name in found)
        say(f"built {names} for {kernel.name} in {time.monotonic() - begin:.1f} s")
        stamp.write_text(state)
        return found


def directory_of(kernel: Kernel, tree: Tree, files: image.Files, variables: Sequence[str]) -> Path:
    """Where modules() builds; by path, so that two checkouts do not undo each other's work."""
    made_of = [str(tree.source), files.key, list(variables), tree.symbols]
    return cache.root() / "build" / f"{kernel.name}-{cache.key(made_of)}"


def begin_alike(directory: Path, made_of: str) -> None:
    """Begin with what another checkout has built of the same files, if one has.

    kbuild compiles only those that differ: a test changes one line in a copy.
    """
    for stamp in sorted(directory.parent.glob("*/.stamp"), key=modified, reverse=True):
        origin = stamp.parent
        with contextlib.suppress(FileNotFoundError), locked(origin):
            if stamp.exists() and (origin / ALIKE).read_text() == made_of:
                # With the times of the files, by which kbuild goes.
                cache.make(
                    directory, partial(shutil.copytree, origin, ignore=OWN, dirs_exist_ok=True)
                )
                return


def modified(path: Path) -> float:
    with contextlib.suppress(FileNotFoundError):
        return path.stat().st_mtime
    return 0


def locked(directory: Path) -> contextlib.AbstractContextManager[None]:
    return cache.locked(cache.root() / "locks" / f"build-{directory.name}")


def seen_by_others(directory: Path, tree: Tree, sources: dict[Path, bytes]) -> str:
    """Return the state of all sources of the modules other than the top's.

    That is everything but the top's own C: they see only what it exports.
    """
    parts = [
        [str(path), data.hex()]
        for path, data in sorted(sources.items())
        if path.suffix != ".c" or any(path.is_relative_to(folder) for folder in tree.beside)
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
        # Another run may do the same.
        with contextlib.suppress(FileNotFoundError):
            if not Path(origin.read_text()).exists():
                cache.remove(origin.parent)


def synchronise(directory: Path, sources: dict[Path, bytes]) -> None:
    """Make `directory` have these sources, touching only what differs."""
    listing = directory / ".sources"
    if listing.exists() and set(listing.read_text().splitlines()) - {*map(str, sources)}:
        # What was built of a file that is gone would stay.
        cache.discard(directory)
    directory.mkdir(parents=True, exist_ok=True)
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
    folder: str = "",
    compiler: Compiler | None = None,
) -> None:
    """Run kbuild; raise with its output if it fails or prints anything that is not progress."""
    command = ["make", "-s", "-j2", "-C", files.headers]
    command += [f"M=/build/{folder}".rstrip("/"), *files.variables, *variables, "modules"]
    what = f"{folder or 'the module'} for {kernel.name}"
    run(files, directory, command, what, compiler or Compiler())


def finish(files: image.Files, directory: Path, compiler: Compiler, *, symbols: bool) -> None:
    """Strip the debugging information, for which the guest has no use, or let gdb relocate it.

    gdb relocates debugging information only if no section has an address in the file. Some
    sections have one, which nobody uses.
    """
    names = [f"/build/{path.relative_to(directory)}" for path in directory.rglob("*.ko")]
    if not symbols:
        strip = [f"{files.cross}strip", "--strip-debug", *names]
        run(files, directory, strip, "strip", compiler)
        return
    for name in names:
        command = [f"{files.cross}objcopy", "--change-section-vma", "*=0", name]
        run(files, directory, command, "objcopy", compiler)


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
