"""`make test T=EXPR KERNEL=NAME`: which tests an expression names, and what is refused."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from tests.__main__ import GUEST, HOST, arguments
from tests.lib.payload import CHECKOUT

THIS = "tests/host/test_expression.py"


@pytest.mark.parametrize(
    ("wanted", "guest", "host"),
    [
        ("tests/module/test_seed.py", ["tests/module/test_seed.py"], []),
        ("tests/host/test_abi.py::test_a", [], ["tests/host/test_abi.py::test_a"]),
        ("test_seed", ["-k", "test_seed", "tests/module/test_seed.py"], []),
        # The id of a parameter.
        ("missing-put", [], ["-k", "missing-put", "tests/boots/test_faults.py"]),
        ("tests/install", [], []),
        ("no_such_name", [], []),
    ],
)
def test_expression_names_tests(wanted: str, guest: list[str], host: list[str]) -> None:
    found = arguments(wanted, HOST)
    # This file has "missing-put", too.
    if THIS in found:
        found.remove(THIS)
    assert (arguments(wanted, GUEST), found) == (guest, host)


@pytest.mark.parametrize("kernel", ["5.4", "6.12-signed"])
def test_kernel_without_suites_is_refused_in_one_line(kernel: str) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-p", "tests.lib.schedule", "tests/boots/test_suites.py"],
        cwd=CHECKOUT,
        env={**os.environ, "KERNEL": kernel},
        capture_output=True,
        text=True,
    )
    assert done.returncode == pytest.ExitCode.USAGE_ERROR
    said = f"ERROR: no suite for a kernel {kernel!r}; there are: 6.12, 6.12-rt, "
    assert done.stderr.startswith(said)
    assert done.stderr.strip().count("\n") == 0
