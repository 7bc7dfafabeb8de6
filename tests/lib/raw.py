"""The raw memory that every boot of the guest sets aside: memmap= of tests/lib/payload.py.

Elsewhere there may be none: tests that use it are marked needs("raw").
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

from tests.lib.genl import NEW, Genl, attrs

if TYPE_CHECKING:
    from collections.abc import Iterator

_memmap = re.search(r"\bmemmap=(\d+)M\$(0x[0-9a-f]+)", Path("/proc/cmdline").read_text())
BYTES = int(_memmap[1]) << 20 if _memmap else 0
ADDRESS = int(_memmap[2], 16) if _memmap else 0

NAME = "raw"
DEVICE = Path("/dev/rtshm", NAME)


def create(link: Genl, name: str = NAME, **values: int | str | bytes) -> None:
    """A region over raw memory, at its beginning if nothing else is said."""
    link.ask(NEW, attrs(**{"name": name, "phys": ADDRESS, "period_ns": 10**9, **values}))


def iomem() -> Iterator[tuple[int, int, str]]:
    """First and last address and name of each range of /proc/iomem."""
    for line in Path("/proc/iomem").read_text().splitlines():
        span, _, name = line.strip().partition(" : ")
        first, last = span.split("-")
        yield int(first, 16), int(last, 16), name
