"""A command in the guest on the default kernel, for a test: how it ended, and what it wrote."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tests.lib import payload
from tests.lib.payload import TABLE, tree

if TYPE_CHECKING:
    from pathlib import Path

    from vm.host.captured import Done

__all__ = ["TABLE", "run", "tree"]


def run(source: Path, command: str, *, deadline: float = 120, **options: Any) -> Done:
    return payload.run(command, source=source, deadline=deadline, **options)
