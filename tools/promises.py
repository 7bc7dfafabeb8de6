"""The promises of the documents and the tests that prove them, by the marker `promise`.

Nothing is imported: the markers are read from the sources.
"""

from __future__ import annotations

import ast
from collections import defaultdict
from typing import TYPE_CHECKING, NamedTuple

from tests.lib.amounts import AMOUNTS

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

FOLDERS = ("tests", "tools/tests", "vm/tests", "bench/tests")
# The kinds of kernel that a stress test is for: the others have amounts near these.
SHOWN = ("kasan", "lockdep", "kcsan", "um", "debian")


class Test(NamedTuple):
    """A test that proves a promise."""

    place: str
    """Its file, with ::name of a function."""
    amounts: tuple[str, ...]
    """The rows of tests/lib/amounts.py that say how often it does its work."""


def marks(nodes: list[ast.expr], name: str) -> Iterator[str]:
    """Yield the arguments of a marker among decorators, or in the value of `pytestmark`."""
    for node in nodes:
        if isinstance(node, ast.Call) and ast.unparse(node.func) == f"pytest.mark.{name}":
            yield from map(ast.literal_eval, node.args)


def of_file(path: Path, place: str) -> Iterator[tuple[str, Test]]:
    """Yield each promise of a file with its test."""
    of_all: tuple[str, ...] = ()
    for node in ast.parse(path.read_text()).body:
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            amounts = (*of_all, *marks(node.decorator_list, "amounts"))
            for promise in marks(node.decorator_list, "promise"):
                yield promise, Test(f"{place}::{node.name}", amounts)
        elif isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "pytestmark":
            values = node.value.elts if isinstance(node.value, ast.List) else [node.value]
            of_all = tuple(marks(values, "amounts"))
            for promise in marks(values, "promise"):
                yield promise, Test(place, ())


def collect(source: Path) -> dict[str, list[Test]]:
    """Return all promises in alphabetical order, each with its tests."""
    found = defaultdict(list)
    for folder in FOLDERS:
        for path in sorted((source / folder).rglob("test_*.py")):
            for promise, test in of_file(path, str(path.relative_to(source))):
                found[promise].append(test)
    return dict(sorted(found.items()))


def amount(test: Test) -> str:
    """How often a test does its work, on each kind of kernel."""
    words = []
    for name in test.amounts:
        of_kind = {kind: f"{AMOUNTS[name][kind]:,}" for kind in SHOWN if AMOUNTS[name][kind]}
        words.append(f"{name} {', '.join(f'{many} ({kind})' for kind, many in of_kind.items())}")
    return "; ".join(words)


def markdown(source: Path) -> Iterator[str]:
    """Yield the lines of the tables, one table for each subject."""
    subject = ""
    for promise, tests in collect(source).items():
        before, _, text = promise.partition(": ")
        if before != subject:
            subject = before
            yield f"\n### {subject[0].upper()}{subject[1:]}\n"
            yield "| promise | test | how often |\n|---|---|---|"
        places = "<br>".join(f"`{test.place}`" for test in tests)
        amounts = "; ".join(filter(None, map(amount, tests)))
        yield f"| {text} | {places} | {amounts} |"


def run(source: Path) -> int:
    """Print the tables."""
    print("\n".join(markdown(source)))
    return 0
