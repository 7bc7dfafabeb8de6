"""The command `rtshm`, as a person types it: through a pseudo-terminal where it asks."""

from __future__ import annotations

import re
import subprocess
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import rtshm

from tests.lib import module
from tests.lib.command import COMMAND, interrupt, leave, on_terminal, run
from tests.lib.module import VALUE
from tests.lib.waiting import waits

if TYPE_CHECKING:
    from collections.abc import Iterator

    import pexpect

    from tests.lib.fixtures import Load
    from tests.lib.kmsg import KernelLog

PROMPT = "enter # or <quit> "
LIMITS = "give a number from -2147483648 to 2147483647"


@pytest.fixture
def prompt(load: Load) -> Iterator[pexpect.spawn[str]]:
    """`rtshm write` in a terminal of its own, its first prompt on the screen."""
    load(period_ns=50_000_000)
    terminal = on_terminal("write")
    terminal.expect_exact(PROMPT)
    yield terminal
    terminal.close(force=True)


def test_write_puts_the_value_in_the_log(log: KernelLog, load: Load) -> None:
    load(period_ns=50_000_000)
    done = run("write", "42")
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    module.wait_value(log, 42)
    for value, arguments in {
        -7: ["-7"],
        -8: ["--", "-8"],
        -9: ["default", "-9"],
    }.items():
        assert run("write", *arguments).returncode == 0
        module.wait_value(log, value)


def test_read_prints_the_value(load: Load) -> None:
    load(print=0)
    assert run("read").stdout == "0\n"
    with rtshm.open() as region:
        region.some_int = -12
    assert run("read", "default").stdout == "-12\n"
    assert run("read", "/dev/rtshm/default").stdout == "-12\n"


@pytest.mark.promise("command: The prompt writes numbers until quit")
def test_prompt_writes_numbers_until_quit(log: KernelLog, prompt: pexpect.spawn[str]) -> None:
    for value in (42, -7, 0):
        prompt.sendline(str(value))
        prompt.expect_exact(PROMPT)
        module.wait_value(log, value)
    prompt.sendline("quit")
    assert leave(prompt) == 0


@pytest.mark.promise("command: The prompt leaves at the end of input and on Control-C")
def test_prompt_leaves_at_the_end_of_input(prompt: pexpect.spawn[str]) -> None:
    prompt.sendeof()
    assert leave(prompt) == 0


@pytest.mark.promise("command: The prompt leaves at the end of input and on Control-C")
def test_prompt_leaves_on_control_c_with_130(prompt: pexpect.spawn[str]) -> None:
    prompt.sendline("5")
    prompt.expect_exact(PROMPT)
    assert interrupt(prompt) == 130
    assert "Traceback" not in (prompt.before or "")
    with rtshm.open() as region:
        assert region.some_int == 5


@pytest.mark.promise("command: The prompt refuses what is not a number")
def test_prompt_refuses_what_atoi_lets_through_and_asks_again(load: Load) -> None:
    load(print=0)
    refused = {
        "abc": "'abc' is not a number",
        "4 2": "'4 2' is not a number",
        "42abc": "'42abc' is not a number",
        "1_000": "'1_000' is not a number",
        "0x": "'0x' is not a number",
        "1.5": "'1.5' is not a number",
        "2147483648": "2147483648 is out of range",
        "-2147483649": "-2147483649 is out of range",
        "99999999999999999999": "99999999999999999999 is out of range",
        **{c * 10_000: f"{c * 10!r}... (10000 characters) is too long" for c in "9x-\xe4"},
    }
    lines = ["41", *refused]
    done = run("write", stdin="".join(f"{line}\n" for line in lines))
    answers = "".join(f"{PROMPT}{answer}; {LIMITS}\n" for answer in refused.values())
    assert done.stdout == f"{PROMPT}{answers}{PROMPT}\n"
    assert (done.returncode, done.stderr) == (0, "")
    with rtshm.open() as region:
        assert region.some_int == 41


def test_prompt_in_a_terminal_refuses_a_line_of_10000_characters(
    prompt: pexpect.spawn[str],
) -> None:
    # The terminal itself keeps at most 4095 of them.
    for _ in range(10):
        prompt.send("9" * 1000)
    prompt.sendline()
    prompt.expect(r"9'\.\.\. \(\d+ characters\) is too long; " + re.escape(LIMITS))
    prompt.expect_exact(PROMPT)
    prompt.sendline("6")
    prompt.expect_exact(PROMPT)
    with rtshm.open() as region:
        assert region.some_int == 6


def test_prompt_refuses_bytes_that_are_no_text(load: Load) -> None:
    load(print=0)
    done = subprocess.run(
        [*COMMAND, "write"], input=b"41\n\xff\xfe\0\n", capture_output=True, timeout=60
    )
    assert done.returncode == 0
    assert done.stdout.count(PROMPT.encode()) == 3
    assert b"is not a number" in done.stdout
    assert done.stderr == b""


@pytest.mark.parametrize(
    ("value", "answer"),
    [
        ("5h", "'5h' is not a number"),
        ("-5h", "'-5h' is not a number"),
        ("2147483648", "2147483648 is out of range"),
    ],
)
def test_write_of_a_non_int_has_status_2(load: Load, value: str, answer: str) -> None:
    load(print=0)
    done = run("write", value)
    assert done.returncode == 2
    assert f"{answer}; {LIMITS}" in done.stderr
    assert run("read").stdout == "0\n"


def test_unknown_option_is_refused_with_status_2(load: Load) -> None:
    load(print=0)
    done = run("write", "--typo", "1")
    assert done.returncode == 2
    assert "No such option: --typo" in done.stderr


def test_closed_standard_streams_are_no_traceback(load: Load) -> None:
    load(print=0)
    # test_closed_standard_output_is_an_error_in_one_line() starts an interpreter of its own.
    for done in (run("write", "42", closed=[1]), run("write", closed=[0])):
        assert (done.returncode, done.stderr) == (0, "")
    line = f"{' '.join(COMMAND)} read >/dev/full"
    done = subprocess.run(line, shell=True, capture_output=True, text=True, timeout=60)
    assert done.returncode == 1
    assert done.stderr == "rtshm: No space left on device (ENOSPC, 28)\n"
    with rtshm.open() as region:
        assert region.some_int == 42


@pytest.mark.promise("command: An error says what is wrong and what to do")
def test_without_the_module_each_command_says_so() -> None:
    for arguments in (["write", "42"], ["write"], ["read"]):
        done = run(*arguments)
        assert done.returncode == 1
        assert done.stderr == (
            "rtshm: /dev/rtshm/default: No such file or directory (ENOENT, 2)\n"
            "rtshm: the module is not loaded: "
            "sudo modprobe rtshm (built here: sudo insmod rtshm.ko)\n"
        )
        assert done.stdout == ""


def test_unknown_device_names_the_known_ones(load: Load) -> None:
    load(print=0)
    done = run("write", "motor", "1")
    assert done.returncode == 1
    assert done.stderr == (
        "rtshm: /dev/rtshm/motor: No such file or directory (ENOENT, 2)\n"
        "rtshm: no such region; /dev/rtshm has: default\n"
    )


@pytest.mark.promise("command: An error says what is wrong and what to do")
def test_unprivileged_user_is_told_what_to_do(load: Load) -> None:
    load(print=0)
    for arguments in (["write", "42"], ["read"]):
        done = run(*arguments, user=65534)
        assert done.returncode == 1
        assert done.stderr == (
            "rtshm: /dev/rtshm/default: Permission denied (EACCES, 13)\n"
            "rtshm: use sudo, or join the group of the node "
            "(see ls -l /dev/rtshm/default)\n"
        )


def test_user_with_read_permission_reads(load: Load) -> None:
    load(print=0)
    module.DEVICE.chmod(0o644)
    assert run("read", user=65534).stdout == "0\n"
    assert run("write", "1", user=65534).returncode == 1


def test_log_follows_the_modules_lines(load: Load) -> None:
    follower = on_terminal("log", "--new")
    # It waits for lines that are new when it does: only then may they come.
    while not waits(Path(f"/proc/{follower.pid}"), "devkmsg_read"):
        assert follower.isalive()
        time.sleep(0.05)
    load(period_ns=100_000_000)
    stamp = r"\[ *\d+\.\d{6}\] "
    follower.expect(stamp + r"rtshm: loaded: [^\r\n]*\r\n" + 2 * rf"{stamp}{VALUE % 0}\r\n")
    assert follower.before == ""
    assert interrupt(follower) == 130
    assert "Traceback" not in (follower.before or "")


def test_log_without_following_prints_what_there_is_and_ends(load: Load) -> None:
    load(print=0)
    *_, last = run("log", "--no-follow").stdout.splitlines()
    assert re.match(r"\[ *\d+\.\d{6}\] rtshm: loaded: ", last)
    assert run("log", "--new", "--no-follow").returncode == 2


def test_log_ends_quietly_when_its_reader_goes(load: Load) -> None:
    load(period_ns=20_000_000)
    done = subprocess.run(
        f"{' '.join(COMMAND)} log --new | head -n 2",
        shell=True,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.stderr == ""
    assert len(done.stdout.splitlines()) == 2


def test_log_without_permission_says_so() -> None:
    done = run("log", user=65534)
    assert done.returncode == 1
    assert done.stderr == (
        "rtshm: /dev/kmsg: Operation not permitted (EPERM, 1)\n"
        "rtshm: reading the kernel log takes CAP_SYSLOG here: use sudo\n"
    )
