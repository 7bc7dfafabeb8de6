"""What the control plane costs, compared with one get.

The aim: a list of 100 regions takes at most 5 times as long as one get, which
decodes its region while a list does not. Decoding is pyroute2's.
"""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

import rtshm

from bench.figures import seconds

if TYPE_CHECKING:
    from bench.figures import Figures

NEVER = timedelta(hours=1)
OF_A_GET = 5.0
CALLS = 5
MOST = 100


def measure(figures: Figures) -> None:
    with rtshm.Control() as control:

        def create_and_delete() -> None:
            control.create("motor", period=NEVER)
            control.delete("motor")

        def in_us(name: str, found: float) -> float:
            return figures.add(name, found * 1e6, "us")

        one = in_us("get", seconds(lambda: control.get("default"), calls=CALLS))
        in_us("create and delete", seconds(create_and_delete, calls=CALLS))
        regions = len(control.list())
        for wanted in (1, 10, MOST):
            for number in range(regions, wanted):
                control.create(f"r{number}", period=NEVER)
            regions = wanted
            listed = in_us(f"list of {wanted}", seconds(control.list, calls=CALLS))
            name = f"list of {wanted}, every item looked at"
            in_us(name, seconds(lambda: list(control.list()), calls=CALLS))
        figures.add(f"list of {MOST} / get", listed / one, most=OF_A_GET)
        for number in range(1, regions):
            control.delete(f"r{number}")
