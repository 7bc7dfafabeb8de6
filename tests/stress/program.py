"""The drivers in C: one program, which tests/lib/payload.py compiles on the host."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable
from pathlib import Path

from tests.lib.module import CHECKOUT

Stress = Callable[..., dict[str, int]]
Count = Callable[[str, int], None]

PROGRAM = Path(__file__).with_name("stress")

# The life of a driver, in seconds; what it waits for has deadlines of its own.
DRIVER_SECONDS = 600


def run(driver: str, *numbers: int) -> dict[str, int]:
    """Run a driver to its end; return the amounts that it prints, by their names."""
    seed = os.environ.get("STRESS_SEED") or str(int.from_bytes(os.urandom(4)))
    command: list[str | Path] = [PROGRAM, driver, seed, *map(str, numbers)]
    done = subprocess.run(
        command, cwd=CHECKOUT, stdout=subprocess.PIPE, text=True, timeout=DRIVER_SECONDS
    )
    said = dict(line.split() for line in done.stdout.splitlines())
    print(driver, said)
    assert done.returncode == 0, f"{driver} with seed {seed}: status {done.returncode}"
    return {key: int(number) for key, number in said.items()}
