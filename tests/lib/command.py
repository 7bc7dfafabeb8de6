"""The command `rtshm`, as a user types it.

In a guest that began with a snapshot, a fork of the snapshot's interpreter runs it. That
one declines where the caller has a terminal or is another user: there a fork of this
process runs it, which has imported the command, too.
"""

from __future__ import annotations

import os
import runpy
import signal
import subprocess
import sys
import traceback
from typing import IO, TYPE_CHECKING, Any

import pexpect
import rtshm.cli.commands  # noqa: F401  for the forks

from tests.lib import module
from tests.lib.module import PATIENCE

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

# How often somebody presses Control-C before giving up.
PRESSES = 6

COMMAND = ["rtshm"]
# An interpreter of its own: for tests of how the command starts, and with which streams.
COLD = [sys.executable, "-m", "rtshm"]


def forked(
    arguments: Sequence[str],
    env: Mapping[str, str] | None = None,
    *,
    script: str = "",
    closed: Sequence[int] = (),
    unshare: int = 0,
    prepare: str = "",
) -> Callable[[], None]:
    """Have a `preexec_fn` run the command, or a script, in place of the program, and never return.

    The standard streams in `closed` are closed first, and are None then as in an interpreter
    that starts without them. `unshare` are flags of unshare(2), and `prepare` is a line for
    the shell, which runs in the new namespaces.
    """

    def act() -> None:
        # The parent waits for the end of a pipe, too.
        os.closerange(3, 4096)
        for number in closed:
            os.close(number)
        if unshare:
            module.unshare(unshare)
        if prepare:
            subprocess.run(prepare, shell=True, check=True)
        signal.signal(signal.SIGPIPE, signal.SIG_IGN)
        os.environ.update(env or {})
        for number, name in enumerate(("stdin", "stdout", "stderr")):
            mode = "w" if number else "r"
            opened: IO[str] | None = None if number in closed else open(number, mode)
            setattr(sys, name, opened)
        sys.argv = [script or "rtshm", *arguments]
        code: object = 1
        try:
            if script:
                runpy.run_path(script, run_name="__main__")
            else:
                runpy.run_module("rtshm", run_name="__main__", alter_sys=True)
            code = 0
        except SystemExit as left:
            code = left.code or 0
            if not isinstance(code, int):
                print(code, file=sys.stderr)
        except BaseException:
            traceback.print_exc()
        finally:
            for stream in (sys.stdout, sys.stderr):
                if stream is not None:
                    stream.flush()
            os._exit(code if isinstance(code, int) else 1)

    return act


def run(
    *arguments: str,
    stdin: str = "",
    user: int | None = None,
    group: int | None = None,
    closed: Sequence[int] = (),
    unshare: int = 0,
    prepare: str = "",
    in_fork: bool = False,
) -> subprocess.CompletedProcess[str]:
    """Run the command; as a user of no group but one, which is by default the user's number.

    In a fork of this process where the snapshot's interpreter would decline: for another
    user, with standard streams that are `closed`, in a namespace of its own (`unshare`, where a
    shell runs `prepare` first), and if this process is in one (`in_fork`).
    """
    in_fork = in_fork or user is not None or bool(closed) or bool(unshare)
    acts = forked(arguments, closed=closed, unshare=unshare, prepare=prepare)
    return subprocess.run(
        [*COMMAND, *arguments],
        input=stdin,
        capture_output=True,
        text=True,
        timeout=60,
        user=user,
        group=user if group is None else group,
        extra_groups=None if user is None else [],
        preexec_fn=acts if in_fork else None,
    )


def on_terminal(
    *arguments: str, size: tuple[int, int] = (24, 80), **env: str
) -> pexpect.spawn[str]:
    """The command on a terminal of its own."""
    return pexpect.spawn(
        COMMAND[0],
        [*arguments],
        encoding="utf-8",
        timeout=PATIENCE,
        dimensions=size,
        preexec_fn=forked(arguments, env),
    )


def begun(*arguments: str, **streams: Any) -> subprocess.Popen[str]:
    """The command as a process with the number of its own, which it names files by."""
    act = forked(arguments)
    return subprocess.Popen([*COMMAND, *arguments], text=True, preexec_fn=act, **streams)


def done(*arguments: str, stdin: str = "") -> str:
    """The output of a command that succeeds without a word on standard error."""
    finished = run(*arguments, stdin=stdin)
    assert (finished.returncode, finished.stderr) == (0, ""), arguments
    return finished.stdout


def interrupt(terminal: pexpect.spawn[str]) -> int | None:
    """Press Control-C until the command in a terminal ends; its status.

    Python hears of one that comes right before a system call when that call ends.
    """
    for _ in range(PRESSES):
        terminal.sendcontrol("c")
        if terminal.expect([pexpect.EOF, pexpect.TIMEOUT], timeout=PATIENCE / PRESSES) == 0:
            terminal.close()
            return terminal.exitstatus
    raise AssertionError(f"{terminal.args} does not end")


def leave(terminal: pexpect.spawn[str]) -> int | None:
    """Wait until the command in a terminal ends; its status."""
    terminal.expect(pexpect.EOF)
    terminal.close()
    return terminal.exitstatus
