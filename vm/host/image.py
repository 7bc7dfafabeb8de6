"""Debian roots to build modules in, and the guest's disk image, made of one of them."""

from __future__ import annotations

import os
import shlex
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from vm.host import cache, debian, initramfs, linux_source, own_kernel, pypi
from vm.host.errors import HarnessError
from vm.host.processor import X86
from vm.host.progress import run_logged, say, step

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from vm.host.kernels import Kernel, Table
    from vm.host.processor import Processor

HERE = Path(__file__).parent
GUEST = HERE.parent / "guest"

# What a module is built with; pahole writes its BTF, xz and zstd open kernels and modules.
BUILD_PACKAGES = ("gcc", "libc6-dev", "make", "pahole", "kmod", "xz-utils", "zstd")

# The guest's user space is the same for all kernels, so it is of one suite.
# What the scripts of the guest run.
GUEST_PACKAGES = ("busybox-static", "mount", "procps", "python3")
GUEST_FREE_MIB = 400

CALL_FLAGS = ("-O1", "-Wall", "-Werror", "-static")

# Release candidates are in experimental, which is not a whole suite but goes on top of
# sid: from wherever mmdebstrap has that.
EXPERIMENTAL = (
    'sed "s/ sid / experimental /" "$1/etc/apt/sources.list" '
    '>"$1/etc/apt/sources.list.d/experimental.list"'
)
# Without its updates, which are not there for all processors at once.
SUITE_ONLY = 'sed -i 1q "$1/etc/apt/sources.list"'
ON_TOP = {"sid": (f"--setup-hook={EXPERIMENTAL}",)}


def on_top(suite: str) -> Sequence[str]:
    """Options of mmdebstrap for a suite that is more than one."""
    newer = debian.backports(suite)
    # Or what stable has as well would be of stable.
    return ON_TOP.get(suite) or (newer and [*newer, f'--aptopt=APT::Default-Release "{suite}"'])


@dataclass(frozen=True, slots=True)
class Root:
    """A Debian root of one suite, with the headers of its kernels."""

    path: Path

    @property
    def tree(self) -> Path:
        return self.path / "tree"

    def command(self, command: Sequence[str]) -> list[str]:
        """The command line that runs `command` in the root."""
        return debian.inside(self.tree, command)


@dataclass(frozen=True, slots=True)
class Files:
    """A kernel on disk, and where a module is built for it."""

    path: Path
    """The directory with `release`, `config`, and `vmlinuz` and `modules/` or `kernel`."""
    key: str
    """Names all that it was made of."""
    tree: Path
    """The Debian root to build in."""
    headers: str
    """The kernel's build directory in this root."""
    binds: Mapping[Path, str]
    """What must be bound into the root."""
    variables: tuple[str, ...] = ()
    """Of make, for each module."""
    cross: str = ""
    """What the names of compiler and binutils begin with, if they are for another processor."""

    @property
    def release(self) -> str:
        return (self.path / "release").read_text().strip()

    @property
    def config(self) -> list[str]:
        return (self.path / "config").read_text().splitlines()

    def command(self, command: Sequence[str], binds: Mapping[Path, str]) -> list[str]:
        """The command line that runs `command` in the root, with host directories bound in."""
        return debian.inside(self.tree, command, binds={**self.binds, **binds})


def files(table: Table, kernel: Kernel) -> Files:
    """A kernel of the table, which is fetched or built if it is not in the cache."""
    if kernel.own:
        path = own_kernel.tree(kernel)
        builder = own_kernel.build_root(kernel.suite, kernel.source)
        binds = {path / "build": own_kernel.TREE}
        variables = tuple(own_kernel.of_arch(kernel))
        return Files(path, path.name, builder.tree, own_kernel.TREE, binds, variables)
    processor = kernel.processor
    source = root(table, kernel.suite, processor)
    path = source.path / "kernels" / kernel.name
    release = (path / "release").read_text().strip()
    headers = f"/lib/modules/{release}/build"
    variables, cross = processor.variables, processor.cross
    return Files(path, source.path.name, source.tree, headers, {}, variables, cross)


def root(table: Table, suite: str, processor: Processor = X86) -> Root:
    """The root of `suite` with all kernels that the table has of it for this processor.

    Its programs run on this machine.
    """
    kernels = table.of_suite(suite, processor)
    guest = GUEST_PACKAGES + table.space.packages if suite == table.space.suite else ()
    compiler = [f"gcc-{processor.triplet}"] if processor.foreign else []
    packages = tuple(sorted({*BUILD_PACKAGES, *guest, *compiler}))
    hook = (HERE / "root.sh").read_text(encoding="utf-8")
    rows = [[kernel.name, kernel.image, kernel.headers] for kernel in kernels]
    name = f"{suite}-{processor.debian}" if processor.foreign else suite
    more = [*on_top(suite), *(both(processor) if processor.foreign else ())]

    def build(path: Path) -> None:
        lines = "\n".join(" ".join(row) for row in rows)
        names = ", ".join(kernel.name for kernel in kernels)
        arch = f":{processor.debian}" if processor.foreign else ""
        with step(f"making the Debian {suite} root for kernels {names}", "1 to 2 minutes"):
            debian.make_tree(
                path / "tree",
                debian.stable(suite),
                packages,
                f"--customize-hook=ARCH={arch} KERNELS={shlex.quote(lines)}\n{hook}",
                *more,
                log=cache.root() / f"root-{name}.log",
                script=hook,
            )
        (path / "tree" / "kernels").rename(path / "kernels")

    parts = [suite, more or None, packages, debian.MMDEBSTRAP, hook, rows]
    return Root(cache.artefact(f"root-{name}", parts, build, waiting=wait_line(f"root {name}")))


def both(processor: Processor) -> list[str]:
    """Options of mmdebstrap for a root that has packages for this processor as well."""
    return [f"--architectures={X86.debian},{processor.debian}", f"--setup-hook={SUITE_ONLY}"]


def space(table: Table, processor: Processor) -> Root:
    """The root that the disks of guests are made of.

    For another processor its packages are only unpacked, because their programs, which would
    configure them, do not run here. What they would make is taken from the same packages of
    this machine's processor, which were configured: /etc, alternatives, bytecode.
    """
    native = root(table, table.space.suite)
    if not processor.foreign:
        return native
    suite, name = table.space.suite, f"{table.space.suite}-{processor.debian}"
    packages = sorted({*BUILD_PACKAGES, *GUEST_PACKAGES, *table.space.packages})
    options = [
        *("--variant=extract", "--skip=check/qemu", "--include=?essential"),
        *(f"--architectures={processor.debian}", f"--setup-hook={SUITE_ONLY}"),
    ]
    script = f"""
        cd {shlex.quote(str(native.tree))}
        {{
            find etc -not -name ld.so.cache
            find . -xdev -type l -lname '/etc/alternatives/*'
            find usr/lib -name '*.pyc'
        }} | tar -c --no-recursion -T - --transform='s/{X86.triplet}/{processor.triplet}/g' |
            tar -x -p --skip-old-files -C "$1"
    """

    def build(path: Path) -> None:
        log = cache.root() / f"space-{name}.log"
        with step(f"making the Debian {suite} system of guests, {processor.debian}", "2 minutes"):
            debian.make_tree(path / "tree", suite, packages, *options, log=log)
            (path / "tree/build").mkdir()
            command = ["sh", "-ec", script, "sh", str(path / "tree")]
            run_logged(debian.as_root(command), log, "configuring by copies")

    parts = [packages, options, script, debian.MMDEBSTRAP]
    return Root(cache.artefact(f"space-{name}", parts, build, waiting=wait_line(f"system {name}")))


def compiling(table: Table, processor: Processor, command: Sequence[str], place: Path) -> list[str]:
    """The command line that runs the compiler `gcc ...` for the guest, with `place` at /build."""
    native = root(table, table.space.suite, processor)
    binds = {place: "/build"}
    if processor.foreign:
        # What the guest has is what is compiled and linked with.
        binds[space(table, processor).tree] = "/mnt"
        gcc = f'exec {processor.cross}gcc --sysroot=/mnt "$@"'
        script = f"printf '%s\\n' '#!/bin/sh' '{gcc}' >/tmp/gcc && chmod +x /tmp/gcc"
        command = ["sh", "-ec", f'{script}; PATH=/tmp:$PATH exec "$@"', "sh", *command]
    return debian.inside(native.tree, command, binds=binds)


def plain_root(
    name: str,
    suite: str,
    packages: Sequence[str],
    *,
    places: Sequence[str] = (),
    processor: Processor = X86,
) -> Root:
    """A root with these packages, and no kernel.

    `places` are directories that something is to be bound over. The root can have packages
    of a foreign `processor` too: `libc6-dev:arm64`.
    """
    more = both(processor) if processor.foreign else []
    hook = "; ".join(f'mkdir -p "$1"{place}' for place in ("/build", *places))

    def build(path: Path) -> None:
        with step(f"making the Debian {suite} root {name}", "1 to 2 minutes"):
            debian.make_tree(
                path / "tree",
                suite,
                packages,
                f"--customize-hook={hook}",
                *more,
                log=cache.root() / f"root-{name}.log",
            )

    parts = [suite, list(packages), debian.MMDEBSTRAP, hook, *more]
    return Root(cache.artefact(f"root-{name}", parts, build, waiting=wait_line(f"root {name}")))


def guest_image(table: Table, processor: Processor = X86) -> Path:
    """The guest's disk: an ext4 file system of the user space's root, for all kernels."""
    source = space(table, processor)
    linux = linux_source.tree()
    # Headers and compiled-in sources are for building, on the host.
    hide = ["usr/src", "usr/local/lib", "kernels", "build", "var/cache", "var/lib/apt"]
    script = [f"test ! -d {name} || mount -t tmpfs none {name}" for name in hide]
    # In the place of the headers' sources, on the file system that hides them.
    script += ["mkdir usr/src/linux", f"cp -R {shlex.quote(str(linux))}/. usr/src/linux"]
    if table.space.wheels:
        python = (source.tree / "usr/bin/python3").readlink().name
        wheels = pypi.tree(table.space.wheels, python.removeprefix("python"), processor)
        script += [
            f"local=usr/local/lib/{python}/dist-packages",
            f"mkdir -p $local && cp -R {shlex.quote(str(wheels))}/. $local",
        ]
    made_of = [source.path.name, linux.name, table.space.wheels, GUEST_FREE_MIB, 3]
    return disk("guest", source, script, made_of)


def headers(table: Table, kernel: Kernel) -> dict[Path, str]:
    """The headers of a kernel of Debian's, by the places to bind them over in another root."""
    return header_places(root(table, kernel.suite).tree)


def header_places(tree: Path) -> dict[Path, str]:
    """What has the headers of the kernels of a root, by the places to bind it over in another."""
    kbuild = sorted(tree.glob("usr/lib/linux-kbuild-*"))
    there = (tree / "usr/src", tree / "usr/lib/modules", *kbuild)
    return {path: f"/{path.relative_to(tree)}" for path in there}


def disk(name: str, source: Root, script: Sequence[str], made_of: Sequence[object]) -> Path:
    """An image of `source`, after `script` has changed in a mount namespace what is seen of it."""

    def build(path: Path) -> None:
        image = path / "guest.ext4"
        lines = [
            "set -e",
            f"cd {shlex.quote(str(source.tree))}",
            *script,
            "size=$(du -sm . | cut -f1)",
            f"truncate -s $((size + size / 8 + {GUEST_FREE_MIB}))M {shlex.quote(str(image))}",
            # No journal: the image is never written to, each machine has an overlay.
            "mke2fs -q -F -t ext4 -O ^has_journal -m 0 -N 100000 -E root_owner=0:0 -d . "
            + shlex.quote(str(image)),
        ]
        if debian.privilege() == "sudo":
            lines.append(f"chown {os.getuid()} {shlex.quote(str(image))}")
        log = cache.root() / f"{name}.log"
        with step(f"making the disk image of the {name}", "10 s"):
            run_logged(debian.as_root(["sh", "-c", "\n".join(lines)]), log, "mke2fs")

    return cache.artefact(name, made_of, build, waiting=wait_line(f"{name} image")) / "guest.ext4"


@dataclass(frozen=True, slots=True)
class Boot:
    """What QEMU loads for one kernel."""

    kernel: Path
    initrd: Path
    processor: Processor = X86


def boot_files(table: Table, kernel: Kernel) -> Boot:
    source = files(table, kernel)
    processor = kernel.processor
    guest = space(table, processor)
    init, interpreter, call = (
        (GUEST / name).read_bytes() for name in ("init.sh", "interpreter.py", "call.c")
    )
    imports = ",".join(table.space.imports)

    def build(path: Path) -> None:
        # Static: each program of the guest's disk that is linked at its start costs 60 ms.
        compiler = ["gcc", *CALL_FLAGS, "-o", "/build/call", "-x", "c", "-"]
        subprocess.run(compiling(table, processor, compiler, path), input=call, check=True)
        initramfs.write(
            path / "initrd",
            init=init,
            busybox=(guest.tree / "usr/bin/busybox").read_bytes(),
            # A kernel of our own has all of them built in.
            modules=sorted((source.path / "modules").glob("*")),
            warm={
                "interpreter.py": interpreter,
                "call": (path / "call").read_bytes(),
                "imports": imports.encode(),
            },
        )
        (path / "call").unlink()
        image = source.path / "kernel"
        data = image.read_bytes() if image.exists() else uncompressed(source, guest)
        (path / "kernel").write_bytes(data)
        (path / "kernel").chmod(0o755)

    recipe = (HERE / "initramfs.py").read_text(encoding="utf-8")
    texts = [text.decode() for text in (init, interpreter, call)]
    parts = [source.key, guest.path.name, kernel.name, texts, imports, CALL_FLAGS, recipe]
    path = cache.artefact(f"boot-{kernel.name}", parts, build)
    return Boot(path / "kernel", path / "initrd", processor)


def uncompressed(files: Files, tools: Root) -> bytes:
    """The ELF kernel inside a bzImage, where QEMU can enter it directly (PVH).

    The guest then need not run the decompressor, which takes TCG 2 s. Nor does it
    randomise its address, which nothing here needs.
    """
    vmlinuz = files.path / "vmlinuz"
    image = vmlinuz.read_bytes()
    if "CONFIG_PVH=y" not in files.config:
        return image
    # Documentation/arch/x86/boot.rst: setup_sects, payload_offset, payload_length.
    start = (image[0x1F1] + 1) * 512 + int.from_bytes(image[0x248:0x24C], "little")
    length = int.from_bytes(image[0x24C:0x250], "little")
    payload = image[start : start + length]
    # The last four bytes are the size when uncompressed.
    size = int.from_bytes(payload[-4:], "little")
    tool = {b"\x28\xb5\x2f\xfd": "zstd", b"\xfd7zX": "xz"}.get(payload[:4])
    if tool is None:
        return image
    # zstd and xz stop at the end of their stream, some with a complaint about what follows.
    result = subprocess.run(
        tools.command([tool, "-dcq"]), input=payload[:-4], capture_output=True, check=False
    ).stdout
    if len(result) != size or not result.startswith(b"\x7fELF"):
        raise HarnessError(f"{vmlinuz}: cannot unpack the kernel inside ({tool})")
    return result


def wait_line(what: str) -> Callable[[], None]:
    return lambda: say(f"waiting for another run that is making the {what}")
