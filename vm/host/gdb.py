"""A guest that gdb looks into: QEMU's stub, and the symbols of its modules."""

from __future__ import annotations

import shlex
from dataclasses import replace
from typing import TYPE_CHECKING

from vm.host.errors import HarnessError

if TYPE_CHECKING:
    from concurrent.futures import Future
    from pathlib import Path

    from vm.host.kernels import Kernel
    from vm.host.payload import Files, Payload
    from vm.host.qemu import Guest

# The kernel and its modules are where their files say.
ARGUMENTS = "nokaslr"

# Of the address of a socket in the file system: unix(7).
LONGEST = 107

# In the guest: gdb's command for each module of the checkout that is loaded. Modules are
# loaded anywhere, so that only the running kernel knows.
SYMBOLS = """#!/bin/sh
cd "$VM_CHECKOUT" || exit
find . -name '*.ko' | while read -r path; do
	name=$(basename "$path" .ko | tr - _)
	sections=/sys/module/$name/sections
	[ -d "$sections" ] || continue
	printf 'add-symbol-file "%s"' "$VM_SYMBOLS/${path#./}"
	for section in .text .text.unlikely .init.text .exit.text .data .bss .rodata; do
		[ ! -e "$sections/$section" ] || printf ' -s %s %s' $section "$(cat "$sections/$section")"
	done
	echo
done
"""


def place(directory: Path) -> Path:
    """The socket for gdb, in the directory of a run."""
    path = directory / "gdb"
    if len(str(path)) > LONGEST:
        raise HarnessError(f"{path} is too long for a socket; set XDG_CACHE_HOME to a shorter one")
    return path


def with_symbols(payload: Payload, directory: Path, built: Future[Files]) -> Payload:
    """The payload with the command `symbols`; the modules are kept in the directory of the run."""
    modules = directory / "modules"

    def keep(built: Future[Files]) -> None:
        if built.exception() is None:
            for name, data in built.result().items():
                (modules / name).parent.mkdir(parents=True, exist_ok=True)
                (modules / name).write_bytes(data)

    built.add_done_callback(keep)
    return replace(
        payload,
        commands={**payload.commands, "symbols": SYMBOLS},
        environment={**payload.environment, "VM_SYMBOLS": str(modules)},
    )


def lines(guest: Guest, kernel: Kernel, payload: Payload) -> list[str]:
    """What to type.

    Debian's archive has no kernel with symbols; the kernels built from source have the names of
    their functions, and no lines.
    """
    # Debian's gdb knows the processor that it runs on.
    program = "gdb-multiarch" if kernel.processor.foreign else "gdb"
    command = [program, *([str(guest.boot.kernel)] if kernel.own else [])]
    for each in (f'set substitute-path /build "{payload.source}"', f"target remote {guest.gdb}"):
        command += ["-ex", each]
    return [
        f"attach by: {shlex.join(command)}",
        "then give gdb what `symbols` prints in the guest, once the module is loaded",
    ]
