from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

import pytest

from tests.lib.amounts import AMOUNTS, amount, kind
from tests.stress import program

if TYPE_CHECKING:
    from tests.stress.program import Count, Stress

_done: Counter[str] = Counter()


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "amounts(*names): what the test does, and on which kernels")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Without those for other kernels: not skipped, there is no such promise."""

    def here(item: pytest.Item) -> bool:
        marker = item.get_closest_marker("amounts")
        return marker is None or None not in [AMOUNTS[name][kind()] for name in marker.args]

    items[:] = [item for item in items if here(item)]


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """What was done in all, for the harness to add up."""
    for name, number in sorted(_done.items()):
        terminalreporter.write_line(f"amount: {name} {number}")


@pytest.fixture
def amounts(request: pytest.FixtureRequest) -> list[int]:
    """The amounts that the test is marked with, for this kernel."""
    marker = request.node.get_closest_marker("amounts")
    return [amount(name) for name in marker.args]


@pytest.fixture
def count() -> Count:
    """count(name, number): add to an amount of this run."""

    def add(name: str, number: int) -> None:
        _done[name] += number

    return add


@pytest.fixture
def stress(tainted: None) -> Stress:
    """stress(driver, *numbers): see program.run()."""
    return program.run
