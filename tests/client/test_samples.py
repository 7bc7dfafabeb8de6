"""Samples in Python: iterated, awaited, and as arrays."""

from __future__ import annotations

import asyncio
import errno
import os
from datetime import timedelta
from itertools import pairwise

import numpy
import pytest
import rtshm
from rtshm import Control, Sample, Samples

from tests.lib import first
from tests.lib.module import PATIENCE
from tests.lib.samples import rest
from tests.lib.waiting import when_polling

HOUR = timedelta(hours=1)
MS = timedelta(milliseconds=1)


def test_iteration_gives_the_ticks_and_ends_with_the_region(control: Control) -> None:
    control.create("a", period=MS, history=1000)
    seen: list[Sample] = []
    with Samples("a") as samples:
        for sample in samples:
            seen.append(sample)
            if len(seen) == 100:
                control.delete("a")
    assert len(seen) >= 100
    assert all(after.tick == before.tick + 1 for before, after in pairwise(seen))
    assert samples.lost == 0


def test_awaited_iteration_gives_the_same(control: Control) -> None:
    control.create("a", period=MS, history=1000)

    async def main() -> tuple[list[Sample], int]:
        seen: list[Sample] = []
        beside = 0
        with Samples("a", watermark=10) as samples:
            async for sample in samples:
                seen.append(sample)
                if len(seen) == 100:
                    control.delete("a")
                await asyncio.sleep(0)
                beside += 1
        return seen, beside

    seen, beside = asyncio.run(asyncio.wait_for(main(), PATIENCE))
    assert all(after.tick == before.tick + 1 for before, after in pairwise(seen))
    assert beside == len(seen) >= 100


def test_published_values_are_in_the_samples_that_took_them(control: Control) -> None:
    control.create("a", period=MS, history=1000)
    with Samples("a") as samples, rtshm.open("a") as region:
        for value in range(-5, 5):
            region.publish(value)
            region.wait_taken(PATIENCE)
        control.delete("a")
        taken = [sample.some_int for sample in samples if sample.announced]
    assert taken == list(range(-5, 5))


@pytest.mark.promise("history: An array has the fields of the layout that are recorded whole")
def test_array_has_the_fields_of_the_layout(control: Control) -> None:
    text = "speed:f64 gain:f32 mode:u8{off=0,on=1} _:x3 axes:i32[2]"
    control.create("a", period=MS, history=1000, record_bytes=32, layout=text)
    with Samples("a") as samples, rtshm.open("a") as region:
        region.write({"speed": 2.5, "gain": 0.5, "mode": "on", "axes": [3, -4]})
        region.publish(7)
        region.wait_taken(PATIENCE)
        array = samples.read_array(1000)
    assert array.dtype.names == (
        "tick", "time_ns", "lateness_ns", "flags", "missed", "some_int", "ready",
        "speed", "gain", "mode", "axes",
    )  # fmt: skip
    (row,) = array[array["flags"] == 1]
    assert (row["some_int"], row["ready"]) == (7, 1)
    assert (row["speed"], row["gain"], row["mode"], list(row["axes"])) == (2.5, 0.5, 1, [3, -4])
    assert (numpy.diff(array["tick"]) == 1).all()
    due = array["time_ns"] - array["lateness_ns"]
    assert (numpy.diff(due) == 1_000_000 * (1 + array["missed"][1:])).all()


def test_array_has_the_fields_that_are_recorded_whole(control: Control) -> None:
    control.create("a", history=10, record_bytes=24, layout="a:u64 b:u32 c:u32 d:u8[8]")
    with Samples("a", oldest=True) as samples:
        assert samples.dtype.names is not None
        assert samples.dtype.names[7:] == ("a", "b", "c")
        assert samples.dtype.itemsize == samples.sample_bytes == 56


def test_field_with_the_name_of_a_header_field_has_another(control: Control) -> None:
    control.create("a", history=10, record_bytes=16, layout="tick:u64")
    with Samples("a") as samples:
        assert samples.dtype.names is not None
        assert samples.dtype.names[-1] == "tick_"


def test_reader_may_begin_with_the_oldest(control: Control) -> None:
    control.create("a", period=MS, history=20)
    first.tick("a", 30)
    rest(control)
    with Samples("a", oldest=True) as samples:
        array = samples.read_array(100)
    assert len(array) == 20
    assert array["tick"][-1] == control.get("a").counters.ticks


def test_watermark_is_waited_for(control: Control) -> None:
    control.create("a", period=MS, history=1000)
    with Samples("a", watermark=200) as samples:
        for _ in range(3):
            assert len(samples.read_array(1000)) >= 200
    with Samples("a", watermark=500, wait=timedelta(milliseconds=50)) as samples:
        assert 0 < len(samples.read_array(1000)) < 500
    with pytest.raises(OSError) as refused:
        Samples("a", watermark=501)
    assert refused.value.errno == errno.ERANGE


def test_array_without_waiting_is_what_is_there(control: Control) -> None:
    control.create("a", period=MS, history=1000)
    with Samples("a", watermark=500) as samples:
        first.tick("a", control.get("a").counters.ticks + 20)
        rest(control)
        # Fewer than the watermark, and then none.
        assert len(samples.read_array(1000, wait=False)) > 0
        assert len(samples.read_array(1000, wait=False)) == 0
        assert samples.lost == 0


def test_region_without_a_history_says_so(control: Control) -> None:
    with pytest.raises(rtshm.RegionNotFoundError) as refused:
        Samples("default")
    assert refused.value.remedy == "the region records nothing: rtshm set default --history 10000"
    with pytest.raises(rtshm.RegionNotFoundError) as refused:
        Samples("absent")
    assert refused.value.remedy == "no such region; /dev/rtshm has: default"


def test_samples_are_no_region(control: Control) -> None:
    control.create("a", history=10)
    with pytest.raises(OSError) as refused:
        rtshm.open("/dev/rtshm/a.samples", readonly=True)
    assert refused.value.errno == errno.ENODEV


def test_close_twice_and_use_after_close(control: Control) -> None:
    control.create("a", history=10)
    samples = Samples("a")
    fd = samples.fileno()
    samples.close()
    samples.close()
    with pytest.raises(OSError):
        os.fstat(fd)
    with pytest.raises(rtshm.ClosedError):
        next(samples)


def test_delete_ends_the_waiting(control: Control) -> None:
    control.create("a", period=HOUR, history=10)
    first.tick("a")
    with Samples("a") as samples, when_polling(lambda: control.delete("a")):
        assert list(samples) == []
        assert len(samples.read_array(5)) == 0
