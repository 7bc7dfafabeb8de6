"""The command behind `make test T=EXPR`: the tests that an expression names, wherever they run.

EXPR is a path, the id of a test (`tests/module/test_seed.py::test_name`), or what pytest's -k
takes. Tests of a guest run in one machine on the kernel of $KERNEL, which begins with a
snapshot; all others run here.
"""

from __future__ import annotations

import os
import re
import shlex
import sys
from pathlib import Path

import pytest

from tests.lib import payload
from tests.lib.payload import CHECKOUT
from vm import __main__ as vm
from vm.host import machine
from vm.host.errors import HarnessError

GUEST = ("tests/module", "tests/client", "tests/stress")
HOST = ("tests/host", "tests/boots", "tools/tests", "bench/tests", "vm/tests")

# What a file has for -k to find: its own name, and those of its classes and functions.
NAME = re.compile(r"^\s*(?:def|class) (\w+)", re.MULTILINE)


def main() -> int:
    wanted = sys.argv[1] if len(sys.argv) > 1 else os.environ.get("T", "")
    if not wanted:
        raise HarnessError("no test; try: make test T=test_seed")
    guest, host = arguments(wanted, GUEST), arguments(wanted, HOST)
    if not guest and not host:
        raise HarnessError(
            f"no test matches {wanted!r} in {', '.join((*GUEST, *HOST))}; "
            "tests/install and tests/foreign take a disk of their own: make test KERNEL=6.12"
        )
    statuses = []
    if guest:
        kernel = payload.TABLE[os.environ.get("KERNEL", "")]
        outcome = machine.run(
            payload.TABLE,
            kernel,
            payload.of(CHECKOUT, kernel),
            shlex.join(["warm", "pytest", "-p", "no:cacheprovider", *guest]),
            warm=not vm.flag("COLD"),
        )
        statuses.append(machine.report(outcome))
    if host:
        statuses.append(int(pytest.main(host)))
    # 5: -k found no test in a file with such a name.
    return max((status for status in statuses if status != 5), default=5)


def arguments(wanted: str, folders: tuple[str, ...]) -> list[str]:
    """pytest's, for what `wanted` names in these folders; none if that is nothing."""
    path = wanted.partition("::")[0].rstrip("/")
    if (CHECKOUT / path).exists():
        inside = any(Path(path).is_relative_to(folder) for folder in folders)
        return [wanted] if inside else []
    # To collect a whole suite takes an emulated guest longer than most tests.
    words = [word for word in re.findall(r"[\w.-]+", wanted) if word not in ("and", "or", "not")]
    files = [
        str(file.relative_to(CHECKOUT))
        for folder in folders
        for file in sorted((CHECKOUT / folder).glob("test_*.py"))
        if any(is_named(word, file) for word in words)
    ]
    return ["-k", wanted, *files] if files else []


def is_named(word: str, file: Path) -> bool:
    """Whether pytest may find a test of the file by a word, of its name or of its parameter's."""
    text = file.read_text(encoding="utf-8")
    names = [file.name, *NAME.findall(text)]
    # What no name can have is of a parameter.
    return any(word in name for name in names) or (not word.isidentifier() and word in text)


if __name__ == "__main__":
    os.chdir(CHECKOUT)
    sys.exit(vm.guarded(main))
