"""The module's protocols between processors: their bad outcome never comes, and each barrier
in them is needed."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.lib.payload import CHECKOUT
from tools import litmus
from vm.host.errors import HarnessError

if TYPE_CHECKING:
    from pathlib import Path

FILES = sorted((CHECKOUT / "tests/litmus").glob("*.litmus"))
assert FILES
BARRIERS = [(file, name) for file in FILES for name in litmus.barriers(file.read_text())]


@pytest.mark.promise(
    "ordering: The kernel's memory model forbids each bad outcome, and each barrier is needed"
)
@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_outcome_is_the_declared_one_and_nothing_is_flagged(file: Path) -> None:
    text = file.read_text()
    assert litmus.declared(text) == litmus.Verdict("Never")
    assert litmus.verdict(text) == litmus.declared(text)


@pytest.mark.promise(
    "ordering: The kernel's memory model forbids each bad outcome, and each barrier is needed"
)
@pytest.mark.parametrize(
    ("file", "name"), BARRIERS, ids=[f"{file.stem}-{name}" for file, name in BARRIERS]
)
def test_without_a_barrier_the_outcome_is_possible(file: Path, name: str) -> None:
    weaker = litmus.without(file.read_text(), name)
    assert litmus.verdict(weaker).outcome == "Sometimes"


def test_plain_accesses_that_race_are_flagged() -> None:
    file = next(file for file in FILES if file.stem == "watermark")
    weaker = litmus.without(file.read_text(), "reader-lock")
    assert litmus.verdict(weaker).flags == ("data-race",)


def test_file_that_herd_does_not_understand_is_an_error() -> None:
    text = next(file for file in FILES if file.stem == "announce").read_text()
    with pytest.raises(HarnessError, match="no verdict"):
        litmus.verdict(text.replace("smp_load_acquire", "smp_no_such_thing"))
