"""A command in the guest, with the example project, for a test: how it ended, what it wrote."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from vm.host import captured
from vm.tests.example.payload import TABLE, of, tree

if TYPE_CHECKING:
    from pathlib import Path

    from vm.host.captured import Done

__all__ = ["KERNEL", "TABLE", "run", "tree"]

KERNEL = TABLE[""]


def run(
    source: Path, command: str, *, warm: bool = True, deadline: float = 120, **options: Any
) -> Done:
    taken = of(source, KERNEL)
    return captured.run(TABLE, KERNEL, taken, command, warm=warm, deadline=deadline, **options)
