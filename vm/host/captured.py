"""A run whose output is kept and not shown."""

from __future__ import annotations

import io
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from vm.host import machine

if TYPE_CHECKING:
    from vm.host.kernels import Kernel, Table
    from vm.host.payload import Payload


@dataclass(frozen=True, slots=True)
class Done:
    """How a run ended, and what it wrote."""

    outcome: machine.Outcome
    stdout: bytes
    stderr: bytes


def run(table: Table, kernel: Kernel, payload: Payload, command: str, **options: Any) -> Done:
    """Run `command` as machine.run() does, which has the `options`."""
    stdout, stderr = io.BytesIO(), io.BytesIO()
    sinks = machine.Sinks(stdout=stdout, stderr=stderr)
    outcome = machine.run(table, kernel, payload, command, sinks=sinks, **options)
    return Done(outcome, stdout.getvalue(), stderr.getvalue())
