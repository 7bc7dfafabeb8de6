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
	[ -e "$sections/.text" ] || continue
	printf 'add-symbol-file "%s" %s' "$VM_SYMBOLS/${path#./}" "$(cat "$sections/.text")"
	for section in .data .bss .rodata; do
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


def line(guest: Guest, kernel: Kernel, payload: Payload) -> str:
    """What to type. Debian has no kernel with symbols in its archive; our own have them."""
    command = ["gdb"]
    if kernel.own:
        command.append(str(guest.boot.kernel))
    for each in (f"set substitute-path /build {payload.source}", f"target remote {guest.gdb}"):
        command += ["-ex", each]
    symbols = "" if kernel.own else "; no symbols of this kernel"
    return f"{shlex.join(command)}  (and what `symbols` prints in the guest{symbols})"
