"""One object a region: made, declared by a class, with its samples, its settings and its end."""

from __future__ import annotations

import asyncio
import errno
import gc
import subprocess
import sys
from datetime import timedelta
from typing import Any

import numpy
import pytest
import rtshm
from rtshm import Control, Samples, paths

from tests.lib import child, first, module
from tests.lib.command import run
from tests.lib.module import PATIENCE
from tests.lib.motor import MOTOR, TEXT, Mode, Motor

NEVER = timedelta(hours=1)


RECORD = Motor(1.5, 0.25, Mode.ON, [1, -2, 3])


def test_class_is_made_into_a_region_and_back(control: Control) -> None:
    with rtshm.create("motor", Motor, period="1h", history=10) as motor:
        assert motor.layout.text == control.get("motor").layout == TEXT
        motor.write(RECORD)
        assert motor.read() == RECORD
        assert motor.update(gain=0.5, announce=True) == motor.some_int == 1
        assert (motor.read().gain, motor.ready) == (0.5, True)
        motor.view.speed = 3.0
        motor.view.axes[1] = 7
        assert motor.array["speed"] == 3.0
        motor.array["axes"][2] = 9
        assert motor.view.axes == [1, 7, 9]
        assert motor.view.mode is Mode.ON
        info = motor.info
        assert (info.name, info.id, info.history) == (motor.name, motor.id, 10)
        # The word, and all of the layout.
        assert info.record_bytes == 8 + 32
        assert info.period == NEVER
        assert not motor.deleted
        control.delete("motor")
        assert motor.deleted
        with pytest.raises(rtshm.RegionDeletedError):
            _ = motor.info


def test_region_of_the_name_is_opened_if_that_is_ok(control: Control) -> None:
    with rtshm.create("motor", Motor, period="1h") as motor:
        motor.write(RECORD)
        with pytest.raises(rtshm.RegionExistsError) as refused:
            rtshm.create("motor", Motor)
        assert refused.value.errno == errno.EEXIST
        with rtshm.create("motor", Motor, period="1s", exist_ok=True) as same:
            assert (same.id, same.read(), same.info.period) == (motor.id, RECORD, NEVER)
        with pytest.raises(rtshm.LayoutError, match="differs from the one stored"):
            rtshm.create("motor", "speed:f32", exist_ok=True)
    with pytest.raises(TypeError, match="period: 1 has no unit"):
        rtshm.create("other", Motor, period=1)  # type: ignore[arg-type]
    assert len(control.list()) == 2


@pytest.mark.parametrize("declared", [Motor, MOTOR, TEXT, rtshm.Layout(Motor)])
def test_layout_is_taken_in_any_way(control: Control, declared: Any) -> None:
    rtshm.create("motor", declared).close()
    with rtshm.open("motor", declared) as motor:
        assert motor.layout.text == TEXT


def test_samples_have_the_fields_by_name(control: Control) -> None:
    with rtshm.create("motor", Motor, period="2ms", history=1000) as motor:
        motor.write(RECORD)
        with motor.samples() as samples:
            sample = next(samples)
            assert sample.fields == vars(RECORD)
            assert sample["axes"] == [1, -2, 3]
            assert samples.read(timeout="10s") is not None
            array = samples.read_array(5, timeout=timedelta(seconds=10))
        assert (array["speed"] == 1.5).all()
        assert numpy.diff(array["tick"]).tolist() == [1] * (len(array) - 1)


def test_samples_of_what_is_not_recorded_whole_are_left_out(control: Control) -> None:
    control.create("a", period="2ms", history=10, record_bytes=16, layout="a:u32 b:u32 c:u64")
    with rtshm.open("a") as region, region.samples() as samples:
        assert next(samples).fields == {"a": 0, "b": 0}


def test_many_tasks_await_the_taking_of_a_value(control: Control) -> None:
    async def main(region: rtshm.Region) -> None:
        first.tick("motor")
        region.publish(3)
        tasks = [asyncio.ensure_future(region.taken(timeout=PATIENCE)) for _ in range(3)]
        with pytest.raises(TimeoutError, match="no tick took the value within 10ms"):
            await region.taken("10ms")
        assert not any(task.done() for task in tasks)
        control.set("motor", period="10ms")
        await asyncio.wait_for(asyncio.gather(*tasks), PATIENCE)
        assert not region.ready

    with rtshm.create("motor", period="1h") as region:
        asyncio.run(main(region))


def test_deletion_ends_the_awaiting(control: Control) -> None:
    async def main(region: rtshm.Region) -> None:
        first.tick("motor")
        region.publish(3)
        task = asyncio.ensure_future(region.taken())
        await asyncio.sleep(0.05)
        control.delete("motor")
        with pytest.raises(rtshm.RegionDeletedError, match="no tick will take the value"):
            await asyncio.wait_for(task, PATIENCE)

    with rtshm.create("motor", period="1h") as region:
        asyncio.run(main(region))


@pytest.mark.promise("history: A reader in a loop lets other asyncio tasks keep their time")
def test_heartbeat_keeps_its_time_during_reads_of_a_fast_region(control: Control) -> None:
    async def main() -> tuple[int, int]:
        beats = read = 0

        async def beat() -> None:
            nonlocal beats
            while True:
                await asyncio.sleep(0.01)
                beats += 1

        beating = asyncio.ensure_future(beat())
        with Samples("motor") as samples:
            until = asyncio.get_running_loop().time() + 3
            async for _ in samples:
                read += 1
                if asyncio.get_running_loop().time() > until:
                    break
        beating.cancel()
        return beats, read

    control.create("motor", period="500us", history=20000)
    beats, read = asyncio.run(main())
    assert read > 500
    # Of 300; the machine is emulated.
    assert beats > 50


@pytest.mark.promise("containers: Fields and history work in a network namespace without netlink")
def test_network_namespace_of_its_own_has_fields_and_history(control: Control) -> None:
    """As in a container that has the nodes: what data needs comes with the descriptor."""
    control.create("motor", layout=TEXT, period="2ms", history=100)

    def use() -> None:
        module.unshare(module.CLONE_NEWNET)
        with rtshm.open("motor", Motor) as motor, Samples("/dev/rtshm/motor") as samples:
            motor.write(RECORD)
            while next(samples).fields != vars(RECORD):
                pass
            assert samples.dtype.names is not None
            assert samples.dtype.names[-1] == "tag"
        with pytest.raises(rtshm.ModuleNotLoadedError, match="initial network namespace"):
            Control()
        assert run("get", "motor", "axes[1]", in_fork=True).stdout == "axes[1] -2\n"
        put = run("put", "motor", "axes[1]=5", "speed=.5", in_fork=True)
        assert (put.returncode, put.stdout, put.stderr) == (0, "", "")
        assert "struct region_motor {" in run("header", "motor", in_fork=True).stdout

    assert child.status_of(use) == 0


def test_without_sysfs_a_region_is_opened_and_no_other_device(control: Control) -> None:
    """As in a jail."""
    control.create("motor", layout=TEXT, period="2ms")

    def use() -> None:
        module.unshare(module.CLONE_NEWNS)
        for command in ("mount --make-rprivate /", "umount --lazy /sys"):
            subprocess.run(command.split(), check=True)
        assert not paths.MODULE.parent.exists()
        with rtshm.open("motor", Motor) as motor:
            motor.write(RECORD)
            assert motor.read() == RECORD
        with pytest.raises(OSError, match="this is not a region"):
            rtshm.open("/dev/null")

    assert child.status_of(use) == 0


# Temporary.


def names(control: Control) -> list[str]:
    return [region.name for region in control.list()]


@pytest.mark.promise(
    "regions: A temporary region is deleted with its object and with the interpreter"
)
def test_temporary_region_goes_with_the_object(control: Control) -> None:
    with rtshm.create("scratch", temporary=True) as scratch:
        assert "scratch" in names(control)
        kept = rtshm.open("scratch")
    assert "scratch" not in names(control)
    assert kept.deleted
    kept.close()
    scratch.close()
    with pytest.warns(ResourceWarning, match="unclosed <rtshm.Region /dev/rtshm/scratch>"):
        rtshm.create("scratch", temporary=True)
        gc.collect()
    assert "scratch" not in names(control)


def test_region_of_the_same_name_is_not_deleted_in_its_place(control: Control) -> None:
    with rtshm.create("scratch", temporary=True):
        control.delete("scratch")
        control.create("scratch")
    assert "scratch" in names(control)
    with rtshm.create("scratch", temporary=True, exist_ok=True):
        pass
    assert "scratch" in names(control)
    # What cannot be opened is not left behind.
    control.delete("scratch")
    with pytest.raises(rtshm.LayoutError):
        rtshm.create("scratch", numpy.dtype([("n", ">u8")]), temporary=True)
    assert "scratch" not in names(control)


@pytest.mark.promise(
    "regions: A temporary region is deleted with its object and with the interpreter"
)
@pytest.mark.parametrize(
    ("end", "stays"),
    [("pass", False), ("raise SystemExit(3)", False), ("os.kill(os.getpid(), 9)", True)],
)
def test_temporary_region_goes_with_the_interpreter(
    control: Control, end: str, stays: bool
) -> None:
    code = f"import os, rtshm\nkept = rtshm.create('scratch', temporary=True)\n{end}"
    subprocess.run([sys.executable, "-c", code])
    assert ("scratch" in names(control)) is stays


def test_forked_child_does_not_delete_a_temporary_region(control: Control) -> None:
    with rtshm.create("scratch", temporary=True) as scratch:
        assert child.status_of(scratch.close) == 0
        assert "scratch" in names(control)
