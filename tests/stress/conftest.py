from __future__ import annotations

import os
import subprocess
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

# Fixtures of the guest suite that hold here, too.
from tests.guest.conftest import load, log, tainted  # noqa: F401
from tests.lib.figures import FIGURES, KIND, figure
from tests.lib.module import CHECKOUT

if TYPE_CHECKING:
    from collections.abc import Callable

    Stress = Callable[..., dict[str, int]]

# tests/lib/payload.py compiled the drivers into it.
PROGRAM = Path(__file__).with_name("stress")

# The life of a driver, in seconds; what it waits for has deadlines of its own.
DRIVER_SECONDS = 600

_done: Counter[str] = Counter()


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "figures(*names): what the test does, and on which kernels")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Without those for other kernels: not skipped, there is no such promise."""

    def here(item: pytest.Item) -> bool:
        marker = item.get_closest_marker("figures")
        return marker is None or None not in [FIGURES[name][KIND] for name in marker.args]

    items[:] = [item for item in items if here(item)]


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """What was done in all, for the harness to add up."""
    for name, number in sorted(_done.items()):
        terminalreporter.write_line(f"figure: {name} {number}")


@pytest.fixture
def figures(request: pytest.FixtureRequest) -> list[int]:
    """The figures that the test is marked with, for this kernel."""
    marker = request.node.get_closest_marker("figures")
    return [figure(name) for name in marker.args]


@pytest.fixture
def count() -> Callable[[str, int], None]:
    """count(name, number): add to a figure of this run."""

    def add(name: str, number: int) -> None:
        _done[name] += number

    return add


@pytest.fixture
def stress() -> Stress:
    """stress(driver, *numbers): run a driver to its end; what it did, by its own names."""

    def run(driver: str, *numbers: int) -> dict[str, int]:
        seed = os.environ.get("STRESS_SEED") or str(int.from_bytes(os.urandom(4)))
        command: list[str | Path] = [PROGRAM, driver, seed, *map(str, numbers)]
        done = subprocess.run(
            command, cwd=CHECKOUT, stdout=subprocess.PIPE, text=True, timeout=DRIVER_SECONDS
        )
        said = dict(line.split() for line in done.stdout.splitlines())
        print(driver, said)
        assert done.returncode == 0, f"{driver} with seed {seed}: status {done.returncode}"
        return {key: int(number) for key, number in said.items()}

    return run
