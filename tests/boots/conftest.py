"""What tests share that take a machine each."""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING, Any

import pytest

from tests.lib import copies, payload

if TYPE_CHECKING:
    from pathlib import Path

    from tests.boots.program import Program


@pytest.fixture(scope="session")
def copy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A checkout of the module and what its machines take."""
    return copies.make(tmp_path_factory.mktemp("check out"))


# Of a program that takes a minute at most: on a machine that is busy or slow, too.
DEADLINE_SECONDS = 600.0


@pytest.fixture
def guest_program() -> Program:
    def run(name: str, *arguments: object, kernel: str = "", **options: Any) -> None:
        command = shlex.join(["warm", f"tests.boots.guest.{name}", *map(str, arguments)])
        done = payload.run(command, kernel=kernel, deadline=DEADLINE_SECONDS, **options)
        assert done.outcome.lost is None, f"machine lost: {done.outcome.lost}"
        assert done.outcome.splats() == []
        said = (done.stdout + done.stderr).decode(errors="replace")
        assert (done.outcome.status, said) == (0, f"{name}: passed\n"), said

    return run
