"""<linux/rtshm.h> and rtshm.abi are one ABI: the header is compiled and asked."""

from __future__ import annotations

import ctypes
import errno
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import construct
import numpy as np
import pytest
import rtshm
from rtshm import _publish, abi, publisher
from rtshm.errors import IncompatibleError
from rtshm.region import Word

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import SupportsIndex

    Publisher = Callable[[bytearray], tuple[Callable[[SupportsIndex], None], Callable[..., None]]]

WORD = construct.Struct(
    "some_int" / construct.Int32sn, "ready" / construct.Int8un, construct.Padding(3)
)

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


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("maxsize", 2**31 - 1, "this Python has 32 bits"),
        ("byteorder", "big", "on little-endian machines only"),
    ],
)
def test_machine_that_cannot_store_the_word_at_once_is_refused(
    monkeypatch: pytest.MonkeyPatch, name: str, value: object, words: str
) -> None:
    with monkeypatch.context() as machine:
        machine.setattr(sys, name, value)
        with pytest.raises(IncompatibleError, match=words) as refused:
            rtshm.open()
    assert refused.value.errno == errno.ENOTSUP


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
        name: (getattr(Word, name).offset, getattr(Word, name).size)
        for name in ("some_int", "ready")
    }
    return {"size": (ctypes.sizeof(Word), ctypes.sizeof(abi.Cell)), **fields}


def test_header_and_python_agree(tmp_path: Path) -> None:
    assert probe(INCLUDE, tmp_path) == python_word()


def test_probe_sees_a_header_that_drifted(tmp_path: Path) -> None:
    header = (INCLUDE / "linux/rtshm.h").read_text()
    moved = re.sub(r"(\t__s32\tsome_int;\n)(\t__u8\tready;\n)", r"\2\1", header)
    assert moved != header
    (tmp_path / "linux").mkdir()
    (tmp_path / "linux/rtshm.h").write_text(moved)
    assert probe(tmp_path, tmp_path) != python_word()


in_both = pytest.mark.parametrize("made", [_publish.publisher, publisher.publisher_in_python])


def seven() -> bytearray:
    return bytearray(WORD.build({"some_int": 7, "ready": 0}))


@pytest.mark.promise("client: publish() in C and in Python store and refuse the same")
@in_both
@pytest.mark.parametrize("value", [0, 1, 42, -1, -42, 2**31 - 1, -(2**31), True, np.int16(-3)])
def test_published_word_is_the_one_that_construct_builds(
    made: Publisher, value: SupportsIndex
) -> None:
    memory = seven()
    made(memory)[0](value)
    assert memory == WORD.build({"some_int": int(value), "ready": 1})


@pytest.mark.promise("client: publish() in C and in Python store and refuse the same")
@in_both
@pytest.mark.parametrize("value", [2**31, 2**32, 2**63, -(2**31) - 1, -(2**64)])
def test_value_that_is_not_an_int_is_refused_and_not_stored(made: Publisher, value: int) -> None:
    memory = seven()
    with pytest.raises(OverflowError, match=f"{value} is not a C int; give -2147483648 to 2147483"):
        made(memory)[0](value)
    assert memory == seven()


@pytest.mark.promise("client: publish() in C and in Python store and refuse the same")
@in_both
@pytest.mark.parametrize("value", [1.0, "1", None, np.float64(1)])
def test_non_integer_is_a_type_error(made: Publisher, value: object) -> None:
    memory = seven()
    with pytest.raises(TypeError, match="object cannot be interpreted as an integer"):
        made(memory)[0](value)  # type: ignore[arg-type]
    assert memory == seven()


@in_both
def test_memory_that_has_no_word_to_write_is_refused(made: Publisher) -> None:
    with pytest.raises((TypeError, BufferError)):
        made(b"read-only")  # type: ignore[arg-type]
    with pytest.raises(ValueError):
        made(bytearray(7))


def test_memory_that_is_not_aligned_is_refused_in_c() -> None:
    """Where ctypes would store to it: not in one store, on some processors."""
    with pytest.raises(ValueError, match="no aligned word of 8 bytes"):
        _publish.publisher(memoryview(bytearray(16))[4:])


@in_both
def test_memory_is_let_go_with_the_last_publish(made: Publisher) -> None:
    memory = seven()
    publish, revoke = made(memory)
    with pytest.raises(BufferError):
        memory.append(0)
    del publish, revoke
    memory.append(0)


@in_both
def test_publish_that_is_revoked_refuses_and_releases_the_memory(made: Publisher) -> None:
    memory = seven()
    publish, revoke = made(memory)

    def refuse() -> None:
        raise LookupError("closed")

    for _ in range(2):
        revoke(refuse)
        with pytest.raises(LookupError, match="closed"):
            publish(1)
        with pytest.raises(OverflowError):
            publish(2**31)
    assert memory == seven()
    memory.append(0)


def test_compiled_module_is_used() -> None:
    assert publisher.publisher is _publish.publisher


@pytest.mark.parametrize("error", ["ModuleNotFoundError", "ImportError"])
def test_without_what_is_compiled_python_does_it(error: str) -> None:
    """Not built, or refused: a subinterpreter gets an ImportError."""
    script = (
        "import sys\n"
        "class Refuse:\n"
        "    def find_spec(self, name, *_):\n"
        f"        if name == 'rtshm._publish': raise {error}(name)\n"
        "sys.meta_path.insert(0, Refuse())\n"
        "from rtshm import publisher\n"
        "assert publisher.publisher is publisher.publisher_in_python\n"
    )
    subprocess.run([sys.executable, "-c", script], check=True)
