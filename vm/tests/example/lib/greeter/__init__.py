"""The client of the module: who is greeted, by the module's parameter."""

from __future__ import annotations

from pathlib import Path

PARAMETER = Path("/sys/module/hello/parameters/whom")


def whom() -> str:
    """Return the name that the module greets."""
    return PARAMETER.read_text().rstrip("\n")


def greet(name: str) -> None:
    """Have the module greet `name` from now on; raise OSError if it is not loaded."""
    PARAMETER.write_text(name)
