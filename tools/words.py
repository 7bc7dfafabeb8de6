"""Phrases that readers stumble over, with what to write in their place.

In text for people: documents, messages, help, docstrings and comments. Quoted text, as of the
old example, and names are no concern of this.
"""

from __future__ import annotations

import re
import subprocess
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

SUFFIXES = (".c", ".h", ".md", ".py", ".rst", ".sh", ".toml", ".yaml", ".yml")
NAMES = ("Makefile", "control", "rules", "Vagrantfile")
# Here these phrases are the subject.
EXCEPT = ("tools/words.py", "tools/tests/test_words.py")

# Where a sentence begins: a line, a comment, a docstring, or after a full stop.
START = r"(?:^(?!##)[ \t#*/>|-]*|\"\"\"|[.;:] )"
PHRASES = {
    r"\bunless told otherwise\b": "default:",
    r"\bwhat is not (?:given|asked for)\b": "name it",
    rf"{START}Who (?!\w+ (?:it|you|this)\b.*\?)[a-z]+": "name the actor: the reader, the caller",
    rf"{START}What is (?:not )?\w+ed\b": "name it: a refused request, the stored layout",
    r"(?<!there )(?<!There )\bis no (?!longer|more|other|such|need|way|one\b|reason|use\b)[a-z]+":
        "is not a",
    r"\bthere is not so (?:much|many)\b": "not enough",
    r"\bso (?:many|long|much) (?:a|in|of|for|ticks|samples|bytes|ns|times)\b": "the quantity",
    r"(?<=[\w,)`] )beside(?= [a-z])": "next to, compared with, besides",
    r"\bin (?:the|its|their) place of\b": "instead of",
    r"\bof which\b": "a sentence of its own",
    r"\b(?:root|root's|that|this|it|one|ones|these|those|them) alone\b": "only",
    r"\bwho cannot be\b|\bis told that\b": "the listener gets",
    r"\bdef test_(?:what|who)_": "the subject: test_slow_reader_resumes_at_oldest_sample",
    r"\bfor want of\b|\bthe like of it\b|\bat times\b": "plain words",
}  # fmt: skip
_FOUND = {re.compile(phrase, re.MULTILINE): better for phrase, better in PHRASES.items()}


def findings(text: str) -> Iterator[tuple[int, str, str]]:
    """Yield line, phrase and what to write of each phrase in a text."""
    for phrase, better in _FOUND.items():
        for match in phrase.finditer(text):
            said = match.group().strip(' \n#*/>|-"')
            yield text.count("\n", 0, match.end()) + 1, said, better


def files(source: Path) -> Iterator[Path]:
    """Yield the files that are checked: what git knows, or may add."""
    command = ["git", "-C", str(source), "ls-files", "--cached", "--others", "--exclude-standard"]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
    for name in sorted(set(done.stdout.splitlines()) - {*EXCEPT}):
        path = source / name
        if path.is_file() and (path.suffix in SUFFIXES or path.name in NAMES):
            yield path


def check(source: Path) -> bool:
    """Print what is found. Return whether nothing was."""
    clean = True
    for path in files(source):
        for line, said, better in sorted(findings(path.read_text())):
            print(f"{path.relative_to(source)}:{line}: {said!r}: write {better}")
            clean = False
    return clean


def run(source: Path) -> int:
    """Check all files. The status is 0 if nothing was found."""
    return 0 if check(source) else 1
