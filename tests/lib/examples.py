"""Examples in the docstrings of the package, each run where what it needs is there."""

from __future__ import annotations

import doctest
import importlib
import pkgutil

import rtshm

HOST = ("rtshm.durations", "rtshm.layout", "rtshm.testing")
"""Modules whose examples need no kernel."""
GUEST = ("rtshm", "rtshm.control", "rtshm.region", "rtshm.samples", "rtshm.recording")
"""Modules whose examples need rtshm.ko, in the order in which they make what the next uses."""


def with_examples() -> set[str]:
    """Return the names of all modules of the package whose docstrings have an example."""
    finder = doctest.DocTestFinder(exclude_empty=True)
    names = [name for _, name, _ in pkgutil.walk_packages(rtshm.__path__, "rtshm.")]
    return {
        name
        for name in ["rtshm", *(name for name in names if not name.endswith("__main__"))]
        if any(test.examples for test in finder.find(importlib.import_module(name)))
    }


def run(name: str) -> str:
    """Run the examples of a module. Return what went wrong, "" if nothing did."""
    said: list[str] = []
    runner = doctest.DocTestRunner(optionflags=doctest.ELLIPSIS)
    for test in doctest.DocTestFinder(exclude_empty=True).find(importlib.import_module(name)):
        runner.run(test, out=said.append)
    return "".join(said) if runner.tries else f"{name} has no example"
