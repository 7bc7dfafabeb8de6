"""The old example's user program, in C, against /dev/rtshm/default."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.lib import module
from tests.lib.libc import PAGE

if TYPE_CHECKING:
    from tests.lib.fixtures import Load
    from tests.lib.kmsg import KernelLog

pytestmark = pytest.mark.same_on_rt


@pytest.fixture(scope="session")
def seed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    program = tmp_path_factory.mktemp("seed") / "seed"
    source = Path(__file__).with_name("seed.c")
    subprocess.run(["gcc", "-Wall", "-Werror", "-o", program, source], check=True)
    return program


def test_old_user_program_works_unchanged(log: KernelLog, load: Load, seed: Path) -> None:
    load(period_ns=50_000_000)
    with subprocess.Popen([seed], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as user:
        assert user.stdin
        assert user.stdout
        assert user.stdout.readline() == "enter # or <quit>\n"
        module.wait_value(log, 0)
        for value in (42, -7):
            user.stdin.write(f"{value}\n")
            user.stdin.flush()
            module.wait_value(log, value)
        # As in the old program, quit is a value too: atoi makes it 0.
        user.stdin.write("quit\n")
        user.stdin.close()
        assert user.wait() == 0
    module.wait_value(log, 0)


def test_program_without_standard_output_prints_nothing_into_the_region(
    load: Load, seed: Path
) -> None:
    load()
    subprocess.run(["sh", "-c", 'exec "$0" >&-', seed], input=b"", check=True)
    assert module.DEVICE.read_bytes() == bytes(PAGE)
