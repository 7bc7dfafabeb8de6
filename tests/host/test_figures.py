"""docs/reliability.md has the figures of tests/lib/figures.py."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

from tests.lib.figures import FIGURES, KASAN, KCSAN, LOCKDEP

CHECKOUT = Path(__file__).parents[2]
DOCUMENT = CHECKOUT / "docs/reliability.md"
STRESS = sorted((CHECKOUT / "tests/stress").glob("test_*.py"))

WITH = {"with KASAN": KASAN, "with lockdep": LOCKDEP, "with KCSAN": KCSAN}
# A number and all up to the kind of kernel that it is for: "5,000 deletions with KASAN".
CLAIM = re.compile(r"([^;]*?)(" + "|".join(WITH) + r")\b")
NUMBER = re.compile(r"\d[\d,]*")
NAMED = re.compile(r"`(?:(\S+?\.py))?::(test_\w+)`")


def marked() -> dict[tuple[str, str], list[str]]:
    """The rows of the table that a stress test is marked with, by its file and its name."""
    found = {}
    for path in STRESS:
        for node in ast.walk(ast.parse(path.read_text())):
            if not isinstance(node, ast.FunctionDef):
                continue
            for mark in node.decorator_list:
                if ast.unparse(mark).startswith("pytest.mark.figures("):
                    assert isinstance(mark, ast.Call)
                    names = [ast.literal_eval(argument) for argument in mark.args]
                    found[f"tests/stress/{path.name}", node.name] = names
    return found


def wrong(row: str) -> list[str]:
    """The numbers of a row of the document that its stress tests do not have."""
    file = ""
    rows: list[str] = []
    for name, function in NAMED.findall(row):
        file = name or file
        rows += marked().get((file, function), [])
    return [
        f"{number} {kind}"
        for words, kind in CLAIM.findall(row.split("|")[-2])
        for number in NUMBER.findall(words)
        if int(number.rstrip(",").replace(",", ""))
        not in [FIGURES[name][WITH[kind]] for name in rows]
    ]


ROWS = [
    line for line in DOCUMENT.read_text().splitlines() if "tests/stress/" in line and "::" in line
]


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.split()[1])
def test_figure_of_a_kind_of_kernel_is_that_of_the_table(row: str) -> None:
    assert wrong(row) == []


def test_figure_that_is_not_that_of_the_table_is_seen() -> None:
    row = "| 1 | Loading. | `tests/stress/test_load.py::test_load_and_unload` | 500 with KASAN |"
    assert wrong(row) == []
    assert wrong(row.replace("500", "501")) == ["501 with KASAN"]
