"""The generated C is that of the spec, and where it is not, that is found."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from tools import ynl
from vm.host.errors import HarnessError

CHECKOUT = Path(__file__).resolve().parents[2]


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """A copy of the spec and of what is generated from it."""
    for path in (ynl.SPEC, *ynl.GENERATED):
        (tmp_path / path.parent).mkdir(parents=True, exist_ok=True)
        shutil.copy(CHECKOUT / path, tmp_path / path)
    return tmp_path


def replace(path: Path, old: str, new: str) -> None:
    text = path.read_text()
    assert text.count(old) == 1
    path.write_text(text.replace(old, new))


def test_a_changed_attribute_is_shown_until_the_c_is_generated_again(
    tree: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    replace(tree / ynl.SPEC, "name: cpu\n        type: u32", "name: cpu\n        type: u16")
    assert not ynl.check(tree)
    *diff, remedy = capsys.readouterr().out.splitlines()
    assert "-	[RTSHM_A_REGION_CPU] = { .type = NLA_U32, }," in diff
    assert "+	[RTSHM_A_REGION_CPU] = { .type = NLA_U16, }," in diff
    assert remedy.endswith("remedy: make ynl")
    untouched = {path: (tree / path).stat().st_mtime_ns for path in ynl.GENERATED}
    ynl.update(tree)
    assert ynl.check(tree)
    rewritten = [
        path for path, when in untouched.items() if (tree / path).stat().st_mtime_ns > when
    ]
    assert rewritten == [Path("kmod/netlink_gen.c")]


def test_generated_files_that_are_missing_are_found(
    tree: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for path in ynl.GENERATED:
        (tree / path).unlink()
    assert not ynl.check(tree)
    said = capsys.readouterr().out
    for path in ynl.GENERATED:
        assert f"--- {path}\n" in said


def test_a_spec_that_the_schema_refuses_is_named_with_the_reason(tree: Path) -> None:
    replace(tree / ynl.SPEC, "name: cpu\n        type: u32", "name: cpu\n        type: u33")
    before = (tree / "kmod/netlink_gen.c").read_text()
    with pytest.raises(HarnessError, match=r"^kmod/netlink/rtshm\.yaml: .*'u33' is not one of"):
        ynl.update(tree)
    assert (tree / "kmod/netlink_gen.c").read_text() == before
