"""kmod/examples/pi and client/examples/pi.py, as `make demo-pi` runs them."""

from __future__ import annotations

import importlib.util
import math
from typing import TYPE_CHECKING, Any

import numpy
import pytest
import rtshm

from tests.lib import module

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import ModuleType

    from tests.lib.fixtures import Load

pytestmark = pytest.mark.same_on_rt

PI = module.CHECKOUT / "kmod/examples/pi/rtshm_pi.ko"
EXAMPLE = module.CHECKOUT / "client/examples/pi.py"
LAYOUT = "setpoint:q16 kp:q16 ki:q16 output:q16 error:q16 drive:q16"


@pytest.fixture
def example(load: Load) -> Iterator[ModuleType]:
    load(print=0, period_ns=3_600_000_000_000)
    spec = importlib.util.spec_from_file_location("pi_example", EXAMPLE)
    assert spec
    assert spec.loader
    loaded = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(loaded)
    with rtshm.Control() as control:
        control.create("pi", period=1_000_000, layout=LAYOUT, history=4096)
        yield loaded


def run(example: Any) -> Any:
    """The samples of a step, from a controller that begins at nought."""
    with rtshm.open("pi") as region:
        region.update(setpoint=0)
    module.insert(PI)
    try:
        return example.step(ticks=600)
    finally:
        module.remove("rtshm_pi")


@pytest.mark.promise("tasks: The PI controller answers a step as theory says, the same in each run")
def test_step_settles_as_theory_has_it_and_every_run_is_the_same(example: Any) -> None:
    runs = [run(example) for _ in range(2)]
    responses = []
    for samples in runs:
        first = int(numpy.flatnonzero(samples["setpoint"])[0])
        seen = samples[first : first + 550]
        responses.append(numpy.array([seen["output"], seen["error"], seen["drive"]]))
        # Each tick is a step of the controller, be the clock late or not.
        ticks = numpy.arange(550)
        theory = 1 - numpy.exp(-ticks * 1e-3 / example.LOOP_TAU_S)
        # One period of delay between the controller and the plant's answer.
        assert abs(seen["output"] - theory).max() < 1e-3 / example.LOOP_TAU_S
        settled = int(numpy.flatnonzero(abs(seen["output"] - 1) > 0.01)[-1])
        assert settled + 1 == pytest.approx(example.LOOP_TAU_S * math.log(100) * 1e3, abs=3)
    assert (responses[0] == responses[1]).all()


def test_largest_numbers_saturate_and_keep_their_sign(example: Any) -> None:
    with rtshm.open("pi") as region:
        most = (2**31 - 1) / 65536
        zero = dict.fromkeys(("output", "error", "drive"), 0)
        region.write({"setpoint": most, "kp": most, "ki": most, **zero})
        module.insert(PI)
        try:
            with rtshm.Samples("pi", watermark=100) as samples:
                # Nine time constants of the plant.
                arrays = [samples.read_array(100) for _ in range(9)]
                seen = numpy.concatenate(arrays)
                assert len(seen) == 900
        finally:
            module.remove("rtshm_pi")
    assert seen["output"].min() >= 0
    assert 99 < seen["output"].max() <= 100
    assert seen["drive"].min() >= 0
    assert seen["drive"].max() <= 100


def test_gains_of_zero_do_not_drive_the_plant(example: Any) -> None:
    """The control: it is the controller that moves the plant."""
    example.KP = example.KI = 0.0
    samples = run(example)
    assert samples["setpoint"].any()
    assert not samples["output"].any()
    assert not samples["drive"].any()
