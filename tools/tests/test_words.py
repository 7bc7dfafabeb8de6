"""The phrases of tools/words.py are found, and nothing is left of them in this checkout."""

from __future__ import annotations

import subprocess
from typing import TYPE_CHECKING

import pytest

from tests.lib.payload import CHECKOUT
from tools import words

if TYPE_CHECKING:
    from pathlib import Path

FOUND = [
    "500 ms unless told otherwise",
    "Who cannot be told is told that something was lost",
    "/* The lock is held. Who waits is woken. */",
    '"""What is refused is not touched."""',
    "this is no region",
    "there is not so much free memory",
    "for so many ticks in a row",
    "what it costs, beside what else there is",
    "put your own in the place of plant()",
    "a buffer of which the verifier knows the size",
    "the node is root's alone",
    "the readers wake late at times",
    "def test_what_is_no_region_is_refused() -> None:",
]
NOT_FOUND = [
    "default: 500 ms",
    "If the event cannot be delivered, the listener gets ENOBUFS",
    "## What is promised",
    "## Who may",
    "Ask the person who may read it. What are the limits?",
    "there is no region of this name",
    "the deadline is no longer in the future",
    "beside = table.beside(row)",
    "as much as the quota allows, and so much the better",
]


@pytest.mark.parametrize("text", FOUND)
def test_phrase_is_found(text: str) -> None:
    assert [line for line, _, _ in words.findings(f"First.\n{text}\n")][:1] == [2]


@pytest.mark.parametrize("text", NOT_FOUND)
def test_plain_words_are_not(text: str) -> None:
    assert list(words.findings(f"First.\n{text}\n")) == []


def test_file_with_a_phrase_fails_the_check(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    subprocess.run(["git", "init", "-q", tmp_path], check=True)
    (tmp_path / "page.md").write_text("# Page\n\nThis is no region.\n")
    assert not words.check(tmp_path)
    assert capsys.readouterr().out == "page.md:3: 'is no region': write is not a\n"


def test_nothing_is_left_of_them_here(capsys: pytest.CaptureFixture[str]) -> None:
    words.check(CHECKOUT)
    assert capsys.readouterr().out == ""
