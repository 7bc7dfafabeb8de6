"""Finds in a kernel log what must not be there."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterable

# Any of these in a line makes a run red.
DENY = (
    r"\b(?:BUG|WARNING|UBSAN|Oops)[: ]",
    r"kernel BUG at",
    r"K(?:A|C)SAN: |KFENCE: ",
    r"watchdog: .*lockup",
    r"INFO: (?:task .* blocked|.*detected stall)",
    r"suspicious RCU",
    r"Invalid wait context",
    r"possible (?:recursive|circular)",
    r"inconsistent lock state",
    r"ODEBUG",
    r"refcount_t",
    r"unreferenced object",
    r"kmemleak: \d+ new suspected memory leaks",
    r"Bad page state",
    r"Objects remaining",
    r"list_(?:add|del) corruption",
    r"usercopy:",
    r"general protection",
    r"Internal error",
    r"scheduling while atomic",
    r"hrtimer: interrupt took",
    r"has an invalid length",
    r"cannot create duplicate filename",
    r"Out of memory: Killed",
    r"Kernel panic",
    r"Call Trace:",
)


class Allowed(NamedTuple):
    pattern: str
    accelerators: tuple[str, ...]
    reason: str


# Lines that are denied above, but are not the fault of a module, under these accelerators of
# qemu.py. A project adds its own: Payload.allowed.
ALLOW: tuple[Allowed, ...] = (
    Allowed(
        r"hrtimer: interrupt took \d+ ns$",
        ("tcg", "kvm", "uml"),
        "the guest's clock runs on while the host runs something else; not so under icount",
    ),
)


def scan(log: Iterable[str], accelerator: str, allowed: Iterable[Allowed] = ()) -> list[str]:
    """The lines of a log that are denied and not allowed under this accelerator."""
    deny = re.compile("|".join(DENY))
    entries = [entry for entry in (*ALLOW, *allowed) if accelerator in entry.accelerators]
    allow = [re.compile(entry.pattern) for entry in entries]
    return [
        line
        for line in log
        if deny.search(line) and not any(pattern.search(line) for pattern in allow)
    ]
