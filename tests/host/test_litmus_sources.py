"""The litmus files speak of the module as it is: what they quote of it stands there."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import pytest

CHECKOUT = Path(__file__).parents[2]
FILES = sorted((CHECKOUT / "tests/litmus").glob("*.litmus"))

# ` * tick.c: rtshm_take: statement`: file in kmod or the client, function, what stands in
# it. A header comment has no function.
QUOTED = re.compile(
    r"^ \* (?P<file>(?:\.\./client/)?[\w/]+\.[ch]): (?:(?P<function>\w+): )?(?P<code>.*)$", re.M
)

# What orders, or is a claim by one processor before another.
BARRIER = re.compile(
    r"\bsmp_(?:[rw]?mb|mb__\w+|store_\w+|load_\w+)\(|\bcmpxchg\w*\(|\b__atomic_\w+\("
)
COMMENT = re.compile(r"/\*.*?\*/", re.DOTALL)


def body(path: Path, function: str) -> str:
    """The text of a function; the kernel's style ends it with a `}` alone."""
    found = re.search(
        rf"^[^\s#/][^;{{]*\b{function}\([^;{{]*\)\n\{{\n.*?^\}}", path.read_text(), re.M | re.DOTALL
    )
    assert found, f"{path.name} has no function {function}()"
    return found[0]


def missing(litmus: str, kmod: Path) -> list[str]:
    """What a litmus file quotes and the source does not have, or not in that order."""
    quoted = list(QUOTED.finditer(litmus))
    assert quoted
    absent = []
    ends: dict[tuple[str, str], int] = {}
    for quote in quoted:
        path, name = kmod / quote["file"], quote["function"]
        # White space aside.
        text = " ".join((body(path, name) if name else path.read_text()).split())
        place = (quote["file"], name or "")
        at = text.find(quote["code"], ends.get(place, 0))
        if at < 0:
            absent.append(quote["code"])
        else:
            ends[place] = at + len(quote["code"])
    return absent


@pytest.mark.promise(
    "ordering: The kernel's memory model forbids each bad outcome, and each barrier is needed"
)
@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_quoted_lines_are_in_the_source_in_that_order(file: Path) -> None:
    assert missing(file.read_text(), CHECKOUT / "kmod") == []


def test_statement_that_went_or_changed_its_place_is_missed(tmp_path: Path) -> None:
    kmod = tmp_path / "kmod"
    shutil.copytree(CHECKOUT / "kmod", kmod)
    litmus = (CHECKOUT / "tests/litmus/poll-take.litmus").read_text()
    path = kmod / "state_dev.c"
    before = path.read_text()
    barrier = "smp_mb__after_atomic();"
    path.write_text(before.replace(barrier, ""))
    assert missing(litmus, kmod) == [barrier]
    arming = "set_bit(RTSHM_POLL_ARMED, &region->pending);"
    path.write_text(before.replace(barrier, "").replace(arming, barrier + arming))
    assert missing(litmus, kmod) == [barrier]


@pytest.mark.promise(
    "ordering: The kernel's memory model forbids each bad outcome, and each barrier is needed"
)
@pytest.mark.parametrize(
    "path", sorted((CHECKOUT / "kmod").rglob("*.[ch]")), ids=lambda path: path.name
)
def test_every_barrier_of_the_module_is_in_a_litmus_file(path: Path) -> None:
    quoted = [
        quote["code"]
        for file in FILES
        for quote in QUOTED.finditer(file.read_text())
        if path == CHECKOUT / "kmod" / quote["file"]
    ]
    # The header says in its comment what a process does.
    text = path.read_text()
    code = text if "uapi" in path.parts else COMMENT.sub("", text)
    for line in code.splitlines():
        for found in BARRIER.findall(line):
            assert any(found in quote for quote in quoted), f"{path.name}: {line.strip()}"
