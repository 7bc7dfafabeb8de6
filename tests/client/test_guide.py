"""docs/guide.md and other pages, typed as they stand there: what is root's and what is Python's.

What is the user's, before that, builds what is in the guest already: tests/boots/test_guide.py.
Pictures are drawn on the host, by tests/host/test_guide.py: an emulated guest takes half a
minute to import what draws them.
"""

from __future__ import annotations

import importlib
import json
import re
import shlex
import socket
import subprocess
import time
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.lib import command, guide, module
from tests.lib.module import CHECKOUT

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.lib.fixtures import Load

# A process that imports takes so long on a busy emulated machine.
PATIENCE = 300
MADE = ("mine.bpf.c", "run.csv", "run.csv.json", "run.png", "step.npz", "step.png")
END = "end of the command, status "
# What imports for long.
SLOW = ("python3 ", *(f"rtshm {name} " for name in ("record", "play", "recover")))


class Shell:
    """A shell of root's, without a terminal, for one command after another."""

    def __init__(self) -> None:
        self._bash = subprocess.Popen(
            ["bash"],
            text=True,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        )

    def run(self, command: str) -> str:
        """What it prints. It must do well."""
        assert self._bash.stdin
        assert self._bash.stdout
        self._bash.stdin.write(f"{{ {command}\n}} </dev/null; printf '\\n{END}%d\\n' $?\n")
        self._bash.stdin.flush()
        printed = ""
        for line in self._bash.stdout:
            if line.startswith(END):
                assert line == f"{END}0\n", f"# {command}\n{printed}"
                return printed
            printed += line
        raise AssertionError(f"# {command}\n{printed}\nand the end of the shell")

    def close(self) -> None:
        self._bash.communicate("kill $(jobs -p) 2>/dev/null\n", timeout=PATIENCE)


@pytest.fixture
def shell(
    page: str, load: Load, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> Iterator[Shell]:
    # Python's part is run here, and finds the files where the shell made them.
    in_checkout = any(each.text.startswith("insmod ") for each in guide.page(page))
    monkeypatch.chdir(CHECKOUT if in_checkout else tmp_path)
    shell = Shell()
    yield shell
    shell.close()
    # Of a test that failed: `load` takes the module away after this.
    with suppress(OSError):
        module.remove("rtshm_pi")
    for name in MADE:
        (CHECKOUT / name).unlink(missing_ok=True)


def scope(text: str) -> None:
    """What takes a terminal: until it has drawn, and saved, then q."""
    terminal = command.on_terminal(*shlex.split(text)[1:], size=(24, 100), TERM="xterm")
    terminal.timeout = PATIENCE
    terminal.expect_exact("triggered" if "--level" in text else "q leaves")
    if "--save" in text:
        terminal.send("s")
        terminal.expect_exact("saved")
    terminal.send("q")
    assert command.leave(terminal) == 0


def stream(text: str, shell: Shell) -> None:
    """What sends until it is stopped: until a datagram has come."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as receiver:
        receiver.bind(("127.0.0.1", 9870))
        receiver.settimeout(PATIENCE)
        shell.run(f"{text.partition(' #')[0]} &")
        assert json.loads(receiver.recv(10_000))["motor"]["tick"] > 0
    shell.run("kill $! && wait $!")


def compiled(text: str) -> str:
    """The command with the object for the source, which clang compiled on the host."""
    return re.sub(r"\S+\.bpf\.c\b", f"{CHECKOUT}/client/examples/pi.bpf.o", text)


def in_fork(text: str) -> str:
    """What a program in Python prints, run by a fork of this process: imports take it a minute."""
    program, *arguments = shlex.split(text, comments=True)
    script = "" if program == "rtshm" else arguments.pop(0)
    done = subprocess.run(
        [program],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        preexec_fn=command.forked(arguments, script=script),
    )
    assert done.returncode == 0, f"# {text}\n{done.stdout}"
    return done.stdout


NEEDS = {"raw-memory": "raw", "guide": "bpf", "safe-values": "bpf"}


@pytest.mark.parametrize(
    "page",
    [
        pytest.param(page, marks=pytest.mark.needs(NEEDS[page]) if page in NEEDS else ())
        for page in guide.GUEST
    ],
)
def test_page_does_what_it_shows(page: str, shell: Shell, load: Load) -> None:
    typed = [
        each
        for each in guide.page(page)
        if each.where != "$" and not each.text.startswith((*guide.UNTYPED,))
    ]
    if not any(each.text.startswith("insmod ") for each in typed):
        load(print=0)
    # For the forks.
    if any(".arrows" in each.text for each in typed):
        importlib.import_module("pyarrow")
    python = guide.Python(page)
    for each in typed:
        if each.where in (">>>", "python"):
            python.run(each)
        elif each.text.startswith("rtshm scope "):
            scope(each.text)
        elif "--to udp:" in each.text:
            stream(each.text, shell)
        elif picture := guide.draws(each):
            # For the command that removes it.
            Path(picture).touch()
        else:
            in_python = each.text.startswith(SLOW) and "|" not in each.text
            text = compiled(each.text) if each.text.startswith("rtshm task ") else each.text
            printed = in_fork(text) if in_python else shell.run(text)
            # The loop settles in a second, which a person takes to type the next line.
            deadline = time.monotonic() + PATIENCE
            while each.text.startswith("rtshm get ") and not guide.agrees(each.shown, printed):
                assert time.monotonic() < deadline, f"# {each.text}\n{printed}"
                printed = shell.run(each.text)
            assert guide.agrees(each.shown, printed), (
                f"# {each.text}\n{printed}\nand not, as the page has it:\n{each.shown}"
            )
        if each.text == "rmmod rtshm":
            assert not module.is_loaded()
    assert not [name for name in MADE if (CHECKOUT / name).exists()]


def test_example_of_the_readme_does_what_it_says(load: Load) -> None:
    load(print=0)
    (program,) = [each for each in guide.page("../README") if each.where == "python"]
    python = guide.Python("README")
    python.run(program)
    array = python.names["array"]
    assert 1 <= len(array) <= 1000
    assert set(array["target"]) == {3.0}


def test_value_of_the_readme_is_in_the_log(load: Load) -> None:
    typed = [each.text for each in guide.page("../README")]
    (write,) = [text for text in typed if "rtshm write" in text]
    (log,) = [text for text in typed if "dmesg" in text]
    said = log.partition("# ")[2]
    load()
    subprocess.run(write.replace("sudo ~/rtshm/bin/", ""), shell=True, check=True)
    command = log.replace("sudo ", "")
    deadline = time.monotonic() + PATIENCE
    while said not in (out := subprocess.check_output(command, shell=True, text=True)):
        assert time.monotonic() < deadline, out
