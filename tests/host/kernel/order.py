"""Functions of the module and of the client as programs for cbmc, a bounded model checker of
C that knows processors which reorder stores (--mm pso): order/*.c, and kernel.h there."""

from __future__ import annotations

import re
import subprocess
from dataclasses import dataclass
from typing import TYPE_CHECKING

from tests.host.kernel import arithmetic
from tests.lib.payload import CHECKOUT
from vm.host import unpacked

if TYPE_CHECKING:
    from pathlib import Path

# Bookworm has none.
CBMC = unpacked.Program("cbmc", "trixie", "cbmc", ("./usr/lib/libminisat.so*",))

HERE = arithmetic.HERE / "order"

# What each check takes out of the sources: types, and functions.
WORD = ("rtshm_word", "rtshm_load", "rtshm_cmpxchg", "rtshm_take")
TAKEN = {
    "copies": (
        (),
        (
            *("rtshm_piece", "rtshm_move_piece", "rtshm_move"),
            *("rtshm_copy_in", "rtshm_copy_out"),
        ),
    ),
    "ring": (
        ("rtshm_sleeper", "rtshm_ring", "rtshm_reader"),
        (
            *("rtshm_word", "rtshm_load", "rtshm_sleeper_wake", "rtshm_ring_push"),
            *("rtshm_ring_first", "rtshm_ring_run", "rtshm_reader_until_ns"),
            *("rtshm_reader_arm", "rtshm_reader_restart", "rtshm_reader_copy"),
        ),
    ),
    "handshake": (("rtshm_word_bits", "word", "publisher"), (*WORD, "publish")),
    "poll": (
        ("rtshm_word_bits",),
        (*WORD, "rtshm_announced", "rtshm_poller_disarm", "rtshm_state_poll"),
    ),
}

# cbmc has no pointer that one function stores for another, where there are threads.
ADDRESSES = {
    "const void *samples": "address samples",
    "const void **samples": "address *samples",
    "*samples = ": "*samples = (address)",
}

# The runs of a loop, and of those that run less often. cbmc finds out if they are too few.
LOOPS = ("--unwind", "3")
SHORT = {"ring": ("--unwindset", "rtshm_reader_copy.2:2,rtshm_ring_push.0:2")}

SAID = re.compile(r"^\[[\w.]+\] line \d+ (.*): (SUCCESS|FAILURE)$", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Verdict:
    wrong: list[str]
    """What does not hold in some order, and loops that run longer than cbmc followed them."""
    unreached: list[str]
    """What comes about in no order, which says that the check looks at too little."""


def sources() -> str:
    return f"{arithmetic.sources()}\n{(CHECKOUT / 'client/rtshm/_publish.c').read_text()}"


def verdict(name: str, text: str, folder: Path, *defined: str) -> Verdict:
    """What cbmc says of the check `name` with the functions of the sources `text`."""
    taken = arithmetic.taken(text, *TAKEN[name])
    for pointer, address in ADDRESSES.items():
        taken = taken.replace(pointer, address)
    (folder / "taken.h").write_text(taken)
    include = [f"-I{folder}", f"-I{CHECKOUT}/kmod/include/uapi"]
    options = ["--no-standard-checks", "--unwinding-assertions", *LOOPS, "--mm", "pso"]
    options += SHORT.get(name, ())
    command = [*unpacked.command(CBMC), *options, *include, *(f"-D{name}" for name in defined)]
    done = subprocess.run(
        [*command, "--function", "check", HERE / f"{name}.c"],
        capture_output=True,
        text=True,
        check=False,
    )
    said = SAID.findall(done.stdout)
    assert said and done.returncode in (0, 10), f"cbmc: {done.stdout}{done.stderr}"
    reached = {what: result for what, result in said if what.startswith("reached: ")}
    return Verdict(
        [what for what, result in said if what not in reached and result == "FAILURE"],
        [what for what, result in reached.items() if result == "SUCCESS"],
    )
