"""rtshm top on a terminal, of regions made up."""

from __future__ import annotations

import sys
from pathlib import Path

import pexpect

CHECKOUT = Path(__file__).parents[2]
PATIENCE = 60
PROGRAM = """
import time
from rtshm.cli import top
from tests.host.cli import region

regions = [region("default"), region("a-name-as-long-as-names-may-be1", id=2)]
top.look = lambda control: top.Sight(time.monotonic(), regions, {1: 4711})
top.watch(None, 200_000_000)
"""


def test_top_fits_the_terminal_until_q() -> None:
    top = pexpect.spawn(
        sys.executable,
        ["-c", PROGRAM],
        cwd=str(CHECKOUT),
        encoding="utf-8",
        timeout=PATIENCE,
        dimensions=(24, 120),
        env={"PATH": "/usr/bin:/bin", "TERM": "xterm", "PYTHONPATH": f"{CHECKOUT}/client"},
    )
    top.expect_exact("LATENESS MEAN")
    top.expect_exact("a-name-as-long-as-names-may-be1")
    top.setwinsize(12, 40)
    top.expect_exact("a-name-as-long")
    top.expect_exact("(no room for USERS")
    top.send("q")
    top.expect(pexpect.EOF)
    top.close()
    assert top.exitstatus == 0
