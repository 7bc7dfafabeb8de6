"""<linux/rtshm.h> and rtshm.abi are one ABI: the header is compiled and asked."""

from __future__ import annotations

import ctypes
import re
import shutil
import subprocess
from pathlib import Path

import pytest
from rtshm import abi
from rtshm.state import publisher

CHECKOUT = Path(__file__).parents[2]
INCLUDE = CHECKOUT / "kmod/include/uapi"

PROBE = """
#include <stddef.h>
#include <stdio.h>
#include <linux/rtshm.h>
#define FIELD(name) printf(#name " %zu %zu\\n", offsetof(struct rtshm_word, name), \\
                           sizeof(((struct rtshm_word *)0)->name))
int main(void)
{
    printf("size %zu %zu\\n", sizeof(struct rtshm_word), _Alignof(struct rtshm_word));
    FIELD(some_int);
    FIELD(ready);
    return 0;
}
"""


def probe(include: Path, workdir: Path) -> dict[str, tuple[int, int]]:
    """Offset and size of each field of struct rtshm_word, as the compiler has them."""
    compiler = shutil.which("gcc") or shutil.which("cc")
    assert compiler, "no C compiler: make test installs one"
    (workdir / "probe.c").write_text(PROBE)
    build = [compiler, "-Wall", "-Werror", f"-I{include}", "-o", "probe", "probe.c"]
    subprocess.run(build, cwd=workdir, check=True)
    out = subprocess.run([workdir / "probe"], check=True, capture_output=True, text=True).stdout
    return {
        name: (int(offset), int(size))
        for name, offset, size in (line.split() for line in out.splitlines())
    }


def python_word() -> dict[str, tuple[int, int]]:
    fields = {
        name: (getattr(abi.Word, name).offset, getattr(abi.Word, name).size)
        for name in ("some_int", "ready")
    }
    return {"size": (ctypes.sizeof(abi.Word), ctypes.sizeof(abi.Cell)), **fields}


def test_header_and_python_agree(tmp_path: Path) -> None:
    assert probe(INCLUDE, tmp_path) == python_word()


def test_probe_sees_a_header_that_drifted(tmp_path: Path) -> None:
    header = (INCLUDE / "linux/rtshm.h").read_text()
    moved = re.sub(r"(\t__s32\tsome_int;\n)(\t__u8\tready;\n)", r"\2\1", header)
    assert moved != header
    (tmp_path / "linux").mkdir()
    (tmp_path / "linux/rtshm.h").write_text(moved)
    assert probe(tmp_path, tmp_path) != python_word()


@pytest.mark.parametrize("value", [0, 1, 42, -1, -42, 2**31 - 1, -(2**31)])
def test_published_word_is_the_one_that_construct_builds(value: int) -> None:
    cell = abi.Cell(0)
    publisher(cell)(value)
    assert bytes(cell) == abi.WORD.build({"some_int": value, "ready": 1})


@pytest.mark.parametrize("value", [2**31, 2**32, 2**63, -(2**31) - 1, -(2**64)])
def test_value_that_is_no_int_is_refused_and_not_stored(value: int) -> None:
    cell = abi.Cell(7)
    with pytest.raises(OverflowError, match=f"{value} is not a C int; give -2147483648 to"):
        publisher(cell)(value)
    assert cell.value == 7


@pytest.mark.parametrize("value", [1.0, "1", None])
def test_what_is_no_integer_is_a_type_error(value: object) -> None:
    cell = abi.Cell(7)
    with pytest.raises(TypeError):
        publisher(cell)(value)  # type: ignore[arg-type]
    assert cell.value == 7
