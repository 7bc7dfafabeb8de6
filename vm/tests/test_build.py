"""Building modules: any warning is an error, and what is built is not built again."""

from __future__ import annotations

import shutil
import subprocess
from typing import TYPE_CHECKING

import pytest

from vm.host import cache, image, kbuild
from vm.host.errors import HarnessError
from vm.tests.ran import KERNEL, TABLE, tree

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture
def hello_c(copy: Path) -> Iterator[Path]:
    path = copy / "hello.c"
    before = path.read_text()
    yield path
    path.write_text(before)


def test_a_warning_fails_the_build_and_names_the_file(copy: Path, hello_c: Path) -> None:
    hello_c.write_text(hello_c.read_text() + "static int unused;\n")
    # The second time, too, when kbuild has the object already.
    for _ in range(2):
        with pytest.raises(HarnessError, match=r"hello\.c:\d+.*unused"):
            kbuild.modules(TABLE, KERNEL, tree(copy))


def test_only_a_change_is_built(
    copy: Path, hello_c: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    built = kbuild.modules(TABLE, KERNEL, tree(copy))
    assert {*built} == {"hello.ko", "neighbour/neighbour.ko"}
    capsys.readouterr()
    assert kbuild.modules(TABLE, KERNEL, tree(copy)) == built
    assert "built" not in capsys.readouterr().err
    hello_c.write_text(hello_c.read_text() + "/* changed */\n")
    kbuild.modules(TABLE, KERNEL, tree(copy))
    assert "built" in capsys.readouterr().err


def test_leftovers_of_a_killed_make_do_not_disturb_the_next() -> None:
    """Its jobserver is a pipe that is named by its process id, in /tmp."""
    files = image.files(TABLE, KERNEL)
    for _ in range(2):
        subprocess.run(files.command(["mkfifo", "/tmp/GMfifo1"], {}), check=True)


def times(copy: Path) -> dict[str, int]:
    """When each object of a checkout was compiled."""
    origins = (cache.root() / "build").glob("*/.checkout")
    kept = [path.parent for path in origins if path.read_text() == str(copy)]
    return {path.name: path.stat().st_mtime_ns for each in kept for path in each.rglob("*.o")}


def test_another_checkout_begins_with_what_is_built(copy: Path, tmp_path: Path) -> None:
    kbuild.modules(TABLE, KERNEL, tree(copy))
    other = shutil.copytree(copy, tmp_path / "other", symlinks=True)
    (other / "hello.c").write_text((other / "hello.c").read_text() + "int hello_again;\n")
    changed = kbuild.modules(TABLE, KERNEL, tree(other))
    assert b"hello_again" in changed["hello.ko"]
    before = times(copy)
    compiled = {name for name, time in times(other).items() if before[name] != time}
    assert "hello.o" in compiled
    assert "neighbour.o" not in compiled


@pytest.mark.parametrize(("changed", "again"), [("hello.c", False), ("hello.h", True)])
def test_other_module_is_built_again_when_it_sees_the_change(
    copy: Path, changed: str, again: bool
) -> None:
    kbuild.modules(TABLE, KERNEL, tree(copy))
    before = times(copy)
    path = copy / changed
    text = path.read_text()
    path.write_text(text + "/* changed */\n")
    try:
        kbuild.modules(TABLE, KERNEL, tree(copy))
    finally:
        path.write_text(text)
    rebuilt = {name for name, time in times(copy).items() if before.get(name) != time}
    assert "hello.o" in rebuilt
    assert ("neighbour.o" in rebuilt) == again
