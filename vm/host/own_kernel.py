"""Kernels with the debugging that no Debian kernel has, built from Debian's own source.

Each is allnoconfig and the fragments of configs/ that its row in kernels.toml names.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from vm.host import cache, debian
from vm.host.errors import HarnessError
from vm.host.progress import run_logged, say, step

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from vm.host.kernels import Kernel

CONFIGS = Path(__file__).parents[1] / "configs"

PACKAGES = (
    *("gcc", "libc6-dev", "make", "kmod", "xz-utils", "perl"),
    *("bc", "bison", "flex", "libelf-dev", "libssl-dev", "openssl"),
)

# Where a kernel's tree is bound in the root: built there, and modules against it.
TREE = "/linux"

# What a module of another tree is built with, of the kernel's; the rest goes.
KEPT = {
    "x86": (
        *(".config", "Makefile", "Module.symvers"),
        *("include", "scripts", "arch/x86/Makefile", "arch/x86/Makefile.postlink"),
        *("arch/x86/include", "tools/objtool/objtool"),
    ),
    "um": (
        *(".config", "Makefile", "Module.symvers", "include", "scripts"),
        *("arch/um/Makefile", "arch/um/Makefile-skas", "arch/um/Makefile-os-Linux"),
        *("arch/um/include", "arch/x86/Makefile.um", "arch/x86/um", "arch/x86/include"),
    ),
}

# Run in the root, one after the other.
UNPACK = """\
set -e
cd {tree}
tar -xJ --strip-components=1 -f /usr/src/{source}.tar.xz
# QEMU enters the kernel here, before KASAN works: what asks for Xen compares by
# memcmp(), which it instruments, and the machine dies without a word.
pvh=arch/x86/platform/pvh/enlighten.c
grep -q 'u32 msr = xen_cpuid_base();' $pvh
sed -i 's/u32 msr = xen_cpuid_base();/u32 msr = 0;/' $pvh
"""
CONFIGURE = """\
set -e
cd {tree}
scripts/kconfig/merge_config.sh -n {fragments}
"""
COMPILE = """\
set -e
cd {tree}
nice -n 19 make -s -j2 vmlinux modules
strip -g -o kept/kernel vmlinux
make -s kernelrelease >kept/release
"""
KEEP = """\
set -e
cd {tree}
mkdir -p kept/build
tar -c --exclude='*.o' --exclude='.*.cmd' {kept} | tar -x -C kept/build
"""


@dataclass(frozen=True, slots=True)
class BuildRoot:
    """A Debian root to build kernels in: compiler, tools, and the kernel's source packed."""

    path: Path

    @property
    def tree(self) -> Path:
        return self.path / "tree"

    def versions(self) -> list[str]:
        """Of the source package and of the compiler: another kernel if one of them changes."""
        return (self.path / "versions").read_text().splitlines()


def build_root(suite: str, source: str) -> BuildRoot:
    """The root to build kernels in of the package `source`, as `linux-source-6.12`.

    The suite `trixie-backports` is trixie and what is newer there.
    """
    packages = (*PACKAGES, source)
    more = debian.backports(suite)
    hook = (
        f'mkdir "$1"{TREE} "$1"/build; '
        f'chroot "$1" dpkg-query -W -f=\'${{Version}}\\n\' {source} >"$1"/versions; '
        'chroot "$1" gcc --version | head -n1 >>"$1"/versions'
    )

    def build(path: Path) -> None:
        log = cache.root() / f"root-{source}.log"
        with step(f"making the Debian {suite} root to build {source} in", "1 minute"):
            debian.make_tree(
                path / "tree",
                debian.stable(suite),
                packages,
                *more,
                f"--customize-hook={hook}",
                log=log,
            )
        (path / "tree/versions").rename(path / "versions")

    def waiting() -> None:
        say(f"waiting for another run that is making the root for {source}")

    parts = [suite, packages, debian.MMDEBSTRAP, hook, *more]
    return BuildRoot(cache.artefact(f"root-{source}", parts, build, waiting=waiting))


def tree(kernel: Kernel) -> Path:
    """The directory of a kernel: `kernel` (an ELF image), `config`, `release`, and `build/`.

    Built if it is not in the cache, which takes 7 to 10 minutes on two cores.
    """
    root = build_root(kernel.suite, kernel.source)
    texts = {name: (CONFIGS / name).read_text(encoding="utf-8") for name in kernel.config}

    def build(path: Path) -> None:
        log = cache.root() / f"kernel-{kernel.name}.log"
        with step(f"building the kernel {kernel.name} of {kernel.source}", "7 to 10 minutes"):
            compile_kernel(root, kernel, texts, path, log)

    def waiting() -> None:
        say(f"waiting for another run that is building the kernel {kernel.name}")

    parts = [
        root.versions(),
        # Their comments may change.
        {name: settings(text.splitlines()) for name, text in texts.items()},
        UNPACK,
        CONFIGURE,
        COMPILE,
        KEEP,
        KEPT[kernel.arch],
        *variables(kernel),
        *kernel.keep,
    ]
    return cache.artefact(f"kernel-{kernel.name}", parts, build, waiting=waiting)


def variables(kernel: Kernel) -> list[str]:
    """The variables of make for the kernel's build."""
    return [*of_arch(kernel), *kernel.make]


def of_arch(kernel: Kernel) -> list[str]:
    """The variable of make that names an architecture other than this machine's."""
    return [] if kernel.arch == "x86" else [f"ARCH={kernel.arch}"]


def compile_kernel(
    root: BuildRoot, kernel: Kernel, texts: dict[str, str], path: Path, log: Path
) -> None:
    work, kept = path / "work", path / "work/kept"
    work.mkdir()
    words = {
        "tree": TREE,
        "source": kernel.source,
        "fragments": " ".join(f"kept/{name}" for name in texts),
        "kept": " ".join([*KEPT[kernel.arch], *kernel.keep]),
    }

    def inside(script: str) -> None:
        command = ["env", *variables(kernel), "sh", "-c", script.format(**words)]
        binds = {work: TREE}
        run_logged(debian.inside(root.tree, command, binds=binds), log, f"building {kernel.name}")

    inside(UNPACK)
    kept.mkdir()
    for name, text in texts.items():
        (kept / name).write_text(text, encoding="utf-8")
    inside(CONFIGURE)
    config = (work / ".config").read_text()
    if lost := missing(texts.values(), config):
        raise HarnessError(
            f"kernel {kernel.name}: Kconfig did not keep {', '.join(lost)}, which "
            f"{', '.join(texts)} in {CONFIGS} ask for: something they depend on is not there"
        )
    inside(COMPILE)
    inside(KEEP)
    (path / "config").write_text(config)
    for name in ("kernel", "release", "build"):
        (kept / name).rename(path / name)
    cache.discard(work)


# As in .config: NAME=value, the value with its quotes.
LINE = re.compile(r"(CONFIG_\w+)=(.+)")


def missing(fragments: Iterable[str], config: str) -> list[str]:
    """The lines of the fragments that a .config does not have; of two on one name the last."""
    wanted = dict(pair for text in fragments for pair in settings(text.splitlines()))
    have = dict(settings(config.splitlines()))
    return [
        f"{name}={value}"
        for name, value in wanted.items()
        # What is off is in a .config as a comment, or not at all.
        if have.get(name, "n") != value
    ]


def settings(lines: Sequence[str]) -> list[tuple[str, str]]:
    return [(match[1], match[2]) for line in lines if (match := LINE.fullmatch(line.strip()))]
