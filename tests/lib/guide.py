"""The pages of docs/ as what their reader types, and what is to be seen then."""

from __future__ import annotations

import doctest
import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator

DOCS = Path(__file__).parents[2] / "docs"
GUIDE = DOCS / "guide.md"

HOST = ("formats", "layout-grammar", "pandas", "unit-tests")
"""Pages that need no kernel module: tests/host/test_pages.py types all of each."""
GUEST = (
    *("guide", "getting-started", "groups", "containers", "tuning", "layouts", "safe-values"),
    *("control", "kicks", "blame", "history", "raw-memory", "recording"),
)
"""Pages whose lines for root and for Python tests/client/test_guide.py types."""
ELSEWHERE = {
    "../README": "`tests/boots/test_demo.py`: `make demo` and `make demo-task`; "
    "`tests/client/test_guide.py`: Python, and what reads and writes; "
    "`tests/host/test_guide.py`: the rest is in the guide and in the page about BPF",
    "at-boot": "not typed; `tests/boots/test_at_boot.py` boots with such files",
    "bpf": "`tests/boots/test_guide.py`: all of it",
    "installing": "not typed; `tests/install` installs, upgrades and purges the packages",
    "notebook": "`tests/host/test_notebook.py`: the cell, in JupyterLab",
    "performance": "not typed; CI runs `make bench`",
    "raspberry-pi": "not typed: no test has a board",
    "vagrant": "`tests/vagrant`: the same commands, on boxes made there",
    "virtual-machine": "`tests/boots/test_guide.py`: all but `make vm`, which has a terminal",
}
"""The other pages with something to type, and what types it."""
UNTYPED = {
    "rtshm stream motor --to foxglove:": "`tests/host/test_stream.py` has Foxglove, which no "
    "guest has",
}
"""Beginnings of lines in pages of GUEST that are not typed, and the tests of what they show."""

FENCED = re.compile(r"^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


@dataclass(frozen=True, slots=True)
class Typed:
    """A command in a shell, or what is typed into Python."""

    where: str
    """$: the user's shell, #: root's, >>>: a session of Python, python: a program."""
    text: str
    shown: str = ""
    """What it prints, with ... for what is different each time; nothing: whatever it prints."""


def read(text: str) -> Iterator[Typed]:
    """Yield the commands and the Python of a page, in that order."""
    for language, block in FENCED.findall(text):
        if language in ("pycon", "python"):
            yield Typed(">>>" if language == "pycon" else language, block)
        elif language == "console":
            # With the prompt at the beginning of a line, up to a line that does not go on.
            parts = re.split(r"^([$#]) ((?:.*\\\n)*.*)\n", block, flags=re.MULTILINE)
            assert parts[0] == "", f"a block that begins with no prompt: {parts[0]!r}"
            for where, command, shown in zip(parts[1::3], parts[2::3], parts[3::3], strict=True):
                yield Typed(where, command, shown)


def page(name: str) -> list[Typed]:
    """Return the commands and the Python of a page, by its name."""
    return list(read((DOCS / f"{name}.md").read_text()))


def draws(typed: Typed) -> str:
    """Return the picture that a command draws; nothing if it draws none."""
    drawn = re.search(r"^(?:rtshm plot|python3 .* --from) .*?(\w+\.png)", typed.text)
    return drawn[1] if drawn else ""


def agrees(shown: str, printed: str) -> bool:
    """Whether this is what is shown."""
    pattern = ".*".join(map(re.escape, shown.strip().split("...")))
    return not shown or bool(re.fullmatch(pattern, printed.strip(), re.DOTALL))


class Python:
    """Python of a page: one block after another, with the same names."""

    def __init__(self, name: str) -> None:
        self._name = name
        self.names: dict[str, Any] = {"__name__": name}

    def run(self, typed: Typed) -> None:
        """Run a session or a program."""
        if typed.where == "python":
            exec(compile(typed.text, self._name, "exec", dont_inherit=True), self.names)
            return
        test = doctest.DocTestParser().get_doctest(typed.text, {}, self._name, self._name, 0)
        test.globs = self.names
        said: list[str] = []
        runner = doctest.DocTestRunner(optionflags=doctest.ELLIPSIS)
        runner.run(test, out=said.append, clear_globs=False)
        assert not said, "".join(said)
