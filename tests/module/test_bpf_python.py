"""A BPF program that Python makes, as a task: client/examples/follow.py, by ebpfcat."""

from __future__ import annotations

import importlib.util
from typing import TYPE_CHECKING, Any

import numpy
import pytest
import rtshm

from tests.lib import module

if TYPE_CHECKING:
    from tests.lib.fixtures import Load

pytestmark = [pytest.mark.stock, pytest.mark.needs("bpf"), pytest.mark.needs("ebpfcat")]

EXAMPLE = module.CHECKOUT / "client/examples/follow.py"


@pytest.mark.promise("BPF: A controller that is a Python class runs in each tick")
def test_controller_that_is_a_python_class_runs_in_each_tick(load: Load) -> None:
    """Without a compiler. Its variables are read and set while it runs."""
    spec = importlib.util.spec_from_file_location("follow", EXAMPLE)
    assert spec
    assert spec.loader
    example: Any = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(example)
    load(print=0, period_ns=3_600_000_000_000)
    layout = "setpoint:i32 output:i32"
    with (
        rtshm.Control() as control,
        rtshm.create("motor", layout, period="1ms", history=4096) as motor,
    ):
        follow = example.Follow(motor.layout)
        with rtshm.Task(motor, follow, name="follow") as task, motor.samples() as samples:
            # The task holds the program.
            follow.close()
            motor.update(setpoint=-100_000)
            assert (samples.read_array(20)["output"] == 0).all()
            # As in docs/bpf.md: a sixteenth of the distance in each tick.
            follow.gain = example.ONE // 16
            seen = [samples.read_array(100)]
            while seen[-1]["output"][-1] > -99_000:
                seen.append(samples.read_array(100))
            output = numpy.concatenate(seen)["output"].tolist()
            assert 20 < follow.ticks <= task.info.ticks
            assert 10 < (task.info.insns_max or 0) < 100
            assert task.info.record_bytes == 8
        assert control.get("motor").tasks == ()
    begin = output.index(-100_000 // 16)
    for before, after in zip(output[begin:], output[begin + 1 :], strict=False):
        assert after == before + (-100_000 - before) * (example.ONE // 16) // example.ONE
