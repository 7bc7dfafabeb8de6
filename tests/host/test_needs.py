"""`make test-here` leaves out each test that would change what others on the machine rely on."""

from __future__ import annotations

import ast
import re
from typing import TYPE_CHECKING

from tests.here import CHECKOUT, SUITES

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

# What shows in a test, or in what it calls in its file, and what it has to say that it needs.
CAUSES = {
    "clock": re.compile(r"clocks\.step"),
    "hotplug": re.compile(r"/cpu1/online"),
    "settings": re.compile(r"\"/(etc/(rtshm|group)|lib/modules|proc/sys/(?!kernel/tainted))"),
    "cpus": re.compile(r"\bcpu=1\b|sched_setaffinity\([^)]*1\}"),
}


def needs(nodes: list[ast.expr]) -> set[str]:
    """The names in the markers `needs` among decorators, or in the value of `pytestmark`."""
    found = set()
    for node in (inner for each in nodes for inner in ast.walk(each)):
        if isinstance(node, ast.Call) and ast.unparse(node.func) == "pytest.mark.needs":
            found |= {str(each.value) for each in node.args if isinstance(each, ast.Constant)}
    return found


def wanting(source: str) -> Iterator[tuple[str, str]]:
    """Yield each test of a file with what it needs and does not say."""
    tree = ast.parse(source)
    names: dict[str, ast.stmt] = {}
    everywhere: set[str] = set()
    for node in tree.body:
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            names[node.name] = node
        elif isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name):
            names[node.targets[0].id] = node
            if node.targets[0].id == "pytestmark":
                everywhere = needs([node.value])

    def text(node: ast.stmt, seen: set[str]) -> str:
        """The source of a function and of what it names, arguments included: fixtures."""
        used = {inner.id for inner in ast.walk(node) if isinstance(inner, ast.Name)}
        used |= {inner.arg for inner in ast.walk(node) if isinstance(inner, ast.arg)}
        new = (used & names.keys()) - seen
        seen |= new
        return "\n".join([ast.unparse(node), *(text(names[name], seen) for name in sorted(new))])

    for name, node in names.items():
        if name.startswith("test_") and isinstance(node, ast.FunctionDef):
            has = everywhere | needs(node.decorator_list)
            if "hotplug" in has:
                has.add("cpus")
            code = text(node, {name})
            for cause, pattern in CAUSES.items():
                if cause not in has and pattern.search(code.replace("'", '"')):
                    yield name, cause


def files() -> Iterator[Path]:
    for suite in SUITES:
        yield from sorted((CHECKOUT / suite).glob("test_*.py"))


def test_each_test_says_what_it_changes_on_the_machine() -> None:
    found = [(path.name, *each) for path in files() for each in wanting(path.read_text())]
    assert found == []


def test_test_that_does_not_say_so_is_found() -> None:
    source = """
CPU1 = Path("/sys/devices/system/cpu/cpu1/online")

@pytest.fixture
def offline():
    CPU1.write_text("0")

def test_fixture(offline):
    pass

@pytest.mark.needs("clock")
def test_marked():
    clocks.step(1)

def test_bare():
    with clocks.stepped(1):
        region(cpu=1)
    Path("/etc/rtshm").mkdir()
"""
    assert sorted(wanting(source)) == [
        ("test_bare", "clock"),
        ("test_bare", "cpus"),
        ("test_bare", "settings"),
        ("test_fixture", "hotplug"),
    ]
