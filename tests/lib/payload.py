"""What a run of the machine takes along for this project: the one file that knows both.

The machine (vm/) carries a Payload and knows no more; what is in it is decided here.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vm.host import captured, kbuild, kernels, programs
from vm.host.payload import Payload
from vm.host.splats import Allowed

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from vm.host import image
    from vm.host.kernels import Kernel, Table
    from vm.host.payload import Compiler, Files

CHECKOUT = Path(__file__).resolve().parents[2]

SPACE = kernels.UserSpace(
    suite="trixie",
    packages=(
        "bpftool",
        "iproute2",
        "python3-click",
        "python3-construct",
        "python3-dev",
        "python3-jsonschema",
        "python3-matplotlib",
        "python3-numpy",
        "python3-pexpect",
        "python3-pyroute2",
        "python3-pytest",
        "python3-rich",
        "python3-tomli-w",
        "python3-yaml",
        "sparse",
        "trace-cmd",
        # As `make vm PACKAGES=clang` asks for.
        *os.environ.get("PACKAGES", "").split(),
    ),
    # ebpfcat is for an example, client/examples/follow.py; mcap needs lz4 and zstandard.
    # Compiled code has a hash for arm64, and one for x86-64.
    wheels="""\
ebpfcat==1.0.0 \\
    --hash=sha256:03dcfd605e176d6571e05e70668f5e4f2eefc283b6138262a4833e91b10e12ba
lz4==4.4.5 \\
    --hash=sha256:533298d208b58b651662dd972f52d807d48915176e5b032fb4f8c3b6f5fe535c \\
    --hash=sha256:451039b609b9a88a934800b5fc6ee401c89ad9c175abf2f4d9f8b2e4ef1afc64
mcap==1.6.0 \\
    --hash=sha256:7cd37fba2cf51d033f2139ca837d2ed3024dcec3cd9f8ecdf3d4d15930df6e17
plotext==5.3.2 \\
    --hash=sha256:394362349c1ddbf319548cfac17ca65e6d5dfc03200c40dfdc0503b3e95a2283
pyarrow==26.0.1 \\
    --hash=sha256:a3a79661404ba3d41b7c9a45cb56113246a244b38cb1393fadae289bc66b91b4 \\
    --hash=sha256:f71221bbc7707e3fad920d0478db9350791d4714ec445299ee0d56559fbc156c
zstandard==0.25.0 \\
    --hash=sha256:bfc4e20784722098822e3eee42b8e576b379ed72cca4a7cb856ae733e62192ea \\
    --hash=sha256:8e735494da3db08694d26480f1493ad2cf86e99bdd53e8e9771b2752a5c0246a
""",
    # What the command `rtshm` imports, what pyroute2 imports for it, and what pytest's tests do.
    imports=(
        *("click", "construct", "dataclasses", "json", "pyroute2", "tomli_w"),
        *("csv", "numpy", "pexpect", "plotext", "pytest", "rich.live", "rich.table", "yaml"),
    ),
)
TABLE = kernels.load(space=SPACE)

# Modules of their own, built against rtshm's headers and Module.symvers as a user's would be.
BESIDE = ("kmod/examples/pi", "tests/probe")
# kmod/examples/pi/Makefile has them too.
OF_RTSHM = ("RTSHM={tree}", "KBUILD_EXTRA_SYMBOLS={tree}/Module.symvers")

HEADERS = "kmod/include/uapi"
CC = ("gcc", "-O1", "-Wall", "-Werror", "-I", f"/build/{HEADERS}")
# As setuptools builds it; the headers are in a folder named after Python's version.
EXTENSION = (
    *("sh", "-c"),
    'exec gcc -O2 -Wall -Werror -shared -fPIC $(python3-config --includes) "$@"',
    "gcc",
)
UAPI = (f"{HEADERS}/linux/*.h",)
STREAMS = "tests/lib/streams.h"

# BPF programs for the tick, compiled as client/rtshm/bpf.py does it: see there.
TASK = (
    *("clang", "-O2", "-g", "-Wall", "-Werror", "-target", "bpf", "-mcpu=v3", "-c"),
    *("-I", "/build/client/examples", "-idirafter", "/usr/include/x86_64-linux-gnu"),
)
TASK_ROOT = ("clang", "libbpf-dev", "python3-construct")
TASK_HEADER = "client/examples/rtshm_region.h"
TASKS = [
    programs.Program(
        str(path.parent.relative_to(CHECKOUT)),
        path.with_suffix(".o").name,
        path.name,
        TASK,
        (TASK_HEADER, "client/rtshm/tasks/record.h", "tests/module/tasks/*.h"),
        root=TASK_ROOT,
    )
    for folder in ("client/examples", "client/rtshm/tasks", "tests/module/tasks")
    for path in sorted((CHECKOUT / folder).glob("*.bpf.c"))
]

PROGRAMS = (
    programs.Program("client/rtshm", "_publish.abi3.so", "_publish.c", EXTENSION, UAPI),
    programs.Program("tests/stress", "stress", "*.[ch]", CC, (*UAPI, STREAMS)),
)

# `warm MODULE` is `python3 -m MODULE`. In a guest that begins with a snapshot, a fork of an
# interpreter that has done the imports runs the module.
WARM = """#!/bin/busybox sh
[ ! -e /run/warm/call ] || exec /run/warm/call python3 -m {module}"$@"
exec python3 -m {module}"$@"
"""

# Not RAM of the kernel's, in every boot: in the middle of the guest's 1 GiB.
RAW_ADDRESS, RAW_BYTES = 0x2000_0000, 2 << 20

ALLOWED = (
    Allowed(
        r"netlink: 'malformed': attribute type \d+ has an invalid length\.$",
        ("tcg", "kvm", "icount", "uml"),
        "printed by the kernel's parser for any family; tests/module/test_netlink.py sends such "
        "requests, under this name",
    ),
)


def tree(source: Path, *, symbols: bool = False, more: Sequence[str] = ()) -> kbuild.Tree:
    """The modules of a checkout, with those in the folders of `more`."""
    folders = ("kmod", "tests/probe", *more)
    return kbuild.Tree(source, folders, (*BESIDE, *more), OF_RTSHM, symbols)


def modules(
    source: Path,
    kernel: Kernel,
    *,
    table: Table = TABLE,
    variables: Sequence[str] = (),
    files: image.Files | None = None,
    more: Sequence[str] = (),
) -> dict[str, bytes]:
    """The built modules of tree() by their paths: see kbuild.modules()."""
    found = tree(source, more=more)
    return kbuild.modules(table, kernel, found, variables=variables, files=files)


def of(
    source: Path,
    kernel: Kernel,
    *,
    table: Table = TABLE,
    variables: Sequence[str] = (),
    symbols: bool = False,
    tasks: bool = True,
    extra: Mapping[str, bytes] | None = None,
    more_modules: Sequence[str] = (),
    more_programs: Sequence[programs.Program] = (),
) -> Payload:
    """A checkout with its modules, built with kbuild's `variables`, and its programs.

    `tasks` are those in BPF, which take a clang; `extra` are further files for the guest's
    copy, by path.
    """
    compiled = [*PROGRAMS, *more_programs, *(TASKS if tasks else ())]

    def made() -> Files:
        return {
            **programs.of(table, source, compiled, kernel.processor),
            **programs.bytecode(table, source, "client/rtshm"),
            **(extra or {}),
        }

    def built(compiler: Compiler) -> Files:
        modules = tree(source, symbols=symbols, more=more_modules)
        return kbuild.modules(table, kernel, modules, variables=variables, compiler=compiler)

    return Payload(
        source,
        made=made,
        built=built,
        commands={"rtshm": WARM.format(module="rtshm "), "warm": WARM.format(module="")},
        environment={
            "PYTHONPATH": f"{source}/client",
            # pyarrow's allocator has no thread, which tests that fork would leave behind.
            "JE_ARROW_MALLOC_CONF": "background_thread:false",
        },
        imports=("rtshm.cli.commands", "rtshm.control", "rtshm.region"),
        # Of x86 only.
        arguments="" if kernel.processor.foreign else f"memmap={RAW_BYTES >> 20}M${RAW_ADDRESS:#x}",
        allowed=ALLOWED,
    )


def run(
    command: str,
    *,
    kernel: str = "",
    source: Path = CHECKOUT,
    variables: Sequence[str] = (),
    extra: Mapping[str, bytes] | None = None,
    **options: Any,
) -> captured.Done:
    """Run a command in a machine of its own: how it ended and what it wrote.

    `options` are those of machine.run().
    """
    row = TABLE[kernel]
    taken = of(source, row, variables=variables, extra=extra)
    return captured.run(TABLE, row, taken, command, **options)
