"""rtshm scope, in a terminal of its own."""

from __future__ import annotations

import math
import os
import re
import signal
import struct
import termios
import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING

import pexpect
import pytest
import rtshm
from rtshm import Control

from tests.lib.command import leave, on_terminal, run

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.lib.fixtures import Load

WIDTH, HEIGHT = 100, 24
MS = 1_000_000


@pytest.fixture
def control(load: Load) -> Iterator[Control]:
    load(print=0, period_ns=3600_000 * MS)
    with Control() as control:
        control.create(
            "motor",
            period=5 * MS,
            history=1000,
            record_bytes=24,
            layout="speed:f64 axes:i32[2]",
        )
        yield control


@contextmanager
def sawtooth() -> Iterator[None]:
    """speed goes from 0 up to 10 and back to 0, over and over."""
    stop = threading.Event()

    def turn() -> None:
        step = 0
        with rtshm.open("motor") as region:
            while not stop.wait(0.005):
                step = (step + 1) % 100
                os.pwrite(region.fileno(), struct.pack("=d2i", step / 10, step, -step), 8)

    turning = threading.Thread(target=turn)
    turning.start()
    try:
        yield
    finally:
        stop.set()
        turning.join()


def scope(*arguments: str) -> pexpect.spawn[str]:
    return on_terminal("scope", "motor", *arguments, size=(HEIGHT, WIDTH), TERM="xterm")


def frame(terminal: pexpect.spawn[str], status: str) -> list[str]:
    """The lines of the next whole picture with this in its last line."""
    while True:
        terminal.expect("t arms")
        assert terminal.before is not None
        text = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", terminal.before)
        lines = text.replace("\r", "").split("\n")[-HEIGHT:]
        if status in lines[-1]:
            return lines


@pytest.mark.promise(
    "scope: The scope draws around its edge and restores the terminal however it ends"
)
def test_scope_draws_a_field_around_its_edge(control: Control) -> None:
    # First, since to fork with a thread is asking for trouble.
    terminal = scope("speed", "--level", "5", "--width", "100", "--pre", "50%")
    with sawtooth():
        assert terminal.isatty()
        terminal.expect_exact("\x1b[?1049h")
        lines = frame(terminal, "triggered")
        terminal.sendcontrol("c")
        terminal.expect_exact("\x1b[?1049l")
        terminal.expect(pexpect.EOF)
        assert leave(terminal) == 130
    print("\n".join(lines))
    assert "motor speed" in lines[0]
    assert lines[-2].strip() == "ms"
    assert "lost 0" in lines[-1]
    # A picture: the curve in braille, the edge in the middle, the level in half height.
    body = [line for line in lines if "│" in line or "┤" in line]
    assert sum("\u2800" < mark < "\u28ff" for line in body for mark in line) > 30
    labels = [float(label) for line in body if (label := re.split("[│┤├]", line)[0].strip())]
    assert max(labels) > 7
    assert min(labels) < 3
    times = [float(text) for text in lines[-3].split()]
    assert times[0] < 0 < times[-1]
    assert math.isclose(-times[0], times[-1], rel_tol=0.2)


def test_scope_has_keys_to_hold_to_arm_and_to_leave(control: Control) -> None:
    arguments = "--level -50 --edge falling --mode single --width 20 --pre 5"
    terminal = scope("axes[1]", *arguments.split())
    with sawtooth():
        frame(terminal, "single stopped  sweeps 1")
        terminal.send("t")
        frame(terminal, "single stopped  sweeps 2")
        terminal.send(" ")
        frame(terminal, "held")
        terminal.send(" t")
        lines = frame(terminal, "stopped  sweeps 3")
        assert "motor axes[1]" in lines[0]
        terminal.send("q")
        terminal.expect(pexpect.EOF)
        assert leave(terminal) == 0


@pytest.mark.promise(
    "scope: The scope draws around its edge and restores the terminal however it ends"
)
@pytest.mark.parametrize(("number", "status"), [(signal.SIGTERM, 143), (0, 0)])
def test_scope_gives_the_terminal_back_however_it_ends(
    control: Control, number: int, status: int
) -> None:
    """By a signal, and with the region."""
    terminal = scope("lateness_ns", "--width", "10")
    modes = termios.tcgetattr(terminal.child_fd)
    terminal.expect_exact("\x1b[?1049h")
    frame(terminal, "no edge")
    assert termios.tcgetattr(terminal.child_fd) != modes
    if number:
        terminal.kill(number)
    else:
        control.delete("motor")
    terminal.expect_exact("\x1b[?1049l")
    if not number:
        terminal.expect_exact("the region was deleted")
    terminal.expect(pexpect.EOF)
    assert "Traceback" not in (terminal.before or "")
    assert termios.tcgetattr(terminal.child_fd) == modes
    assert leave(terminal) == status


@pytest.mark.promise("scope: A sweep of several regions is saved and loaded again")
def test_sweep_of_two_regions_is_saved_and_shown_again(control: Control, tmp_path: Path) -> None:
    control.create("axis2", period=MS * 3, history=2000, record_bytes=16, layout="at:f64")
    file = tmp_path / "sweep.csv"
    arguments = f"--with axis2 --level 5 --width 40 --mode normal --save {file}"
    terminal = scope("motor.speed", "axis2.at", *arguments.split())
    with sawtooth():
        frame(terminal, "triggered")
        terminal.send("s")
        lines = frame(terminal, "saved sweep.csv")
        assert "motor, axis2 motor.speed, axis2.at" in lines[0]
        terminal.send("q")
        terminal.expect(pexpect.EOF)
        assert leave(terminal) == 0
    run = rtshm.load(file)
    motor, axis = run["motor"], run["axis2"]
    assert (len(motor.array), motor.conditions.ended) == (40, "a sweep")
    (at,) = (motor.array["tick"] == motor.conditions.edge_tick).nonzero()[0]
    assert motor.array["speed"][at - 1] < 5 <= motor.array["speed"][at]
    begin, end = motor.array["time_ns"][[0, -1]]
    assert len(axis.array) > 40
    assert ((axis.array["time_ns"] >= begin) & (axis.array["time_ns"] <= end)).all()
    shown = on_terminal("scope", str(file), size=(HEIGHT, WIDTH), TERM="xterm")
    shown.expect("sweep 1 of 1")
    shown.send("q")
    shown.expect(pexpect.EOF)
    assert leave(shown) == 0


def test_scope_refuses_what_it_cannot_draw(control: Control) -> None:
    refused = run("scope", "motor")
    assert refused.returncode == 2
    assert "scope needs a terminal" in refused.stderr
    terminal = scope("sped")
    terminal.expect("there is no field sped to draw; there are tick,")
    terminal.expect(pexpect.EOF)
    assert leave(terminal) == 2
