"""The module's arithmetic, compiled here: the functions that need no kernel.

They are taken out of the sources by their names, wherever in kmod/ they are, so that
what is tested is the text that goes into the kernel.
"""

from __future__ import annotations

import ctypes
import re
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

HERE = Path(__file__).parent
KMOD = HERE.parents[2] / "kmod"

# In the order in which they are compiled.
STRUCTURES = ("rtshm_sleeper", "rtshm_ring")
SLEEPERS = ("rtshm_sleeper_wake",)
RING = ("rtshm_ring_slot", "rtshm_ring_push", "rtshm_ring_first", "rtshm_ring_run")
PIECES = ("rtshm_piece", "rtshm_move_piece", "rtshm_move")
OTHERS = ("rtshm_name_ok", "rtshm_first_tick")
FUNCTIONS = (*SLEEPERS, *RING, *PIECES, *OTHERS)


def sources() -> str:
    return "\n".join(path.read_text() for path in sorted(KMOD.glob("*.[ch]")))


def taken(text: str, types: Sequence[str], functions: Sequence[str]) -> str:
    """The definitions of these structures and unions, and of these functions."""
    found = {}
    for name in types:
        if match := re.search(rf"^(?:struct|union) {name} {{\n.*?^}};\n", text, re.M | re.S):
            found[name] = match[0]
    for name in functions:
        pattern = rf"^\w[^\n;]*\b{name}\([^;{{]*\)\n{{\n.*?^}}\n"
        if match := re.search(pattern, text, re.M | re.S):
            found[name] = match[0]
    missing = [name for name in (*types, *functions) if name not in found]
    assert not missing, f"not in the sources: {missing}; see tests/host/kernel"
    return "\n".join(found.values())


def compiled(text: str, folder: Path) -> ctypes.CDLL:
    """The functions of these sources, with the checks of checks.c behind them."""
    source = folder / "arithmetic.c"
    code = taken(text, STRUCTURES, FUNCTIONS)
    source.write_text(f'#include "shim.h"\n{code}\n#include "checks.c"\n')
    library = folder / "arithmetic.so"
    command = ["gcc", "-O1", "-Wall", "-Wno-unused-function", "-Werror", "-shared", "-fPIC"]
    include = [f"-I{HERE}", f"-I{KMOD}/include/uapi"]
    subprocess.run([*command, *include, "-o", library, source], check=True)
    found = ctypes.CDLL(str(library))
    for name in ("check_ring", "check_wake", "check_copies"):
        getattr(found, name).restype = ctypes.c_int64
    found.check_copies.argtypes = [ctypes.c_uint64]
    found.name_ok.restype = ctypes.c_bool
    found.first_tick.restype = ctypes.c_uint64
    found.first_tick.argtypes = [ctypes.c_uint64] * 4
    return found
