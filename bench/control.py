"""What the control plane costs, beside one get.

Runs in the guest with the module loaded, in one interpreter: `make bench`. The
machine counts instructions for time there, so that the figures repeat. The
least of five rounds counts.

The aim: a list of 100 regions takes at most 5 times as long as one get, which
decodes its region while a list does not. Decoding is pyroute2's.
"""

from __future__ import annotations

import os
import platform
import timeit
from datetime import timedelta
from typing import TYPE_CHECKING

import rtshm

if TYPE_CHECKING:
    from collections.abc import Callable

ROUNDS = 5
CALLS = 5
NEVER = timedelta(hours=1)


def measure(function: Callable[[], object]) -> float:
    """Seconds a call."""
    return min(timeit.repeat(function, number=CALLS, repeat=ROUNDS)) / CALLS


def main() -> None:
    found: dict[str, float] = {}
    with rtshm.Control() as control:

        def create_and_delete() -> None:
            control.create("motor", period=NEVER)
            control.delete("motor")

        found["get"] = measure(lambda: control.get("default"))
        found["create and delete"] = measure(create_and_delete)
        regions = len(control.list())
        for wanted in (1, 10, 100):
            for number in range(regions, wanted):
                control.create(f"r{number}", period=NEVER)
            regions = wanted
            found[f"list of {wanted}"] = measure(control.list)
            found[f"list of {wanted}, every item looked at"] = measure(lambda: list(control.list()))
        for number in range(1, regions):
            control.delete(f"r{number}")
    machine = os.environ.get("VM_ACCELERATOR", "this machine")
    print(f"Python {platform.python_version()}, Linux {platform.release()}, {machine}")
    print(f"{'':40}{'us':>10}{'of a get':>12}")
    for name, seconds in found.items():
        print(f"{name:40}{seconds * 1e6:10.0f}{seconds / found['get']:12.2f}")


if __name__ == "__main__":
    main()
