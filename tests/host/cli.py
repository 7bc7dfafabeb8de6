"""Regions made up for tests of what the command makes of them, and the command itself."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import asdict
from typing import Any

from rtshm import control
from rtshm.control import Counters, PrintMode, RegionInfo


def counters(bins: dict[int, int] | None = None, **fields: Any) -> Counters:
    """Counters with this lateness: ticks by the number of their bin."""
    histogram = [0] * 32
    for number, ticks in (bins or {}).items():
        histogram[number] = ticks
    none = dict.fromkeys(
        ("missed", "published", "lateness_min_ns", "lateness_max_ns", "lateness_sum_ns"), 0
    )
    return Counters(
        **{"ticks": sum(histogram), **none, **fields, "lateness_histogram": tuple(histogram)}
    )


def region(name: str = "default", **fields: Any) -> RegionInfo:
    """A region as the kernel makes it when nothing is given, but for `fields`."""
    usual: dict[str, Any] = {
        "id": 1,
        "size": 4096,
        "period_ns": 500_000_000,
        "print": PrintMode.OFF,
        "history": 0,
        "record_bytes": 8,
        "layout": "",
        "mode": 0o600,
        "uid": 0,
        "gid": 0,
        "cpu": None,
        "timer_cpu": 0,
        "users": 0,
        "counters": counters(),
    }
    return RegionInfo(**{"name": name, **usual, **fields})


def hidden(name: str, **fields: Any) -> RegionInfo:
    """A region as it is sent to those who may not read it."""
    told = asdict(region(name, **fields))
    told = {name: value for name, value in told.items() if name not in control.INSIDE}
    return control._region({**told, "print": str(told["print"]), "clock": str(told["clock"])})


def run(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "rtshm", *arguments],
        capture_output=True,
        text=True,
        env=environment or None,
    )
