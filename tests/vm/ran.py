"""A command in the guest on the default kernel, for a test: how it ended, and what it wrote."""

from __future__ import annotations

import io
from dataclasses import dataclass
from typing import TYPE_CHECKING

from tests.vm import kernels, machine

if TYPE_CHECKING:
    from pathlib import Path

TABLE = kernels.load()


@dataclass(frozen=True, slots=True)
class Done:
    outcome: machine.Outcome
    stdout: bytes
    stderr: bytes


def run(
    source: Path,
    command: str,
    *,
    deadline: float = 120,
    warm: bool = False,
    icount: bool = False,
) -> Done:
    stdout, stderr = io.BytesIO(), io.BytesIO()
    outcome = machine.run(
        TABLE,
        TABLE[""],
        source,
        command,
        icount=icount,
        warm=warm,
        deadline=deadline,
        sinks=machine.Sinks(stdout=stdout, stderr=stderr),
    )
    return Done(outcome, stdout.getvalue(), stderr.getvalue())
