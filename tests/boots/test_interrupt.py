"""Control-C in a run of tests that have a machine: it ends, and its workers end it in order."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
from pathlib import Path

from tests.lib.payload import CHECKOUT
from tests.lib.waiting import wait_until
from vm.host import qemu

# pytest-xdist sends a worker SIGINT after 5 s, and kills it after 10 s.
SOURCE = """
import pathlib
import time

from tests.lib import payload


def test_machine():
    try:
        payload.run("sleep 600", warm=True)
    finally:
        time.sleep(12)
        pathlib.Path(__file__).with_name("cleared").touch()
"""


def processes(mark: bytes) -> dict[Path, bytes]:
    """The command lines of processes that have `mark` in their environment."""
    found = {}
    for process in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            if mark in (process / "environ").read_bytes():
                found[process] = (process / "cmdline").read_bytes()
    return found


def test_control_c_ends_the_machines_of_workers_that_clear_away_to_the_end(tmp_path: Path) -> None:
    file = tmp_path / "test_one.py"
    file.write_text(SOURCE)
    mark = f"STARTED_BY={tmp_path}".encode()
    pytest_ = [sys.executable, "-m", "pytest", "-p", "tests.lib.schedule", "-n", "1"]
    process = subprocess.Popen(
        ["env", "--block-signal=INT", mark, *pytest_, "-p", "no:cacheprovider", str(file)],
        cwd=CHECKOUT,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
        # In the background of a shell without job control SIGINT is ignored.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )
    with process:
        try:
            machine = qemu.QEMU.encode()
            wait_until(lambda: machine in b"".join(processes(mark).values()), "a machine", 120)
            # A person presses it more than once.
            for _ in range(3):
                os.killpg(process.pid, signal.SIGINT)
            assert process.stdout is not None
            output = process.stdout.read()
            process.wait()
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
    assert process.returncode == 2, output
    assert output.count("KeyboardInterrupt !!") == 1
    assert "Traceback" not in output
    assert (tmp_path / "cleared").exists()
    assert processes(mark) == {}
