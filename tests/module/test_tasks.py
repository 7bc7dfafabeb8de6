"""Code of other modules in the tick: rtshm_task.h, driven by tests/probe."""

from __future__ import annotations

import errno
import itertools
import os
import re
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import rtshm
from rtshm import Clock

from tests.lib import module, raw
from tests.lib.libc import PAGE
from tests.lib.module import PATIENCE
from tests.lib.waiting import wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.lib.fixtures import Load
    from tests.lib.kmsg import KernelLog

PARAMETERS = Path("/sys/module/rtshm_probe/parameters")
LAYOUT = "last:i32 order:i32 tick:u64 torn:u64 given:u64[128] made:u64[128]"
RECORD_BYTES = 8 + 24
WORDS = 128
AT_GIVEN = 8 + 24
AT_MADE = AT_GIVEN + 8 * WORDS
PERIOD_NS = 1_000_000


def run(command: str) -> None:
    (PARAMETERS / "run").write_text(command)


def number(name: str) -> int:
    return int((PARAMETERS / name).read_text())


def assert_refused(number: int, command: str) -> None:
    with pytest.raises(OSError) as caught:
        run(command)
    assert caught.value.errno == number, command


@pytest.fixture
def control(load: Load) -> Iterator[rtshm.Control]:
    """A region `r` that records, and no task in it yet."""
    load(print=0, period_ns=3_600_000_000_000)
    module.insert(module.PROBE)
    with rtshm.Control() as control:
        control.create(
            "r", period=PERIOD_NS, layout=LAYOUT, history=4096, record_bytes=RECORD_BYTES
        )
        yield control
    if PARAMETERS.exists():
        module.remove("rtshm_probe")


@pytest.mark.promise("tasks: Tasks run in the order added, and the sample has what they stored")
def test_tasks_run_in_the_order_added_and_the_sample_has_what_they_store(
    control: rtshm.Control,
) -> None:
    for task in (3, 1, 2):
        run(f"add {task} r")
    with rtshm.Samples("r") as samples:
        for _ in range(50):
            array = samples.read_array(1)
            assert array["tick"].tolist() == array["tick_"].tolist()
            assert (array["order"].tolist(), array["last"].tolist()) == ([312], [2])
    info = control.get("r")
    assert [task.name for task in info.tasks] == ["probe3", "probe1", "probe2"]
    assert all(task.ticks >= 50 and not task.overruns for task in info.tasks)
    assert all(0 < task.time_max_ns and not task.stopped for task in info.tasks)
    run("remove 1")
    assert [task.name for task in control.get("r").tasks] == ["probe3", "probe2"]


@pytest.mark.promise("tasks: A task that cannot be added is refused with the errno of its cause")
def test_invalid_task_is_refused(control: rtshm.Control) -> None:
    run("add 0 r")
    assert_refused(errno.EBUSY, "add 0 r")
    assert_refused(errno.EBUSY, "add 0 default")
    assert_refused(errno.ENOENT, "add 1 nowhere")
    assert_refused(errno.EINVAL, "nameless r")
    # Behind the word there is the rest of a page; probe0's name is taken in r alone.
    assert_refused(errno.ERANGE, f"large {PAGE - 7} r")
    assert_refused(errno.EEXIST, f"large {PAGE - 8} r")
    for task in range(1, 8):
        run(f"add {task} r")
    assert_refused(errno.ENOSPC, "add 8 r")
    control.delete("r")
    assert_refused(errno.ENOENT, "add 8 r")


@pytest.mark.qemu
@pytest.mark.memmap
@pytest.mark.needs("raw")
def test_region_with_all_there_may_be_of_it_is_told_whole(load: Load) -> None:
    """As many tasks as there may be, the longest names, the longest layout: one message."""
    load(print=0, period_ns=3_600_000_000_000)
    prefix, name = "t" * 30, "r" * 31
    layout = " ".join(f"f{field:03}:u8" for field in range(128))
    assert len(layout) == 1023
    module.insert(module.PROBE, prefix=prefix)
    with rtshm.Control() as control:
        created = control.create(
            name,
            period=PERIOD_NS,
            phase=1,
            clock=Clock.TAI,
            cpu=0,
            task_budget=1,
            layout=layout,
            history=16,
            phys=raw.ADDRESS,
            keep=True,
        )
        for task in range(8):
            run(f"add {task} {name}")
        for info in (control.get(name), control.list()[1], control.set(name, task_long_max=1000)):
            assert [task.name for task in info.tasks] == [f"{prefix}{n}" for n in range(8)]
            assert (info.layout, info.phys, info.cpu) == (created.layout, raw.ADDRESS, 0)
    module.remove("rtshm_probe")


@pytest.mark.promise("tasks: After rtshm_task_remove() returns, the task never runs again")
def test_removed_task_runs_no_more(control: rtshm.Control) -> None:
    run("add 0 r")
    wait_until(lambda: number("ran") > 0, "a run of the task")
    run("remove 0")
    ran = number("ran")
    ticks = control.get("r").counters.ticks
    wait_until(lambda: control.get("r").counters.ticks > ticks + 20, "20 ticks without the task")
    assert number("ran") == ran
    # As often as one likes, and of what was never added.
    run("remove 0")
    run("remove 5")
    run("add 0 r")
    wait_until(lambda: number("ran") > ran, "a run of the task that was added again")


@pytest.mark.promise(
    "tasks: Deleting a region calls gone() of its tasks and does not wait for their modules"
)
def test_deleting_the_region_tells_its_tasks_which_may_be_added_again(
    control: rtshm.Control,
) -> None:
    run("add 0 r")
    run("add 1 r")
    control.delete("r")
    assert number("gone") == 2
    # From within gone() the lock is held.
    assert number("in_gone") == -errno.EDEADLK
    ran = number("ran")
    run("remove 0")
    control.create("r", period=PERIOD_NS)
    run("add 0 r")
    wait_until(lambda: number("ran") > ran, "a run of the task in another region")


@pytest.mark.promise("tasks: rtshm.ko cannot be unloaded under a task")
def test_neither_module_goes_while_it_is_needed(control: rtshm.Control) -> None:
    run("add 0 r")
    with pytest.raises(BlockingIOError):
        module.unload()
    module.remove("rtshm_probe")
    assert control.get("r").tasks == ()
    control.delete("r")


@pytest.mark.promise("tasks: A task that exceeds its budget is counted, and stopped if asked")
def test_long_task_overruns_its_budget_and_is_stopped_when_asked(
    control: rtshm.Control, log: KernelLog
) -> None:
    control.create("long", period=10_000_000, task_budget=1_000_000, task_long_max=0)
    run("add 0 long")
    run("add 1 long")
    (PARAMETERS / "spin_ns").write_text("6000000")

    def task() -> rtshm.TaskInfo:
        return control.get("long").tasks[0]

    wait_until(lambda: task().overruns > 2, "overruns of the budget")
    assert task().time_max_ns > 6_000_000
    assert not task().stopped
    control.set("long", task_long_max=3)
    wait_until(lambda: all(task.stopped for task in control.get("long").tasks), "both stopped")
    ran = number("ran")
    ticks = control.get("long").counters.ticks
    wait_until(lambda: control.get("long").counters.ticks > ticks + 5, "ticks without them")
    assert number("ran") == ran
    # In either order: the limit may have come between the two of a tick.
    told = re.compile(
        r"rtshm: long: task (\w+) stopped: longer than half the period \d+ ticks in a row"
    )
    lines = log.lines(PATIENCE)
    texts = [module.wait_line(lines, told)[0].text for _ in range(2)]
    assert {told.sub(r"\1", text) for text in texts} == {"probe0", "probe1"}
    (PARAMETERS / "spin_ns").write_text("0")
    run("remove 0")
    run("add 0 long")
    assert not control.get("long").tasks[1].stopped


@pytest.mark.promise("tasks: A task that exceeds its budget is counted, and stopped if asked")
def test_task_that_is_always_long_is_stopped_after_100_ticks(control: rtshm.Control) -> None:
    """By default: a task that takes most of each period leaves nothing to the processes."""
    assert control.create("long", period=PERIOD_NS).task_long_max == 100
    (PARAMETERS / "spin_ns").write_text(str(PERIOD_NS * 6 // 10))
    run("add 0 long")
    wait_until(lambda: control.get("long").tasks[0].stopped, "the task's stop")
    (PARAMETERS / "spin_ns").write_text("0")
    assert control.get("long").tasks[0].ticks >= 100


def test_reset_counters_are_those_of_tasks_too(control: rtshm.Control) -> None:
    control.set("r", period=3_600_000_000_000, task_budget=1)
    run("add 0 r")
    control.set("r", period=PERIOD_NS)
    wait_until(lambda: control.get("r").tasks[0].overruns > 2, "overruns of the budget")
    control.set("r", period=3_600_000_000_000)
    time.sleep(0.1)
    reset = rtshm.TaskInfo("probe0", 0, 0, 0, False, AT_MADE + 8 * WORDS - 8)
    assert control.set("r", reset_counters=True).tasks == (reset,)


@pytest.mark.promise("tasks: A task and write() see each other whole")
def test_task_and_write_see_each_other_whole(control: rtshm.Control) -> None:
    # A kernel with debugging takes longer than half of it for the task, which is not to be stopped.
    control.set("r", period=100_000, task_long_max=0)
    run("add 8 r")
    with rtshm.open("r") as region:
        ran = number("ran")
        deadline = time.monotonic() + PATIENCE
        values = itertools.count()
        while number("ran") < ran + 2000:
            assert time.monotonic() < deadline, "too few ticks"
            for value in itertools.islice(values, 100):
                os.pwrite(region.fileno(), value.to_bytes(8, "little") * WORDS, AT_GIVEN)
                made = os.pread(region.fileno(), 8 * WORDS, AT_MADE)
                assert made == made[:8] * WORDS
        assert region.read()["torn"] == 0


@pytest.mark.promise("tasks: A task and write() see each other whole")
def test_task_sees_half_of_plain_stores(control: rtshm.Control) -> None:
    """The control: what is stored word by word, the same task sees torn."""
    control.set("r", period=100_000, task_long_max=0)
    run("add 8 r")
    with rtshm.open("r") as region:
        words = region.view.given
        deadline = time.monotonic() + PATIENCE
        while region.read()["torn"] == 0:
            assert time.monotonic() < deadline, "no half of the stores was seen"
            for value in range(100):
                for index in range(WORDS):
                    words[index] = value


@pytest.mark.promise("tasks: After rtshm_task_remove() returns, the task never runs again")
def test_adding_and_removing_at_10_khz(control: rtshm.Control) -> None:
    """Two threads of the kernel, a task each, 5,000 times: none runs after its removal."""
    control.set("r", period=100_000)
    ran = number("ran")
    run("many 5000 r")
    assert number("ran") > ran
    assert number("late") == 0
    assert control.get("r").tasks == ()
