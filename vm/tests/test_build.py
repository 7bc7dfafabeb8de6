"""Building modules: any warning is an error, and what is built is not built again."""

from __future__ import annotations

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


@pytest.mark.parametrize(("changed", "again"), [("hello.c", False), ("hello.h", True)])
def test_other_module_is_built_again_when_it_sees_the_change(
    copy: Path, changed: str, again: bool
) -> None:
    def times() -> dict[Path, int]:
        origins = (cache.root() / "build").glob("*/.checkout")
        kept = [path.parent for path in origins if path.read_text() == str(copy)]
        return {path: path.stat().st_mtime_ns for each in kept for path in each.rglob("*.o")}

    kbuild.modules(TABLE, KERNEL, tree(copy))
    before = times()
    path = copy / changed
    text = path.read_text()
    path.write_text(text + "/* changed */\n")
    try:
        kbuild.modules(TABLE, KERNEL, tree(copy))
    finally:
        path.write_text(text)
    rebuilt = {path.name for path, time in times().items() if before.get(path) != time}
    assert "hello.o" in rebuilt
    assert ("neighbour.o" in rebuilt) == again
