"""The command `rtshm` as a process of its own."""

from __future__ import annotations

import subprocess
import sys

import pexpect

COMMAND = [sys.executable, "-m", "rtshm"]


def run(
    *arguments: str, stdin: str = "", user: int | None = None
) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*COMMAND, *arguments],
        input=stdin,
        capture_output=True,
        text=True,
        timeout=60,
        user=user,
        group=user,
        extra_groups=None if user is None else [],
    )


def done(*arguments: str, stdin: str = "") -> str:
    """The output of a command that succeeds without a word on standard error."""
    finished = run(*arguments, stdin=stdin)
    assert (finished.returncode, finished.stderr) == (0, ""), arguments
    return finished.stdout


def leave(terminal: pexpect.spawn[str]) -> int | None:
    """Wait until the command in a terminal ends; its status."""
    terminal.expect(pexpect.EOF)
    terminal.close()
    return terminal.exitstatus
