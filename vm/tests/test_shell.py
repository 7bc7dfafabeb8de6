"""A shell in the guest on this terminal: what a person can do there, and how it is left."""

from __future__ import annotations

import contextlib
import os
import re
import signal
import subprocess
import termios
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pexpect
import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator

PATIENCE = 60.0

# As from a shell, which the terminal stays with.
RUN = """
"$0"
echo "left with $?"
read -r line
"""


class Person:
    """Types into a terminal in which `vm/run` runs."""

    def __init__(self, copy: Path) -> None:
        environment = {**os.environ, "TERM": "vt100", "VM_CMD": ""}
        self.child = pexpect.spawn(
            "/bin/sh",
            ["-c", RUN, str(copy / "vm/run")],
            dimensions=(30, 90),
            env=environment,
            timeout=PATIENCE,
            encoding="utf-8",
        )
        self.before = self.settings()
        self.child.expect("a shell in .*; exit leaves")
        self.child.expect("# ")

    def signal(self, number: signal.Signals) -> None:
        shell = self.child.pid
        children = Path(f"/proc/{shell}/task/{shell}/children").read_text().split()
        os.kill(int(children[0]), number)

    def settings(self) -> list[object]:
        return list(termios.tcgetattr(self.child.child_fd))

    def say(self, line: str, answer: str) -> None:
        self.child.sendline(line)
        self.child.expect(rf"\r\n(?:\x1b\S+\r)?{answer}\r\n")
        self.child.expect("# ")

    def ended(self) -> int:
        """The status, after all that was there to read; the terminal is as it was."""
        self.child.expect(r"left with (\d+)\r?\n")
        assert isinstance(self.child.match, re.Match)
        status = int(self.child.match[1])
        deadline = time.monotonic() + PATIENCE
        # After SIGKILL another process sees to it.
        while self.settings() != self.before:
            assert time.monotonic() < deadline, "the terminal is not as it was"
            time.sleep(0.01)
        return status


@pytest.fixture
def person(copy: Path) -> Iterator[Person]:
    person = Person(copy)
    yield person
    with contextlib.suppress(pexpect.ExceptionPexpect):
        person.child.close(force=True)


def test_a_shell_has_a_terminal_of_this_ones_size_with_job_control(
    person: Person, copy: Path
) -> None:
    assert person.settings() != person.before
    person.say("pwd", str(copy))
    person.say("echo $TERM", "vt100")
    person.say("stty size", "30 90")
    # The foreground job is told of it, too.
    person.child.sendline(
        "sh -c 'trap \"stty size; exit\" WINCH; echo set; while :; do sleep 0.1; done'"
    )
    person.child.expect("\rset\r\n")
    person.child.setwinsize(50, 132)
    person.child.expect("50 132\r\n")
    person.child.expect("# ")
    person.child.sendline("sleep 100")
    time.sleep(0.5)
    person.child.send("\x03")
    person.child.expect("# ")
    person.say("echo $?", "130")
    person.child.sendline("sleep 100")
    time.sleep(0.5)
    person.child.send("\x1a")
    person.child.expect("Stopped")
    person.child.expect("# ")
    person.say("jobs", r"\[1\]\+  Stopped +sleep 100")
    person.say("kill %1; insmod hello.ko && greet whom", r"(?:.*Terminated +sleep 100\r\n)?world")
    # More than there is room for on the way.
    person.child.sendline("seq 60000; echo done")
    person.child.expect(r"59999\r\n60000\r\ndone\r\n")
    assert (person.child.before or "").count("\r\n") > 59990
    person.child.sendline("exit 3")
    assert person.ended() == 3


@pytest.mark.parametrize(
    ("way", "status"),
    [
        ("panic", 255),
        ("Control-]", 255),
        (signal.SIGTERM, 128 + signal.SIGTERM),
        (signal.SIGHUP, 128 + signal.SIGHUP),
        (signal.SIGKILL, 128 + signal.SIGKILL),
    ],
)
def test_the_terminal_is_as_it_was_however_the_shell_ends(
    person: Person, way: str | signal.Signals, status: int
) -> None:
    if isinstance(way, signal.Signals):
        person.signal(way)
    elif way == "panic":
        person.child.sendline("echo c >/proc/sysrq-trigger")
        person.child.expect("machine lost: panic: sysrq triggered crash")
    else:
        person.child.send("\x1d" * 3)
        person.child.expect("machine lost: ended from the terminal")
    assert person.ended() == status


@pytest.mark.parametrize("stream", ["stdin", "stdout"])
def test_without_a_terminal_a_command_is_asked_for(copy: Path, stream: str) -> None:
    ours, theirs = os.openpty()
    done = subprocess.run(
        [copy / "vm/run"],
        stdin=subprocess.DEVNULL if stream == "stdin" else theirs,
        stdout=subprocess.DEVNULL if stream == "stdout" else theirs,
        stderr=subprocess.PIPE,
        text=True,
        check=False,
    )
    os.close(ours)
    os.close(theirs)
    assert (done.returncode, done.stderr.splitlines()) == (
        125,
        ["vm: no command, and no terminal for a shell; try: make vm CMD='uname -a'"],
    )
