"""The guest suite, tests/guest, on each kernel of the table: one test here per kernel."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import TYPE_CHECKING, cast

import pytest

from tests.vm import kernels, machine, splats

if TYPE_CHECKING:
    from typing import BinaryIO

CHECKOUT = Path(__file__).resolve().parents[2]
TABLE = kernels.load()
CHOSEN = os.environ.get("KERNEL", "")
COMMAND = "python3 -m pytest -p no:cacheprovider --color=no tests/guest"

# pytest's closing line: "= 41 passed in 12.34s =".
SUMMARY = re.compile(r"=+ (.*) in [\d.]+s.* =+")


class Tee:
    """Shows what the guest writes as it comes, and keeps it."""

    def __init__(self) -> None:
        self.data = bytearray()

    def write(self, data: bytes) -> int:
        self.data += data
        return os.write(1, data)

    def flush(self) -> None:
        """Nothing is held back."""


def counts(output: str) -> dict[str, int]:
    """What the last closing line of pytest in `output` counts: {"passed": 41}."""
    closing = [match[1] for line in output.splitlines() if (match := SUMMARY.fullmatch(line))]
    if not closing:
        return {}
    return {word: int(number) for number, word in re.findall(r"(\d+) ([a-z]+)", closing[-1])}


def test_counts_are_those_of_the_last_closing_line() -> None:
    output = (
        "x\n=== 1 failed, 3 passed in 0.10s ===\n= 41 passed, 2 skipped in 75.00s (0:01:15) =\n"
    )
    assert counts(output) == {"passed": 41, "skipped": 2}
    assert counts("no tests ran") == {}


@pytest.mark.parametrize("name", [CHOSEN] if CHOSEN else TABLE.quick())
def test_guest_suite(name: str, capfd: pytest.CaptureFixture[str]) -> None:
    tee = Tee()
    sink = cast("BinaryIO", tee)
    with capfd.disabled():
        print()
        outcome = machine.run(
            TABLE,
            TABLE[name],
            CHECKOUT,
            COMMAND,
            deadline=2400,
            sinks=machine.Sinks(stdout=sink, stderr=sink),
        )
        status = machine.report(outcome)
    assert outcome.lost is None, f"machine lost: {outcome.lost}"
    assert splats.scan(outcome.log(), outcome.accelerator) == []
    seen = counts(tee.data.decode(errors="replace"))
    assert status == 0, f"guest suite: {seen or 'no summary'}"
    # A skip would be a promise about this kernel that nobody kept.
    assert list(seen) == ["passed"], f"guest suite: {seen or 'no tests ran'}"
