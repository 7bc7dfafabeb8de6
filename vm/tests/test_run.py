"""Commands in the guest: what goes in, what comes out, and how a lost machine is told apart."""

from __future__ import annotations

import concurrent.futures
import hashlib
import io
import signal
import subprocess
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from vm.host import kbuild, machine, programs
from vm.host.errors import HarnessError
from vm.tests.example.payload import of
from vm.tests.ran import KERNEL, TABLE, run, tree

if TYPE_CHECKING:
    from vm.host.payload import Compiler

PATIENCE = 60.0


class Clock:
    """The machine's clock, which a test sets forward instead of waiting."""

    time = staticmethod(time.time)

    def __init__(self) -> None:
        self.ahead = 0.0

    def monotonic(self) -> float:
        return time.monotonic() + self.ahead


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(machine, "time", clock)
    return clock


def vm(copy: Path, command: str) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [copy / "vm/run", command], stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )


# The statuses that a shell gives a meaning of its own.
@pytest.mark.parametrize(
    ("command", "status", "warm"),
    [
        ("true", 0, False),
        ("exit 3", 3, True),
        ("no-such-command", 127, True),
        ("kill -KILL $$", 137, True),
    ],
)
def test_status_is_the_commands(copy: Path, command: str, status: int, warm: bool) -> None:
    done = run(copy, command, warm=warm)
    assert (done.outcome.status, done.outcome.lost) == (status, None)
    # The whole log, from the first line to the last.
    log = done.outcome.log()
    assert "Linux version" in log[0]
    assert log[-1].endswith("vm: end")
    assert done.outcome.splats() == []


def test_guest_has_the_checkout_and_keeps_output_apart(copy: Path) -> None:
    done = run(
        copy,
        """
        pwd; cat 'new file' link; ./tool; ls gone ignored; ls hello.ko; id -u
        python3 -c 'import os; os.write(1, bytes(range(256)) * 4096)'
        echo late >/dev/stderr
        setpriv --reuid=65534 --clear-groups cat 'new file'
        mount | grep -c -e tracefs -e devpts -e 'on /dev/shm type tmpfs'
        sleep 60 &
        """,
    )
    assert done.outcome.status == 0
    head = f"{copy}\nuntracked\nuntracked\ntool\nhello.ko\n0\n".encode()
    assert done.stdout == head + bytes(range(256)) * 4096 + b"untracked\n3\n"
    assert b"gone" in done.stderr
    assert b"ignored" in done.stderr
    assert done.stderr.endswith(b"late\n")


def test_output_arrives_whole_however_long_it_takes(copy: Path) -> None:
    """The copier of standard output stands still for longer than the pipes may be held open."""
    done = run(
        copy,
        """
        copier=$(pgrep -f 'cat /run/vm/out')
        kill -STOP $copier
        (sleep 5; kill -CONT $copier) >/dev/null 2>&1 &
        sleep 60 &
        seq 10000
        """,
    )
    assert done.stdout == b"".join(b"%d\n" % number for number in range(1, 10001))


def test_make_hands_over_quotes_dollars_and_newlines(copy: Path) -> None:
    command = "echo \"$((6 * 7))\" 'a  b' `echo $0`\n# $(shell false)\nprintf '%s' '$x \\'"
    done = subprocess.run(
        ["make", "-s", "-C", copy, "vm", f"CMD={command}"], capture_output=True, check=False
    )
    assert done.stdout == b"42 a  b /run/vm/command\n$x \\"
    assert done.returncode == 0
    # Which accelerator, in one line; and where the log is.
    errors = done.stderr.decode()
    assert len([line for line in errors.splitlines() if " under " in line]) == 1
    assert "dmesg.log" in errors


@pytest.mark.promise(
    "machine: The virtual machine finds each fault in the log, and tells a lost machine apart"
)
@pytest.mark.parametrize(
    ("command", "lost"),
    [
        ("echo c >/proc/sysrq-trigger", "panic: sysrq triggered crash"),
        ("echo before; poweroff -f", "it stopped without a status"),
    ],
)
def test_lost_machine_is_told_apart(
    copy: Path, command: str, lost: str, capsys: pytest.CaptureFixture[str]
) -> None:
    done = run(copy, command)
    assert (done.outcome.status, done.outcome.lost) == (machine.LOST_STATUS, lost)
    capsys.readouterr()
    assert machine.report(done.outcome) == machine.LOST_STATUS
    *log, reason, name = capsys.readouterr().err.splitlines()
    assert reason == f"vm: machine lost: {lost}"
    assert name == f"vm: dmesg: {done.outcome.dmesg}"
    assert 0 < len(log) <= machine.LOST_LINES


def test_deadline_loses_the_machine_and_keeps_what_came_before(copy: Path, clock: Clock) -> None:
    stdout = io.BytesIO()

    def late(line: str) -> None:
        clock.ahead += 200 * (line == "mark")

    outcome = machine.run(
        TABLE,
        KERNEL,
        of(copy, KERNEL),
        "echo before; sleep 1; echo mark >/dev/kmsg; sleep 600",
        warm=True,
        deadline=200,
        sinks=machine.Sinks(stdout=stdout, log_line=late),
    )
    assert outcome.status == machine.LOST_STATUS
    assert outcome.lost == "no end within the deadline of 200 s"
    assert stdout.getvalue() == b"before\n"
    assert outcome.log()[-1].endswith("mark")


def test_command_that_exits_255_is_not_a_lost_machine(copy: Path) -> None:
    done = run(copy, "exit 255")
    assert (done.outcome.status, done.outcome.lost) == (255, None)


@pytest.mark.parametrize("warm", [False, True])
def test_module_that_does_not_compile_is_said_and_no_machine_lost(
    copy: Path, capsys: pytest.CaptureFixture[str], warm: bool
) -> None:
    path = copy / "hello.c"
    before = path.read_text()
    path.write_text(before + "static int unused;\n")
    try:
        with pytest.raises(HarnessError, match=r"hello\.c:\d+.*unused"):
            run(copy, "echo never", warm=warm)
    finally:
        path.write_text(before)
    assert "boot: " not in capsys.readouterr().err


def test_the_machine_comes_up_while_the_module_is_built_and_waits_for_it(
    copy: Path, monkeypatch: pytest.MonkeyPatch, clock: Clock
) -> None:
    """What it waits is not of its deadline; what it gets is whole."""
    modules, take = kbuild.modules, machine.Conversation._take_status
    asked = threading.Event()

    def take_and_tell(conversation: machine.Conversation, data: bytes) -> None:
        take(conversation, data)
        if b"unbuilt" in data:
            asked.set()

    def slow(*arguments: Any, **options: Any) -> dict[str, bytes]:
        assert asked.wait(PATIENCE), "no machine came up before the module was built"
        clock.ahead += 1000
        return modules(*arguments, **options)

    expected = modules(TABLE, KERNEL, tree(copy))
    monkeypatch.setattr(kbuild, "modules", slow)
    monkeypatch.setattr(machine.Conversation, "_take_status", take_and_tell)
    done = run(copy, "sha256sum hello.ko neighbour/neighbour.ko")
    assert (done.outcome.status, done.outcome.lost) == (0, None)
    for name in ("hello.ko", "neighbour/neighbour.ko"):
        assert f"{hashlib.sha256(expected[name]).hexdigest()}  {name}" in done.stdout.decode()


def test_two_machines_at_once_do_not_meet(copy: Path) -> None:
    with concurrent.futures.ThreadPoolExecutor() as pool:
        command = "echo %s >/etc/who; sync; sleep 2; cat /etc/who"
        both = [pool.submit(run, copy, command % name) for name in ("one", "two")]
        assert [future.result().stdout for future in both] == [b"one\n", b"two\n"]


def test_error_meanwhile_ends_the_compiler(copy: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """And so does a signal, which is raised in the same place."""
    statuses = []
    compilers: list[Compiler] = []

    def compile_for_ever(*arguments: Any, compiler: Compiler, **options: Any) -> None:
        compilers.append(compiler)
        statuses.append(compiler.run(["sleep", "600"])[0])
        with pytest.raises(HarnessError, match="ended before its end"):
            compiler.run(["true"])
        raise HarnessError("not what is told")

    def fail(*arguments: Any) -> dict[str, bytes]:
        deadline = time.monotonic() + PATIENCE
        while not (compilers and compilers[0]._process):
            assert time.monotonic() < deadline, "nothing is compiled"
        raise HarnessError("something else")

    monkeypatch.setattr(kbuild, "modules", compile_for_ever)
    monkeypatch.setattr(programs, "bytecode", fail)
    with pytest.raises(HarnessError, match="something else"):
        run(copy, "echo never")
    assert statuses == [-signal.SIGKILL]


def test_closed_standard_streams_have_no_effect(copy: Path) -> None:
    command = [str(copy / "vm/run"), "echo out; exit 3"]
    for closed in ("<&-", ">&-", "2>&-", "<&- >&- 2>&-"):
        script = f'exec "$@" {closed}'
        done = subprocess.run(
            ["sh", "-c", script, "sh", *command], capture_output=True, check=False
        )
        assert done.returncode == 3, closed
        assert done.stdout == (b"" if ">&-" in closed.split() else b"out\n")
        assert b"Traceback" not in done.stderr


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_signal_ends_the_machine_too(copy: Path, number: signal.Signals) -> None:
    # In the background of a shell without job control SIGINT is ignored, also by what it starts.
    before = signal.signal(number, signal.SIG_DFL)
    process = vm(copy, "echo begun; sleep 600")
    signal.signal(number, before)
    assert process.stdout is not None
    assert process.stdout.readline() == b"begun\n"
    children = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
    assert len(children) == 1
    process.send_signal(number)
    process.communicate(timeout=20)
    assert process.returncode == 128 + number
    assert not Path("/proc", children[0]).exists()
