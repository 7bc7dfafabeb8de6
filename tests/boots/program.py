"""What a test of tests/boots asks for by the fixture `guest_program`."""

from __future__ import annotations

from typing import Any, Protocol


class Program(Protocol):
    """Runs tests/boots/guest/NAME.py in a machine of its own, and checks that it passes."""

    def __call__(self, name: str, *arguments: object, kernel: str = "", **options: Any) -> None:
        """`options` are those of machine.run()."""
