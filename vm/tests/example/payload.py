"""What a run of the machine takes along for this project."""

from __future__ import annotations

from typing import TYPE_CHECKING

from vm.host import kbuild, kernels, programs
from vm.host.payload import Payload

if TYPE_CHECKING:
    from pathlib import Path

    from vm.host.kernels import Kernel
    from vm.host.payload import Compiler, Files

# Two rows of the machine's table: the Debian root to build in has the default kernel only, the
# other one is built of its source.
ALL = kernels.load(space=kernels.UserSpace(imports=("argparse", "pathlib")))
UM = "7.3-um"
TABLE = kernels.Table(ALL.default, {name: ALL[name] for name in (ALL.default, UM)}, ALL.space)

TOP, BESIDE = ("hello.c", "hello.h"), ("neighbour",)

# With an interpreter that is there already, where the guest has one.
COMMAND = """#!/bin/busybox sh
[ ! -e /run/warm/call ] || exec /run/warm/call python3 -m greeter "$@"
exec python3 -m greeter "$@"
"""


def tree(source: Path, *, symbols: bool = False) -> kbuild.Tree:
    """hello.ko, of the Kbuild at the top, and neighbour.ko, which uses it."""
    variables = ("HELLO={tree}", "KBUILD_EXTRA_SYMBOLS={tree}/Module.symvers")
    return kbuild.Tree(source, (*TOP, *BESIDE), BESIDE, variables, symbols)


def of(source: Path, kernel: Kernel, *, symbols: bool = False) -> Payload:
    """The example project at `source`, with its modules and the command `greet`."""

    def made() -> Files:
        return programs.bytecode(TABLE, source, "lib/greeter")

    def built(compiler: Compiler) -> Files:
        return kbuild.modules(TABLE, kernel, tree(source, symbols=symbols), compiler=compiler)

    return Payload(
        source,
        made=made,
        built=built,
        commands={"greet": COMMAND},
        environment={"PYTHONPATH": f"{source}/lib"},
        imports=("greeter",),
    )
