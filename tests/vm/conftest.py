"""A checkout to run machines on that is not the one being worked in."""

from __future__ import annotations

import io
import shlex
import shutil
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import pytest

from tests.vm import checkout, headline, machine, splats, suites

if TYPE_CHECKING:
    from collections.abc import Callable

    Git = Callable[..., None]

CHECKOUT = Path(__file__).resolve().parents[2]
PARTS = ("Kbuild", "Makefile", "kmod", "tests", "client", "bench", ".gitignore")


@pytest.fixture(scope="session")
def copy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A git checkout with the module, the harness, and nothing committed.

    `new file` is untracked, `ignored` is ignored, `gone` is in the index and not on
    disk, `link` is a symbolic link and `tool` is executable.
    """
    path = tmp_path_factory.mktemp("check out")
    subprocess.run(["git", "init", "-q", path], check=True)
    for name in checkout.files(CHECKOUT):
        if name.parts[0] in PARTS:
            target = path / name
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(CHECKOUT / name, target, follow_symlinks=False)
    (path / "gone").touch()
    subprocess.run(["git", "-C", path, "add", "--all"], check=True)
    (path / "gone").unlink()
    (path / "new file").write_text("untracked\n")
    (path / "link").symlink_to("new file")
    (path / "tool").write_text("#!/bin/sh\necho tool\n")
    (path / "tool").chmod(0o700)
    (path / "ignored").touch()
    with (path / ".gitignore").open("a") as file:
        file.write("ignored\n")
    return path


class Program(Protocol):
    """Runs the program tests/guest/NAME.py in a machine of its own; it says that it passed."""

    def __call__(self, name: str, *arguments: object, kernel: str = "", **options: Any) -> None:
        """`options` are those of machine.run()."""


@pytest.fixture
def guest_program() -> Program:
    def run(name: str, *arguments: object, kernel: str = "", **options: Any) -> None:
        output = io.BytesIO()
        outcome = machine.run(
            suites.TABLE,
            suites.TABLE[kernel],
            CHECKOUT,
            shlex.join(["python3", "-m", f"tests.guest.{name}", *map(str, arguments)]),
            deadline=120,
            sinks=machine.Sinks(stdout=output, stderr=output),
            **options,
        )
        assert outcome.lost is None, f"machine lost: {outcome.lost}"
        assert splats.scan(outcome.log(), outcome.accelerator) == []
        said = output.getvalue().decode(errors="replace")
        assert (outcome.status, said) == (0, f"{name}: passed\n"), said

    return run


RESULTS = pytest.StashKey[list["suites.Result"]]()


@pytest.fixture
def results(request: pytest.FixtureRequest) -> list[suites.Result]:
    """Of the suites that have run; they are in the table at the end."""
    return request.config.stash.setdefault(RESULTS, [])


def pytest_terminal_summary(
    terminalreporter: pytest.TerminalReporter, config: pytest.Config
) -> None:
    results = config.stash.get(RESULTS, [])
    if results:
        terminalreporter.section("guests")
        for line in headline.table(results):
            terminalreporter.write_line(line)
