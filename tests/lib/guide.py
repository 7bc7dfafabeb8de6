"""docs/guide.md as what its reader types, and what is to be seen then."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

GUIDE = Path(__file__).parents[2] / "docs/guide.md"

FENCED = re.compile(r"^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


@dataclass(frozen=True, slots=True)
class Typed:
    """A command in a shell, or what is typed into Python."""

    where: str
    """$: the user's shell, #: root's, >>>: Python."""
    text: str
    shown: str = ""
    """What it prints, with ... for what is different each time; nothing: whatever it prints."""


def read(text: str) -> Iterator[Typed]:
    """What is typed, in that order."""
    for language, block in FENCED.findall(text):
        if language == "pycon":
            yield Typed(">>>", block)
        elif language == "console":
            # With the prompt at the beginning of a line, up to a line that does not go on.
            parts = re.split(r"^([$#]) ((?:.*\\\n)*.*)\n", block, flags=re.MULTILINE)
            assert parts[0] == "", f"a block that begins with no prompt: {parts[0]!r}"
            for where, command, shown in zip(parts[1::3], parts[2::3], parts[3::3], strict=True):
                yield Typed(where, command, shown)


def agrees(shown: str, printed: str) -> bool:
    """Whether this is what is shown."""
    pattern = ".*".join(map(re.escape, shown.strip().split("...")))
    return not shown or bool(re.fullmatch(pattern, printed.strip(), re.DOTALL))
