"""A region without the module: what the library does on it, as on one of the kernel's."""

from __future__ import annotations

import asyncio
import gc
import os
import pickle
import select
import subprocess
import sys
import threading
from typing import TYPE_CHECKING, Any

import pytest
import rtshm
import rtshm.testing

from tests.lib import child
from tests.lib.waiting import wait_until

if TYPE_CHECKING:
    from collections.abc import Callable

PATIENCE = 20


@rtshm.struct
class Motor:
    speed: rtshm.f64
    target: rtshm.f64


def chase(view: Any) -> None:
    view.speed += (view.target - view.speed) / 2


def test_tick_by_hand_takes_the_announcement_and_runs_the_task() -> None:
    with rtshm.testing.region(Motor, task=chase, history=8, ticking=False) as motor:
        assert isinstance(motor, rtshm.Region)
        assert motor.layout.text == "speed:f64 target:f64"
        motor.publish(41)
        assert motor.update(target=8.0, announce=True) == 42
        assert motor.ready
        with motor.samples() as samples:
            motor.tick(3)
            array = samples.read_array(wait=False)
        assert array["speed"].tolist() == [4.0, 6.0, 7.0]
        assert array["flags"].tolist() == [1, 0, 0]
        assert array["some_int"].tolist() == [42, 42, 42]
        assert (array["time_ns"][1:] - array["time_ns"][:-1]).tolist() == [10**6] * 2
        assert motor.read() == Motor(7.0, 8.0)
        assert (motor.ready, motor.info.counters.published, motor.info.counters.ticks) == (
            *(False, 1),
            3,
        )


def test_region_without_a_period_ticks_when_it_is_kicked() -> None:
    with rtshm.testing.region("speed:f64", period="none", history=8) as motor:
        with motor.samples() as samples:
            motor.publish(42)
            motor.kick()
            assert next(samples).some_int == 42
        assert motor.info.counters.ticks == 1
        motor.delete()
        with pytest.raises(rtshm.RegionDeletedError):
            motor.kick()
    with (
        rtshm.testing.region(ticking=False) as motor,
        pytest.raises(OSError, match='make one with the period "none"'),
    ):
        motor.kick()


def test_thread_ticks_and_wakes_those_who_wait() -> None:
    async def use(motor: rtshm.Region[Motor], samples: rtshm.Samples) -> None:
        motor.publish(2)
        await motor.taken(PATIENCE)
        assert (await samples.read_async(PATIENCE)) is not None

    with rtshm.testing.region(Motor, history=1000) as motor, motor.samples() as samples:
        for value in range(50):
            motor.publish(value)
            motor.wait_taken(PATIENCE)
            assert not motor.ready
        ticks = [next(samples).tick for _ in range(20)]
        assert ticks == [*range(ticks[0], ticks[0] + 20)]
        asyncio.run(use(motor, samples))
        counters = motor.info.counters
        assert counters.published == 51
        assert sum(counters.lateness_histogram) == counters.ticks
        assert counters.lateness_min_ns <= counters.lateness_mean_ns <= counters.lateness_max_ns


def test_descriptors_say_to_poll_what_those_of_the_module_do() -> None:
    with rtshm.testing.region(Motor, history=8, ticking=False) as motor:
        samples = motor.samples(watermark=2)

        def found() -> tuple[bool, bool]:
            readable, writable, _ = select.select([samples], [motor], [], 0)
            return bool(writable), bool(readable)

        assert found() == (True, False)
        motor.publish(1)
        assert found() == (False, False)
        with pytest.raises(TimeoutError, match="no tick took the value"):
            motor.wait_taken(0.01)
        motor.tick()
        assert found() == (True, False)
        motor.tick()
        assert found() == (True, True)
        assert len(samples.read_array()) == 2
        assert found() == (True, False)
        motor.ready = True
        motor.ready = False
        motor.wait_taken(0)
        motor.publish(1)
        motor.delete()
        assert motor.deleted
        with pytest.raises(rtshm.RegionDeletedError):
            motor.wait_taken(PATIENCE)
        with pytest.raises(rtshm.RegionDeletedError):
            motor.info  # noqa: B018
        assert samples.read() is None
        samples.close()


def test_slow_reader_loses_the_oldest_and_counts_them() -> None:
    with rtshm.testing.region("n:u64", history=4, ticking=False) as region:
        with region.samples() as samples, region.samples(oldest=True) as other:
            region.tick(2)
            assert next(samples).tick == 1
            region.tick(8)
            assert (next(samples).tick, samples.lost) == (2, 0)
            assert samples.read_array()["tick"].tolist() == [7, 8, 9, 10]
            assert samples.lost == 4
            # Before its first sample nothing counts.
            assert (next(other).tick, other.lost) == (7, 0)
        with region.samples(oldest=True) as samples:
            region.delete()
            assert [sample.tick for sample in samples] == [7, 8, 9, 10]


def test_refusals_are_those_of_the_library() -> None:
    with rtshm.testing.region(history=8) as region:
        refused: list[tuple[type[Exception], Callable[[], object]]] = [
            (rtshm.RefusedError, lambda: region.samples(watermark=5)),
            (ValueError, lambda: region.samples(watermark=0)),
            (rtshm.LayoutError, lambda: region.read()),
            (OverflowError, lambda: region.publish(2**31)),
            (TypeError, lambda: pickle.dumps(region)),
            (RuntimeError, lambda: region.tick()),
            (ValueError, lambda: rtshm.testing.region(size=5)),
        ]
        for error, call in refused:
            with pytest.raises(error):
                call()
    with rtshm.testing.region() as region, pytest.raises(rtshm.RegionNotFoundError):
        region.samples()
    with pytest.raises(rtshm.ClosedError):
        region.publish(1)


def test_create_and_the_test_region_refuse_by_the_same_error() -> None:
    with pytest.raises(rtshm.LayoutError, match="test: the layout has 8000 bytes, and the region"):
        rtshm.testing.region("a:f64[1000]")
    with pytest.raises(TypeError, match="period: 1 has no unit"):
        rtshm.testing.region(period=1)  # type: ignore[arg-type]


def test_deleted_region_has_no_info_and_no_other_samples() -> None:
    with rtshm.testing.region(Motor, history=8, ticking=False) as motor:
        with motor.samples() as samples:
            motor.delete()
            for kept in (motor, samples):
                with pytest.raises(rtshm.RegionDeletedError, match="the region was deleted"):
                    _ = kept.info
            with pytest.raises(rtshm.RegionNotFoundError):
                motor.samples()
        with pytest.raises(rtshm.ClosedError):
            _ = samples.info


def test_task_that_raises_deletes_the_region() -> None:
    class Broken(Exception):
        pass

    def broken(view: Any) -> None:
        raise Broken

    with rtshm.testing.region(Motor, task=broken, ticking=False) as motor:
        with pytest.raises(Broken):
            motor.tick()
    said: list[Any] = []
    hook, threading.excepthook = threading.excepthook, said.append
    try:
        with rtshm.testing.region(Motor, task=broken, history=2) as motor:
            wait_until(lambda: motor.deleted, "the deletion")
    finally:
        threading.excepthook = hook
    assert [each.exc_type for each in said] == [Broken]


def test_nothing_is_left_of_a_region_that_is_closed_or_forgotten() -> None:
    gc.collect()
    before = {*os.listdir("/proc/self/fd")}
    threads = {*threading.enumerate()}
    with rtshm.testing.region(Motor, history=8) as motor:
        motor.samples().close()
    with pytest.warns(ResourceWarning, match="unclosed <rtshm.testing.LocalRegion test>"):
        rtshm.testing.region(Motor)
        gc.collect()
    for thread in {*threading.enumerate()} - threads:
        thread.join(PATIENCE)
    del motor
    gc.collect()
    assert {*os.listdir("/proc/self/fd")} == before


def test_forked_child_has_it_closed() -> None:
    with rtshm.testing.region(Motor) as motor:

        def look() -> None:
            assert motor.closed

        assert child.status_of(look) == 0
        motor.publish(1)
        motor.wait_taken(PATIENCE)


SUBINTERPRETER = """
import sys
if sys.version_info >= (3, 13):
    import _interpreters
    made = _interpreters.create()
else:
    import _xxsubinterpreters as _interpreters
    made = _interpreters.create(isolated=False)     # 3.12 loads no ctypes in an isolated one
failed = _interpreters.run_string(made, '''
import rtshm.testing
with rtshm.testing.region("n:u64", history=8, ticking=False) as region, region.samples() as samples:
    region.update(n=7, announce=True)
    region.tick()
    assert next(samples)["n"] == 7 and not region.ready
''')
_interpreters.destroy(made)
sys.exit(failed and failed.formatted)
"""


def test_subinterpreter_has_regions_too() -> None:
    subprocess.run([sys.executable, "-c", SUBINTERPRETER], check=True)
