"""Building the module: any warning is an error, and what is built is not built again."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.vm import build, kernels, lint
from tests.vm.errors import HarnessError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

TABLE = kernels.load()


@pytest.fixture
def main_c(copy: Path) -> Iterator[Path]:
    path = copy / "kmod/main.c"
    before = path.read_text()
    yield path
    path.write_text(before)


def test_a_warning_fails_the_build_and_names_the_file(copy: Path, main_c: Path) -> None:
    main_c.write_text(main_c.read_text() + "static int unused;\n")
    # The second time, too, when kbuild has the object already.
    for _ in range(2):
        with pytest.raises(HarnessError, match=r"kmod/main\.c:\d+.*unused"):
            build.modules(TABLE, TABLE[""], copy)


def test_sparse_fails_the_build(copy: Path, main_c: Path) -> None:
    code = "int rtshm_probe(int __user *p);\nint rtshm_probe(int __user *p)\n{\n\treturn *p;\n}\n"
    main_c.write_text(main_c.read_text() + code)
    with pytest.raises(HarnessError, match=r"kmod/main\.c:\d+.*dereference of noderef"):
        build.modules(TABLE, TABLE[""], copy, variables=lint.SPARSE)


def test_only_a_change_is_built(
    copy: Path, main_c: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    built = build.modules(TABLE, TABLE[""], copy)
    capsys.readouterr()
    assert build.modules(TABLE, TABLE[""], copy) == built
    assert "built" not in capsys.readouterr().err
    main_c.write_text(main_c.read_text() + "/* changed */\n")
    build.modules(TABLE, TABLE[""], copy)
    assert "built" in capsys.readouterr().err
