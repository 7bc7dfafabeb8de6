"""Building the module: any warning is an error, and what is built is not built again."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.lib import payload
from tests.lib.payload import CHECKOUT, TABLE
from tools import lint
from vm.host import cache, image, kbuild
from vm.host.errors import HarnessError

if TYPE_CHECKING:
    from collections.abc import Iterator

EXAMPLE = Path("kmod/examples/pi")


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
            kbuild.modules(TABLE, TABLE[""], payload.tree(copy))


def test_sparse_fails_the_build(copy: Path, main_c: Path) -> None:
    code = "int rtshm_probe(int __user *p);\nint rtshm_probe(int __user *p)\n{\n\treturn *p;\n}\n"
    main_c.write_text(main_c.read_text() + code)
    with pytest.raises(HarnessError, match=r"kmod/main\.c:\d+.*dereference of noderef"):
        kbuild.modules(TABLE, TABLE[""], payload.tree(copy), variables=lint.SPARSE)


def test_only_a_change_is_built(
    copy: Path, main_c: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    built = kbuild.modules(TABLE, TABLE[""], payload.tree(copy))
    capsys.readouterr()
    assert kbuild.modules(TABLE, TABLE[""], payload.tree(copy)) == built
    assert "built" not in capsys.readouterr().err
    main_c.write_text(main_c.read_text() + "/* changed */\n")
    kbuild.modules(TABLE, TABLE[""], payload.tree(copy))
    assert "built" in capsys.readouterr().err


@pytest.mark.parametrize(("changed", "again"), [("main.c", False), ("include/rtshm_task.h", True)])
def test_modules_beside_are_built_again_when_they_see_a_change(
    copy: Path, changed: str, again: bool
) -> None:
    def times() -> dict[Path, int]:
        origins = (cache.root() / "build").glob("*/.checkout")
        kept = [path.parent for path in origins if path.read_text() == str(copy)]
        return {path: path.stat().st_mtime_ns for each in kept for path in each.rglob("*.o")}

    kbuild.modules(TABLE, TABLE[""], payload.tree(copy))
    before = times()
    path = copy / "kmod" / changed
    text = path.read_text()
    path.write_text(text + "/* changed */\n")
    try:
        kbuild.modules(TABLE, TABLE[""], payload.tree(copy))
    finally:
        path.write_text(text)
    rebuilt = {path.name for path, time in times().items() if before.get(path) != time}
    assert "main.o" in rebuilt
    assert ("control.o" in rebuilt, "probe.o" in rebuilt) == (again, again)


def test_example_is_built_out_of_the_tree_by_its_own_makefile(tmp_path: Path) -> None:
    kernel = TABLE[""]
    files = image.files(TABLE, kernel)
    tree, mine = tmp_path / "rtshm", tmp_path / "mine"
    sources = payload.tree(CHECKOUT).files()
    kbuild.synchronise(tree, {path: (CHECKOUT / path).read_bytes() for path in sources})
    kbuild.make(files, kernel, tree, [])
    shutil.copytree(tree / EXAMPLE, mine)
    binds = {tree: "/build", mine: "/mnt"}
    command = ["make", "-s", "-C", "/mnt", "RTSHM=/build", f"KDIR={files.headers}"]
    subprocess.run(files.command(command, binds), check=True)
    assert (mine / "rtshm_pi.ko").exists()
    subprocess.run(files.command([*command, "clean"], binds), check=True)
    there = {path.name for path in sources if path.parent == EXAMPLE}
    assert {path.name for path in mine.iterdir()} == there
