"""A refusal that netlink would cut is found, and none is in this checkout."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.lib.payload import CHECKOUT
from tools import refusals

if TYPE_CHECKING:
    from pathlib import Path

    import pytest

SOURCE = """
  if (big)
    return rtshm_refuse(extack, -ERANGE,
            "size: %s"
            " %llu bytes", "page", size);
  GENL_SET_ERR_MSG(info, "name: missing");
  return rtshm_other(extack, "attribute", "not a refusal of the module");
"""


def test_text_of_a_refusal_is_taken_whole_and_at_its_longest() -> None:
    found = ["size: xxxxxxxxxxxx 9999999999 bytes", "name: missing"]
    assert list(refusals.refusals(SOURCE)) == found


def test_refusal_that_netlink_cuts_is_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "kmod").mkdir()
    for spare, fits in ((0, True), (1, False)):
        text = "name: " + "x" * (refusals.MOST - len("name: ") + spare)
        (tmp_path / "kmod/a.c").write_text(f'return rtshm_refuse(extack, -1, "{text}");\n')
        assert refusals.check(tmp_path) is fits
    assert "kmod/a.c: 80 characters, netlink cuts at 79: name: x" in capsys.readouterr().out


def test_refusals_of_the_module_fit() -> None:
    assert refusals.check(CHECKOUT)
