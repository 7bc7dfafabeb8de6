"""What `make coverage` makes of gcov's figures, and that it can fail."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from tools import coverage

if TYPE_CHECKING:
    import pytest

CHECKOUT = Path(__file__).resolve().parents[2]

NAME = "kmod/tick.c"
LINES = (CHECKOUT / NAME).read_text().splitlines()
FIRST = LINES[0].strip()


def compiled(*counts: int, name: str = f"/build/{NAME}") -> dict[str, Any]:
    """What gcov says of an object whose lines 1, 2, ... ran so often."""
    lines = [{"line_number": number, "count": count} for number, count in enumerate(counts, 1)]
    return {"files": [{"file": name, "lines": lines}]}


def lines_of(*found: dict[str, Any]) -> dict[str, coverage.Lines]:
    return coverage.lines_of(found, CHECKOUT)


def test_line_that_any_object_reaches_is_reached() -> None:
    assert lines_of(compiled(0, 0, 1), compiled(0, 1, 0)) == {NAME: coverage.Lines(3, {1: FIRST})}


def test_headers_of_the_kernel_are_not_the_modules() -> None:
    assert lines_of(compiled(1, name="/linux/include/linux/list.h")) == {}


def test_all_reached_is_well(capsys: pytest.CaptureFixture[str]) -> None:
    assert coverage.report(lines_of(compiled(1, 2, 3)), {}) == []
    assert "3 of    3 lines, 100.0 %" in capsys.readouterr().out


def test_line_without_a_reason_is_a_fault() -> None:
    counts = [0, *[1] * 99]
    assert coverage.report(lines_of(compiled(*counts)), {}) == [
        "kmod/tick.c:1 is not reached, and unreached.toml has no reason"
    ]
    assert coverage.report(lines_of(compiled(*counts)), {NAME: {FIRST: "a reason"}}) == []


def test_less_than_is_promised_is_a_fault_whatever_the_reasons() -> None:
    known = {NAME: dict.fromkeys((line.strip() for line in LINES), "a reason")}
    assert coverage.report(lines_of(compiled(*[0] * 6, *[1] * 94)), known) == [
        "94.0 % of the lines; 95 must be"
    ]


def test_every_reason_is_for_a_line_that_is_there() -> None:
    for name, lines in coverage.reasons().items():
        source = [line.strip() for line in (CHECKOUT / name).read_text().splitlines()]
        assert set(lines) <= set(source), name
