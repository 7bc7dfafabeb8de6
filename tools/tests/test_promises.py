"""docs/evidence.md: the promises are found where tests have them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.lib.amounts import AMOUNTS
from tests.lib.payload import CHECKOUT
from tools import promises

if TYPE_CHECKING:
    from pathlib import Path

TEST = """\
import pytest

@pytest.mark.promise("log: Bad requests log nothing")
@pytest.mark.amounts("refused", "fills")
@pytest.mark.parametrize("user", [0, 1])
def test_refusals_are_not_logged(user): ...

@pytest.mark.amounts("fuzz")
def test_other(): ...
"""


def test_promise_has_its_tests_and_how_often_they_do_their_work(tmp_path: Path) -> None:
    folder = tmp_path / "tests/stress"
    folder.mkdir(parents=True)
    (folder / "test_netlink.py").write_text(TEST)
    assert promises.collect(tmp_path) == {
        "log: Bad requests log nothing": [
            promises.Test(
                "tests/stress/test_netlink.py::test_refusals_are_not_logged", ("refused", "fills")
            )
        ]
    }
    *_, row = promises.markdown(tmp_path)
    for name in ("refused", "fills"):
        of = AMOUNTS[name]
        many = (f"{of[kind]:,} ({kind})" for kind in ("kasan", "um", "debian"))
        assert f"{name} {', '.join(many)}" in row


def test_every_promise_names_its_subject() -> None:
    found = promises.collect(CHECKOUT)
    assert len(found) > 100
    assert [text for text in found if ": " not in text or text.endswith(".")] == []
