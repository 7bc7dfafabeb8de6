"""Examples in the docstrings of the package, each run where what it needs is there."""

from __future__ import annotations

import doctest
import importlib
from pathlib import Path

import rtshm

HOST = ("rtshm.durations", "rtshm.layout", "rtshm.recording.live", "rtshm.testing")
"""Modules whose examples need no kernel."""
GUEST = ("rtshm", "rtshm.control", "rtshm.region", "rtshm.samples", "rtshm.recording")
"""Modules whose examples need rtshm.ko, in the order in which they make what the next uses."""


def with_examples() -> set[str]:
    """Return the names of all modules of the package whose docstrings have an example."""
    package = Path(rtshm.__file__).parent
    return {
        ".".join(path.relative_to(package.parent).with_suffix("").parts).removesuffix(".__init__")
        for path in package.rglob("*.py")
        if ">>> " in path.read_text()
    }


def run(name: str) -> str:
    """Run the examples of a module. Return what went wrong, "" if nothing did."""
    said: list[str] = []
    runner = doctest.DocTestRunner(optionflags=doctest.ELLIPSIS)
    for test in doctest.DocTestFinder(exclude_empty=True).find(importlib.import_module(name)):
        runner.run(test, out=said.append)
    return "".join(said) if runner.tries else f"{name} has no example"
