"""BPF programs in the tick, replaced and killed: some times in tests/module, thousands in
tests/stress."""

from __future__ import annotations

import random
import re
import subprocess
import time
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy
import rtshm
from rtshm import bpf

from tests.lib import module
from tests.lib.child import killed
from tests.lib.programs import compiled
from tests.lib.waiting import wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.lib.fixtures import Load

PROGRAMS = module.CHECKOUT / "tests/module/tasks"
COUNT = PROGRAMS / "count.bpf.o"
MAPS = PROGRAMS / "maps.bpf.o"
LAYOUT = "setpoint:i32 kp:i32 ki:i32 output:i32 error:i32 drive:i32"
PERIOD_NS = 1_000_000
SHORTEST_NS = 100_000
SAFE = -7


@contextmanager
def region(load: Load) -> Iterator[rtshm.Control]:
    """A region `r` that records, with no task in it yet."""
    load(print=0, period_ns=3_600_000_000_000)
    with rtshm.Control() as control:
        create(control)
        try:
            yield control
        finally:
            # A task that a failed test left would hold the module.
            if any(region.name == "r" for region in control.list()):
                control.delete("r")


def create(control: rtshm.Control, **settings: Any) -> None:
    control.create("r", **{"period": PERIOD_NS, "layout": LAYOUT, "history": 4096, **settings})


def programs() -> int:
    """BPF programs of the type of tasks that the kernel has, in whatever use."""
    listed = subprocess.run(["bpftool", "prog"], capture_output=True, text=True, check=True).stdout
    return len(re.findall(r"^\d+: raw_tracepoint_writable ", listed, re.MULTILINE))


def replace(control: rtshm.Control, times: int) -> None:
    """Replace a program, with a tick each 100 us: the programs count the ticks in the record."""
    control.set("r", period=SHORTEST_NS, history=65536)
    with bpf.descriptor(COUNT, "a") as one, bpf.descriptor(COUNT, "b") as other:
        with rtshm.Task("r", one, name="count") as task, rtshm.Samples("r", watermark=1) as samples:
            first = task.info
            for _ in range(times // 2):
                control.replace_task("r", "count", other)
                control.replace_task("r", "count", one)
            seen = samples.read_array(4096)
            # All that there are: the counts and the numbers of the ticks go up together.
            assert (seen["output"] - seen["output"][0] == seen["tick"] - seen["tick"][0]).all()
            last = task.info
            counted = control.get("r").counters.ticks
            assert last.prog_id == first.prog_id
            assert last.ticks > first.ticks
            wait_until(lambda: control.get("r").counters.ticks > counted, "another tick")
            with rtshm.open("r") as region:
                record = region.read()
            # The first tick with the program was number `start`.
            start = int(seen["tick"][0]) - int(seen["output"][0])
            assert record["error"] - record["output"] == start
            # The control: a removal does leave ticks without one.
            task.remove()
            counted = control.get("r").counters.ticks
            wait_until(lambda: control.get("r").counters.ticks > counted + 1, "ticks without it")
            control.add_task("r", "count", one)
            wait_until(lambda: task.info.ticks > 0, "a tick with it")
            with rtshm.open("r") as region:
                record = region.read()
            assert record["error"] - record["output"] > start
    assert programs() == 0


def load_once() -> None:
    # One that was killed may have left its task.
    with suppress(FileExistsError):
        rtshm.Task("r", COUNT)
    task = rtshm.Task.of("r", "count")
    task.replace(MAPS)
    task.remove()


def load_until_killed() -> None:
    while True:
        load_once()


def kill_loaders(control: rtshm.Control, loaders: int) -> None:
    """Kill them while they load, add, replace or remove: each leaves a whole task or none."""
    control.set("r", period=SHORTEST_NS)
    begin = time.monotonic()
    load_once()
    # On a slow machine a loader is given the time to come as far.
    longest = max(0.1, 3 * (time.monotonic() - begin))
    moments = random.Random(1)
    left = []
    for _ in range(loaders):
        with killed(load_until_killed):
            time.sleep(moments.uniform(0, longest))
        # Between the death of a process and the end of its descriptors nothing is promised.
        left += [len(control.get("r").tasks)]
    assert set(left) == {0, 1}
    rtshm.Task.of("r", "count").remove()
    wait_until(lambda: programs() == 0, "the end of all programs")
    counted = control.get("r").counters.ticks
    wait_until(lambda: control.get("r").counters.ticks > counted, "a tick")


def history() -> Any:
    """All samples of `r` that are kept."""
    with rtshm.Samples("r", oldest=True) as samples:
        kept = samples.read_array(1 << 20, wait=False)
        assert len(kept) < samples.info.history, "the first samples are overwritten"
    return kept


def assert_promised(samples: Any, after_ns: int, signs: Any = None) -> None:
    """Assert that the safe values are in place in each tick that is promised, and in no other.

    From the writer's first sign of life on, by the times at which the ticks were due. The
    signs are the announcements, if they are not given. To re-arm is what the marks say.
    """
    assert (numpy.diff(samples["tick"]) == 1).all()
    due = (samples["time_ns"] - samples["lateness_ns"]).tolist()
    alive = ((samples["flags"] & 1) if signs is None else signs).tolist()
    marks = samples["safe"].tolist()
    ages = samples["age"].tolist() if signs is not None else None
    begin = alive.index(1)
    before = marks[begin - 1]
    alive_ns, in_place = 0, before > 0
    wrong = []
    for at in range(begin, len(due)):
        if in_place and marks[at] == -before:
            in_place, alive_ns = False, due[at]
        if alive[at]:
            alive_ns = due[at]
        in_place = in_place or due[at] - alive_ns >= after_ns
        if in_place != (marks[at] > 0) or (ages and ages[at] != due[at] - alive_ns):
            wrong.append(at)
        before = marks[at]
    assert wrong == []


def kill_writers(load: Load, folder: Path, writers: int) -> None:
    """Kill writers at random: the safe values come in the tick that is promised."""
    dying = compiled(module.CHECKOUT / "tests/lib/dying.c", folder / "dying")
    load(print=0, period_ns=3_600_000_000_000, history_max=1 << 20)
    after_ns = 2_000_000
    with rtshm.Control() as control:
        create(control, period=200_000, layout="setpoint:i32 safe:i32", history=1 << 19)
        with rtshm.SafeValues("r", after=after_ns, setpoint=SAFE):
            subprocess.run([dying, "/dev/rtshm/r", str(writers), "400", "1"], check=True)
            samples = history()
        control.delete("r")
    assert_promised(samples, after_ns)
    marks = samples["safe"]
    assert {*range(1, writers + 1)} <= {*marks.tolist()}
    # What a writer stores while the safe values are in place, no tick has.
    assert (samples["setpoint"][marks > 0] == SAFE).all()
    assert (samples["setpoint"][marks <= 0] > 0).any()
