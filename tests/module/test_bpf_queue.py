"""A queue of values, one in each tick: rtshm.Queue and client/rtshm/tasks/queue.bpf.c."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import threading
from typing import TYPE_CHECKING, Any

import numpy
import pytest
import rtshm
from rtshm.queued import DEPTH

from tests.lib import command
from tests.lib.module import PATIENCE
from tests.lib.waiting import wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.lib.fixtures import Load

pytestmark = [pytest.mark.same_on_rt, pytest.mark.stock, pytest.mark.needs("bpf")]

LAYOUT = "setpoint:i32 small:i8 wide:f64 gain:q16 on:bool axes:i16[2]"
PERIOD_NS = 1_000_000


@pytest.fixture
def control(load: Load) -> Iterator[rtshm.Control]:
    """A region `r` that records."""
    load(print=0, period_ns=3_600_000_000_000, history_max=1 << 20)
    with rtshm.Control() as control:
        control.create("r", period=PERIOD_NS, layout=LAYOUT, history=1 << 17)
        try:
            yield control
        finally:
            if any(region.name == "r" for region in control.list()):
                control.delete("r")


def history() -> Any:
    with rtshm.Samples("r", oldest=True) as samples:
        return samples.read_array(1 << 17, wait=False)


@pytest.mark.promise("queues: Each tick has the next value")
def test_each_tick_has_the_next_value(control: rtshm.Control) -> None:
    values = [(7919 * n) % 100_003 - 50_000 for n in range(3_000)]
    control.set("r", period=100_000)
    with rtshm.Queue("r", "setpoint") as queue:
        queue.put(values)
        queue.drain(timeout=60)
        counts = queue.counts
    assert counts.taken == len(values)
    setpoints = history()["setpoint"].tolist()
    if not counts.underruns:
        begin = setpoints.index(values[0])
        assert setpoints[begin : begin + len(values)] == values
        assert set(setpoints[begin + len(values) :]) == {values[-1]}


@pytest.mark.promise("queues: Underruns are the ticks without a value between two values")
def test_underruns_are_the_ticks_without_a_value_between_two_values(
    control: rtshm.Control,
) -> None:
    with rtshm.Queue("r", "setpoint") as queue:
        ticks = queue.info.ticks
        wait_until(lambda: queue.info.ticks > ticks + 5, "ticks before the first value")
        assert queue.counts == (0, 0, 0)
        for value in range(1, 41):
            queue.put([value])
            if not value % 8:
                queue.drain(timeout=60)
                wait_until(lambda: queue.counts.empty > 5, "ticks without a value")
        counts = queue.counts
    setpoints = history()["setpoint"]
    first, last = (int(numpy.flatnonzero(setpoints == value)[0]) for value in (1, 40))
    assert counts.taken == 40
    assert counts.underruns == (last - first + 1) - 40
    assert counts.underruns >= 4 * 6
    assert (numpy.unique(setpoints) == range(41)).all()


def test_numbers_of_every_kind_are_put_and_others_refused(control: rtshm.Control) -> None:
    with rtshm.open("r") as region:
        for field, value in (("small", -7), ("wide", -0.1), ("gain", 1.5), ("on", True)):
            region.write({**region.read(), "axes": [1, 2], "setpoint": 9})
            with rtshm.Queue(region, field) as queue:
                queue.put([value])
                queue.drain(timeout=60)
            assert region.read()[field] == value
            assert (region.read()["axes"], region.read()["setpoint"]) == ([1, 2], 9)
        for field in ("axes", "missing"):
            words = f"'{field}' is not a field with one number; there are: setpoint, small, wide"
            with pytest.raises(rtshm.LayoutError, match=words):
                rtshm.Queue(region, field)
        with rtshm.Queue(region, "small") as queue:
            with pytest.raises(OverflowError, match="small: 128 does not fit i8"):
                queue.put([1, 128])
            queue.drain(timeout=60)
            assert (queue.counts.taken, region.read()["small"]) == (1, 1)


def test_writer_waits_while_the_queue_is_full_and_learns_that_the_region_goes(
    control: rtshm.Control,
) -> None:
    # Only a kick takes a value, however slow the writer is.
    control.create("kicked", period="none", layout="setpoint:i32")
    with rtshm.open("kicked") as region, rtshm.Queue(region, "setpoint") as queue:
        queue.put(range(DEPTH - 2))
        with pytest.raises(TimeoutError, match="full with 65536 values; 2 were put, "):
            queue.put(range(DEPTH - 2, DEPTH + 3), timeout="10ms")
        writer = threading.Thread(target=queue.put, args=([DEPTH],))
        writer.start()
        writer.join(0.2)
        assert writer.is_alive()
        region.kick()
        writer.join(PATIENCE)
        assert not writer.is_alive()
        assert queue.counts.taken == 1
        with pytest.raises(TimeoutError, match="there are values in it"):
            queue.drain(timeout=0.1)
        control.delete("kicked")
        with pytest.raises(OSError, match="kicked: "):
            queue.put([0])
        with pytest.raises(OSError, match="kicked: "):
            queue.drain()


def test_command_takes_a_file_and_a_pipe(control: rtshm.Control, tmp_path: Path) -> None:
    control.set("r", period=100_000)
    path = tmp_path / "values"
    path.write_text("0.25\n\n-3\n" + "1.5\n" * 500)
    done = command.run("queue", "r", "gain", str(path))
    assert done.returncode == 0
    assert re.fullmatch(r"rtshm: r: gain: 502 values, \d+ underruns\n", done.stderr)
    assert command.done("get", "r", "gain") == "gain 1.5\n"
    assert {0.0, 0.25, -3.0, 1.5} == {*history()["gain"].tolist()}
    piped = subprocess.run(
        ["rtshm", "queue", "r", "gain"], input="2\n", stderr=subprocess.PIPE, text=True, check=True
    )
    assert piped.stderr.startswith("rtshm: r: gain: 1 values, 0 underruns")
    assert command.done("get", "r", "gain") == "gain 2.0\n"
    path.write_text("1\n2\n40000\n")
    refused = command.run("queue", "r", "gain", str(path))
    assert refused.returncode == 1
    assert f"{path}:3: gain: 40000.0 does not fit q16" in refused.stderr
    assert control.get("r").tasks == ()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_command_that_waits_for_a_pipe_ends_by_a_signal(
    control: rtshm.Control, number: signal.Signals
) -> None:
    feeding = command.begun("queue", "r", "setpoint", stdin=subprocess.PIPE, stderr=subprocess.PIPE)
    assert feeding.stdin
    assert feeding.stderr
    feeding.stdin.write("5\n")
    feeding.stdin.flush()
    wait_until(lambda: "setpoint 5" in command.done("get", "r", "setpoint"), "the value")
    os.kill(feeding.pid, number)
    assert feeding.stderr.read().endswith(" underruns; interrupted\n")
    assert feeding.wait() == 0
    assert control.get("r").tasks == ()
    feeding.stdin.close()
