"""Wake-ups: the tick wakes its readers, the thread of the region everybody else."""

from __future__ import annotations

import errno
import os
import re
import threading
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import rtshm

from tests.lib import first
from tests.lib.ftrace import TRACEFS
from tests.lib.module import PATIENCE, thread_of
from tests.lib.waiting import wait_asleep, wait_until

if TYPE_CHECKING:
    from collections.abc import Callable

HOUR_NS = 3_600_000_000_000
MS = 1_000_000
STRIDE = 40
# More than the tick wakes itself.
READERS = 12


def test_region_has_a_thread_of_the_priority_of_threaded_interrupts(
    control: rtshm.Control,
) -> None:
    control.create("a", period=MS)
    pid = thread_of("a")
    assert pid is not None
    assert os.sched_getscheduler(pid) == os.SCHED_FIFO
    assert os.sched_getparam(pid).sched_priority == 50
    os.sched_setscheduler(pid, os.SCHED_FIFO, os.sched_param(7))
    with rtshm.open("a") as region:
        region.publish(1)
        region.wait_taken(PATIENCE)
    assert os.sched_getparam(pid).sched_priority == 7
    control.delete("a")
    assert thread_of("a") is None


@pytest.mark.parametrize("end", ["tick", "delete"])
def test_all_readers_are_woken_also_those_that_the_tick_leaves_to_the_thread(
    control: rtshm.Control, opened: Callable[..., int], end: str
) -> None:
    control.create("a", period=1000 * MS if end == "tick" else HOUR_NS, history=10)
    first.tick("a")
    got: list[int] = []
    fds = [opened() for _ in range(READERS)]
    readers = [
        threading.Thread(target=lambda fd=fd: got.append(len(os.read(fd, STRIDE)))) for fd in fds
    ]
    for reader in readers:
        reader.start()
    if end == "delete":
        for reader in readers:
            wait_asleep(Path(f"/proc/self/task/{reader.native_id}"))
        assert got == []
        control.delete("a")
    for reader in readers:
        reader.join(PATIENCE)
    assert got == READERS * [STRIDE if end == "tick" else 0]


def test_lines_are_printed_in_a_thread(control: rtshm.Control) -> None:
    """Not in an interrupt, which a slow console would keep for milliseconds."""
    event = TRACEFS / "events/printk/console/enable"
    (TRACEFS / "trace").write_text("")
    event.write_text("1")
    try:
        control.create("a", period=50 * MS, print=rtshm.PrintMode.EVERY_TICK)
        lines = wait_until(printed, "a line of the log")
    finally:
        event.write_text("0")
    # task-pid [cpu] irqs-off, need-resched, hardirq/softirq, ...
    for comm, flags in lines:
        assert comm.startswith("rtshm/a-"), lines
        assert not set("hHzZs") & set(flags[2:]), lines


def printed() -> list[tuple[str, str]]:
    text = (TRACEFS / "trace").read_text()
    return re.findall(r"^\s*(\S+)\s+\[\d+\] (\S+) .* console: .*shared mem=", text, re.M)


def test_readers_end_with_a_signal_whoever_would_wake_them(
    control: rtshm.Control, opened: Callable[..., int]
) -> None:
    control.create("a", period=HOUR_NS, history=10)
    first.tick("a")
    children = []
    for _ in range(READERS):
        pid = os.fork()
        if pid == 0:
            os.read(os.open("/dev/rtshm/a.samples", os.O_RDONLY), STRIDE)
            os._exit(0)
        children.append(pid)
    for pid in children:
        wait_asleep(Path(f"/proc/{pid}"))
        os.kill(pid, 9)
    assert [os.waitpid(pid, 0)[1] for pid in children] == READERS * [9]
    # None of them is left behind where a tick would find it.
    control.set("a", history=20)
    fd = opened(os.O_RDONLY | os.O_NONBLOCK)
    with pytest.raises(OSError) as refused:
        os.read(fd, STRIDE)
    assert refused.value.errno == errno.EAGAIN
