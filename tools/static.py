"""Tools that look at the module's source and are in no root to build in: clang, sparse for
the headers of an older suite, coccinelle with the kernel's own rules, and what `make UT=1`
runs."""

from __future__ import annotations

import dataclasses
import re
import shlex
import subprocess
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING

from tests.lib import payload
from tests.lib.payload import TABLE
from vm.host import cache, debian, image, linux_source
from vm.host.errors import HarnessError
from vm.host.processor import ARM64
from vm.host.progress import run_logged, step

if TYPE_CHECKING:
    from collections.abc import Sequence

    from vm.host.kernels import Kernel

HERE = Path(__file__).parent

SUITE = "trixie"
# Coccinelle loads Python's library for its reports; pahole writes BTF.
PACKAGES = ("clang", "coccinelle", "libpython3-dev", "make", "pahole", "sparse")

# Their headers come with programs for this suite's libraries or older ones.
SUITES = ("bookworm", "trixie")

# Other processors: Debian's name of each, the kernel's, and what the compiler's names begin with.
CROSS = {
    "arm64": (ARM64.arch, ARM64.cross, TABLE["6.12-arm64"].headers),
    "riscv64": ("riscv", "riscv64-linux-gnu-", "linux-headers-riscv64"),
}
CROSS_PACKAGES = (
    *(f"gcc-{prefix.rstrip('-')}" for _, prefix, _ in CROSS.values()),
    # kernel-doc, which W=1 runs, is Perl.
    *("libc6-dev", "make", "pahole", "perl"),
)

# Their headers, with the programs of kbuild for this machine's processor. The compilers that the
# headers depend on are for a machine of that kind, so nothing is installed.
CROSS_HOOK = """
set -eu
export APT_CONFIG="$MMDEBSTRAP_APT_CONFIG"
depends() {
	apt-cache depends --important "$1" | sed -n 's/^[ |]*Depends: <*\\([^:>]*\\).*/\\1/p' |
		grep -E -m1 "$2"
}
mkdir "$1/build" "$1/headers" "$1/headers/deb"
echo "$ROWS" | while read -r processor package; do
	headers=$(depends "$package:$processor" '^linux-headers-[0-9]')
	kbuild=$(depends "$headers:$processor" '^linux-kbuild-')
	common=$(depends "$headers:$processor" '^linux-headers-.*-common')
	(cd "$1/headers/deb" && apt-get -q -o APT::Sandbox::User=root download \
		"$headers:$processor" "$common" "$kbuild:$NATIVE")
	ln -s "/usr/src/$headers" "$1/headers/$processor"
done
for deb in "$1"/headers/deb/*.deb; do
	dpkg-deb --fsys-tarfile "$deb" | tar -x --keep-directory-symlink -C "$1"
done
rm -r "$1/headers/deb"
"""

# Debian's kernels are configured for gcc, and their headers for nothing else. These are
# what the configuration would say for clang; the last one is of the headers, which use
# gcc's named address spaces where they are configured to.
CLANG = (
    "CC=clang",
    "CONFIG_CC_IS_GCC=",
    "CONFIG_CC_IS_CLANG=y",
    "CONFIG_GCC_VERSION=0",
    "CONFIG_CLANG_VERSION=190000",
    "CONFIG_CC_HAS_MIN_FUNCTION_ALIGNMENT=",
    "CONFIG_FTRACE_MCOUNT_USE_CC=",
    "CONFIG_CC_IMPLICIT_FALLTHROUGH=-Wimplicit-fallthrough",
    "KCFLAGS=-Wno-duplicate-decl-specifier",
)

# From 6.19 on kbuild can warn of trace events that nobody emits. Debian's headers come
# without the program for it, which is made here of the source.
UNUSED_SINCE = (6, 19)
UNUSED = ("UT=1", "cmd_check_tracepoint=/opt/tracepoint-update --module $<")
UNUSED_SUITE = "sid"
UNUSED_PACKAGE = "linux-source"
UNUSED_SOURCES = (
    "scripts/tracepoint-update.c",
    "scripts/elf-parse.c",
    "scripts/elf-parse.h",
    "tools/include/tools/be_byteshift.h",
    "tools/include/tools/le_byteshift.h",
)

# Rules that cannot say anything here, and why.
SKIPPED = {
    "api/check_bq27xxx_data.cocci": "of one driver, and needs an OCaml compiler",
    "null/badzero.cocci": "needs an OCaml compiler; sparse warns of 0 for a pointer",
}


def tools() -> Path:
    """A Debian root with the tools."""

    def make(path: Path) -> None:
        with step(f"making the Debian {SUITE} root for static checks", "1 to 2 minutes"):
            debian.make_tree(path, SUITE, PACKAGES, log=cache.root() / "static.log")
        for name in ("build", "linux", "rtshm"):
            (path / name).mkdir()

    parts = [SUITE, PACKAGES, debian.MMDEBSTRAP]
    return cache.artefact("static", parts, make, waiting=image.wait_line("root for static checks"))


def headers(kernel: Kernel) -> image.Files:
    """The headers of `kernel`, which is of one of `SUITES`, in the root with the tools."""
    files = image.files(TABLE, kernel)
    binds = image.header_places(files.tree)
    tree = tools()
    for place in binds.values():
        Path(f"{tree}{place}").mkdir(exist_ok=True)
    return dataclasses.replace(files, key=f"{files.key}-{tree.name}", tree=tree, binds=binds)


def cross(processor: str) -> image.Files:
    """The headers of another processor, in a root with a compiler for it."""
    rows = "\n".join(f"{name} {package}" for name, (_, _, package) in CROSS.items())
    native = subprocess.run(
        ["dpkg", "--print-architecture"], capture_output=True, text=True, check=True
    ).stdout.strip()
    hook = f"NATIVE={native} ROWS={shlex.quote(rows)}\n{CROSS_HOOK}"

    def make(path: Path) -> None:
        with step(f"making the Debian {SUITE} root with cross compilers", "2 minutes"):
            debian.make_tree(
                path,
                SUITE,
                CROSS_PACKAGES,
                f"--architectures={','.join((native, *CROSS))}",
                f"--setup-hook={image.SUITE_ONLY}",
                f"--customize-hook={hook}",
                log=cache.root() / "cross.log",
            )

    parts = [SUITE, CROSS_PACKAGES, debian.MMDEBSTRAP, hook]
    waiting = image.wait_line("root with cross compilers")
    tree = cache.artefact("cross", parts, make, waiting=waiting)
    arch, prefix, _ = CROSS[processor]
    variables = (f"ARCH={arch}", f"CROSS_COMPILE={prefix}")
    key = f"{tree.name}-{processor}"
    return image.Files(tree, key, tree, f"/headers/{processor}", {}, variables, prefix)


def tracepoint_update() -> Path:
    """A directory with the program, linked for any root."""

    def make(path: Path) -> None:
        making = debian.mmdebstrap(
            "--variant=extract", f"--include={UNUSED_PACKAGE}", UNUSED_SUITE, "-"
        )
        names = shlex.join(f"*/{name}" for name in UNUSED_SOURCES)
        script = f"""
            set -o pipefail
            {shlex.join(making)} | tar -xO --wildcards './usr/src/linux-source-*.tar.xz' |
                tar -xJ --strip-components=1 --wildcards -C {shlex.quote(str(path))} {names}
            cd {shlex.quote(str(path))}
            cc -O1 -static -Iscripts -Itools/include -o tracepoint-update scripts/*.c
        """
        with step("making the program that UT=1 runs, of the kernel's source", "1 minute"):
            run_logged(["bash", "-ec", script], cache.root() / "unused.log", UNUSED_PACKAGE)

    waiting = image.wait_line("program that UT=1 runs")
    parts = [UNUSED_SUITE, UNUSED_PACKAGE, UNUSED_SOURCES]
    return cache.artefact("tracepoint-update", parts, make, waiting=waiting)


def with_tracepoint_update(kernel: Kernel) -> image.Files:
    """A kernel's files, and in the root to build in what UT=1 runs."""
    files = image.files(TABLE, kernel)
    return dataclasses.replace(files, binds={**files.binds, tracepoint_update(): "/opt"})


def version(kernel: Kernel) -> tuple[int, int]:
    """Major and minor number, with which the name of every kernel begins."""
    match = re.match(r"(\d+)\.(\d+)", kernel.name)
    if match is None:
        raise HarnessError(f"the name of kernel {kernel.name!r} does not begin with its version")
    return int(match[1]), int(match[2])


# A finding begins with the place; what else spatch prints is about itself.
FINDING = re.compile(r"^kmod/\S+:\d+")
BAD = re.compile(r"^nb good = \d+,\s+nb bad = (\d+)", re.MULTILINE)


def rules() -> list[str]:
    """The kernel's rules that apply, by path below `scripts/coccinelle`."""
    top = linux_source.tree() / linux_source.COCCINELLE
    names = {str(path.relative_to(top)) for path in top.rglob("*.cocci")}
    if gone := SKIPPED.keys() - names:
        raise HarnessError(f"{top} has no {', '.join(gone)}; remedy: take it out of SKIPPED")
    return sorted(names - SKIPPED.keys())


def coccinelle(source: Path, names: Sequence[str] = ()) -> list[str]:
    """What the kernel's rules, or those of `names`, find in the module of a checkout."""

    def apply(name: str) -> list[str]:
        rule = linux_source.tree() / linux_source.COCCINELLE / name
        # As scripts/coccicheck does, which needs a configured kernel.
        options = re.findall(r"^//+#? *Options: *(.*)$", rule.read_text(), re.MULTILINE)
        command = ["-D", "report", "--very-quiet", "--no-show-diff"]
        command += ["--cocci-file", f"/linux/{linux_source.COCCINELLE}/{name}"]
        command += [*" ".join(options).split(), "--dir", "kmod"]
        output = spatch(source, [*command, "-I", "kmod/include/uapi"])
        return [line for line in output.splitlines() if FINDING.match(line)]

    with ThreadPoolExecutor(2) as pool:
        found = pool.map(apply, names or rules())
        return [line for lines in found for line in lines]


def unparsed(source: Path) -> dict[str, int]:
    """The files of the module that coccinelle cannot parse wholly, and how many lines of them."""
    paths = [path for path in payload.tree(source).files() if path.suffix == ".c"]
    bad = {}
    for path in paths:
        output = spatch(source, ["--parse-c", str(path)])
        counts = BAD.findall(output)
        if len(counts) != 1:
            raise HarnessError(f"{output}\nspatch: {path}: no count of lines")
        bad[str(path)] = int(counts[0])
    return {path: lines for path, lines in bad.items() if lines}


def spatch(source: Path, arguments: Sequence[str]) -> str:
    """What coccinelle prints, at work in the checkout `source`."""
    binds = {source: "/build", linux_source.tree(): "/linux", HERE: "/rtshm"}
    command = ["env", "--chdir=/build", "spatch", "--macro-file", "/rtshm/coccinelle.h"]
    done = subprocess.run(
        debian.inside(tools(), [*command, *arguments], binds=binds),
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode != 0:
        raise HarnessError(f"{done.stderr.strip()}\nspatch {arguments}: {done.returncode}")
    return done.stdout
