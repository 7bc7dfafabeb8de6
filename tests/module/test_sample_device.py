"""/dev/rtshm/<name>.samples: the history, tick by tick."""

from __future__ import annotations

import errno
import fcntl
import os
import select
import signal
import stat
import struct
import threading
import time
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import rtshm
from rtshm import Control

from tests.lib import first, libc, module
from tests.lib.libc import PAGE
from tests.lib.module import PATIENCE
from tests.lib.samples import (
    HEADER,
    HOUR_NS,
    IOC_WATERMARK,
    MS,
    NODE,
    STRIDE,
    Sample,
    check_order,
    read,
    rest,
    set_watermark,
    split,
)
from tests.lib.waiting import wait_asleep, when_polling

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.lib.fixtures import Load


@pytest.fixture
def reader(control: Control, opened: Callable[..., int]) -> int:
    """A descriptor of the samples of `a`, which ticks at 1 kHz and keeps 100."""
    control.create("a", period=MS, history=100)
    return opened()


def test_node_is_there_for_as_long_as_something_is_recorded(control: Control) -> None:
    control.create("a", mode=0o660, gid=7)
    assert not NODE.exists()
    control.set("a", history=10)
    status = NODE.stat()
    assert stat.S_IMODE(status.st_mode) == 0o440, "nobody writes history"
    assert status.st_gid == 7
    control.set("a", history=0)
    assert not NODE.exists()
    control.set("a", history=10)
    control.delete("a")
    assert not NODE.exists()


@pytest.mark.promise("history: Each tick is a sample, on the grid of the period")
def test_samples_are_the_ticks_one_after_another(reader: int) -> None:
    samples: list[Sample] = []
    while len(samples) < 300:
        samples += read(reader)
    check_order(samples, MS)


@pytest.mark.promise("history: A sample has the bytes and the word as its tick saw them")
def test_sample_has_the_bytes_that_its_tick_saw(
    control: Control, opened: Callable[..., int]
) -> None:
    """And the word with its flag, as it was announced."""
    control.create("a", period=MS, history=1000, record_bytes=32)
    fd = opened()
    with rtshm.open("a") as region:
        for value in range(1, 21):
            os.pwrite(region.fileno(), struct.pack("=iI3Q", value, 1, value, value, value), 0)
            region.wait_taken(PATIENCE)
    samples = read(fd, stride=HEADER.size + 32)
    announced = [sample for sample in samples if sample.flags]
    assert [sample.flags for sample in announced] == 20 * [1]
    expected = [struct.pack("=iI3Q", value, 1, value, value, value) for value in range(1, 21)]
    assert [sample.record for sample in announced] == expected
    for before, after in pairwise(samples):
        if not after.flags and before.flags:
            assert after.record[:4] == before.record[:4]
            assert after.record[4:8] == bytes(4)


def test_reader_begins_with_the_next_sample_or_the_oldest_kept(
    control: Control, opened: Callable[..., int]
) -> None:
    control.create("a", period=MS, history=50)
    first.tick("a", 60)
    ticks = rest(control)
    fd = opened(os.O_RDONLY | os.O_NONBLOCK)
    with pytest.raises(BlockingIOError):
        read(fd)
    for _ in range(2):
        assert os.lseek(fd, 0, os.SEEK_SET) == 0
        assert [sample.tick for sample in read(fd)] == list(range(ticks - 49, ticks + 1))
    os.lseek(fd, 0, os.SEEK_SET)
    assert os.lseek(fd, 0, os.SEEK_END) == 0
    with pytest.raises(BlockingIOError):
        read(fd)
    for offset, whence in ((1, os.SEEK_SET), (-1, os.SEEK_END), (0, os.SEEK_CUR)):
        with pytest.raises(OSError) as refused:
            os.lseek(fd, offset, whence)
        assert refused.value.errno == errno.EINVAL


@pytest.mark.promise("history: Lost samples are exactly the gaps in the tick numbers")
@pytest.mark.parametrize("depth", [1, 2, 3, 7, 64])
def test_slow_reader_gets_the_oldest_kept_and_sees_what_it_lost(
    control: Control, depth: int, opened: Callable[..., int]
) -> None:
    """At every position of the ring: what comes next is what is kept, up to the last tick."""
    control.create("a", period=200_000, history=depth)
    fd = opened()
    before, last, seen, lost = 0, 0, 0, 0
    for turn in range(60):
        time.sleep(0.0002 * (turn % 17))
        samples = read(fd, most=1 + turn % (depth + 2))
        check_order(samples, 200_000)  # no gap within one read
        if last:
            lost += samples[0].tick - last - 1
        else:
            before = samples[0].tick - 1
        seen += len(samples)
        last = samples[-1].tick
    assert before + seen + lost == last
    assert lost > 0 or depth == 64


@pytest.mark.promise("history: Samples are whole, whatever the length of the read")
def test_reads_of_odd_lengths_give_whole_samples(reader: int) -> None:
    for length in (1, STRIDE - 1):
        with pytest.raises(OSError) as refused:
            os.read(reader, length)
        assert refused.value.errno == errno.EINVAL
    assert os.read(reader, 0) == b""
    assert len(split(os.read(reader, STRIDE + 1))) == 1
    os.lseek(reader, 0, os.SEEK_SET)
    first.tick("a", 2)
    assert len(split(os.read(reader, 3 * STRIDE - 1))) == 2


@pytest.mark.promise("history: Samples are whole, whatever the length of the read")
def test_sample_that_did_not_arrive_whole_comes_again(control: Control, reader: int) -> None:
    first.tick("a", 3)
    rest(control)
    os.lseek(reader, 0, os.SEEK_SET)
    with libc.anonymous(2 * PAGE) as address:
        libc.mprotect(address + PAGE, 0)
        # One whole sample fits before the page that is not there, and half of another one.
        assert libc.read(reader, address + PAGE - STRIDE * 3 // 2, 3 * STRIDE) == STRIDE
        (whole,) = split(libc.bytes_at(address + PAGE - STRIDE * 3 // 2, STRIDE))
        with pytest.raises(OSError) as refused:
            libc.read(reader, address + PAGE - STRIDE // 2, STRIDE)
        assert refused.value.errno == errno.EFAULT
    assert read(reader)[0].tick == whole.tick + 1


def test_read_waits_and_poll_wakes(control: Control, opened: Callable[..., int]) -> None:
    control.create("a", period=50 * MS, history=10)
    fd = opened()
    poll = select.poll()
    poll.register(fd, select.POLLIN)
    ticks: list[int] = []
    for _ in range(3):
        assert poll.poll(PATIENCE * 1000) == [(fd, select.POLLIN)]
        ticks += [sample.tick for sample in read(fd)]
    # Nothing is there: it waits for the next.
    samples = read(fd)
    assert samples
    ticks += [sample.tick for sample in samples]
    assert ticks == list(range(ticks[0], ticks[0] + len(ticks)))


@pytest.mark.promise("history: A watermark wakes a reader by count or by time")
def test_watermark_counts_samples(reader: int) -> None:
    set_watermark(reader, 40)
    poll = select.poll()
    poll.register(reader, select.POLLIN)
    for _ in range(3):
        os.lseek(reader, 0, os.SEEK_END)
        assert poll.poll(PATIENCE * 1000) == [(reader, select.POLLIN)]
        assert len(read(reader)) >= 40
        os.lseek(reader, 0, os.SEEK_END)
        assert len(read(reader)) >= 40
    # A reader with less room asks for less.
    os.lseek(reader, 0, os.SEEK_END)
    assert len(read(reader, most=3)) == 3


@pytest.mark.promise("history: A watermark wakes a reader by count or by time")
def test_watermark_has_a_time(control: Control, opened: Callable[..., int]) -> None:
    control.create("a", period=20 * MS, history=1000)
    fd = opened()
    begin = time.monotonic_ns()
    set_watermark(fd, 500, wait_ns=100 * MS)
    assert 1 <= len(read(fd)) < 500
    assert time.monotonic_ns() >= begin + 100 * MS


@pytest.mark.parametrize(
    ("samples", "reserved", "wait_ns", "code"),
    [
        (0, 0, 0, errno.ERANGE),
        (51, 0, 0, errno.ERANGE),
        (1, 1, 0, errno.EINVAL),
        (1, 0, HOUR_NS + 1, errno.ERANGE),
    ],
)
def test_watermark_is_refused(
    reader: int, samples: int, reserved: int, wait_ns: int, code: int
) -> None:
    with pytest.raises(OSError) as refused:
        set_watermark(reader, samples, wait_ns, reserved)
    assert refused.value.errno == code


def test_other_ioctls_are_refused(reader: int) -> None:
    with pytest.raises(OSError) as refused:
        fcntl.ioctl(reader, IOC_WATERMARK + 1, bytes(16))
    assert refused.value.errno == errno.ENOTTY


@pytest.mark.promise("history: The samples cannot be mapped or written")
def test_writing_and_mapping_are_refused(reader: int, opened: Callable[..., int]) -> None:
    fd = opened(os.O_RDWR)
    with pytest.raises(OSError) as refused:
        os.write(fd, bytes(STRIDE))
    assert refused.value.errno == errno.EINVAL
    with pytest.raises(OSError) as refused, libc.mapped(fd):
        pass
    assert refused.value.errno == errno.ENODEV


@pytest.mark.promise(
    "history: It can change under readers, which read what is left and then the end"
)
def test_reader_of_another_length_gets_what_is_left_and_then_the_end(
    control: Control, opened: Callable[..., int]
) -> None:
    control.create("a", period=5 * MS, history=1000)
    for depth, record_bytes in ((50, 8), (50, 16), (0, 16), (7, 8)):
        fd = opened() if control.get("a").history else None
        if fd is not None:
            first.tick("a", control.get("a").counters.ticks + 5)
        changed = control.set("a", history=depth, record_bytes=record_bytes)
        assert (changed.history, changed.record_bytes) == (depth, record_bytes)
        assert NODE.exists() == (depth > 0)
        if fd is not None:
            while os.read(fd, 1 << 20):
                pass
            poll = select.poll()
            poll.register(fd, select.POLLIN)
            assert poll.poll(0) == [(fd, select.POLLHUP)]
    ticks = control.get("a").counters.ticks
    assert read(opened())[0].tick > ticks


@pytest.mark.promise(
    "history: It can change under readers, which read what is left and then the end"
)
def test_another_length_wakes_who_waits(control: Control, opened: Callable[..., int]) -> None:
    control.create("a", period=HOUR_NS, history=10)
    first.tick("a")
    fd = opened()
    got: list[bytes] = []
    waiting = threading.Thread(target=lambda: got.append(os.read(fd, STRIDE)))
    waiting.start()
    wait_asleep(Path(f"/proc/self/task/{waiting.native_id}"))
    other = opened()
    poll = select.poll()
    poll.register(other, select.POLLIN)
    with when_polling(lambda: control.set("a", history=11)):
        assert poll.poll(PATIENCE * 1000) == [(other, select.POLLHUP)]
    waiting.join(PATIENCE)
    assert got == [b""]


@pytest.mark.promise(
    "history: It can change under readers, which read what is left and then the end"
)
def test_memory_of_another_length_counts_until_its_last_reader_is_gone(load: Load) -> None:
    load(print=0, bytes_max=16 * PAGE)
    with Control() as control:
        control.create("a", history=8 * PAGE // STRIDE)
        fd = os.open(NODE, os.O_RDONLY)
        control.set("a", history=1)
        with pytest.raises(OSError) as refused:
            control.create("b", size=8 * PAGE)
        assert refused.value.errno == errno.ENOSPC
        os.close(fd)
        control.create("b", size=8 * PAGE)


@pytest.mark.promise("history: After a delete readers get the last samples, then the end")
def test_deleted_region_gives_its_last_samples_and_then_the_end(
    control: Control, opened: Callable[..., int]
) -> None:
    control.create("a", period=10 * MS, history=1000)
    fd = opened()
    ticks = control.get("a").counters.ticks
    first.tick("a", ticks + 10)
    control.delete("a")
    samples = read(fd)
    check_order(samples, 10 * MS)
    assert len(samples) >= 10
    assert os.read(fd, STRIDE) == b""
    poll = select.poll()
    poll.register(fd, select.POLLIN)
    assert poll.poll(0) == [(fd, select.POLLHUP)]
    with pytest.raises(OSError) as refused:
        os.open(f"/proc/self/fd/{fd}", os.O_RDONLY)
    assert refused.value.errno == errno.ENODEV
    with pytest.raises(BlockingIOError):
        module.unload()


@pytest.mark.promise("history: After a delete readers get the last samples, then the end")
def test_delete_ends_the_waiting_of_readers_and_pollers(
    control: Control, opened: Callable[..., int]
) -> None:
    control.create("a", period=HOUR_NS, history=10)
    first.tick("a")
    fd = opened()
    got: list[bytes] = []
    waiting = threading.Thread(target=lambda: got.append(os.read(fd, STRIDE)))
    other = opened()
    poll = select.poll()
    poll.register(other, select.POLLIN)
    waiting.start()
    wait_asleep(Path(f"/proc/self/task/{waiting.native_id}"))
    with when_polling(lambda: control.delete("a")):
        assert poll.poll(PATIENCE * 1000) == [(other, select.POLLHUP)]
    waiting.join(PATIENCE)
    assert got == [b""]


def test_signal_interrupts_a_read_that_waits(control: Control, opened: Callable[..., int]) -> None:
    control.create("a", period=HOUR_NS, history=10)
    first.tick("a")
    fd = opened()

    def stop(*_: object) -> None:
        raise InterruptedError

    before = signal.signal(signal.SIGALRM, stop)
    signal.setitimer(signal.ITIMER_REAL, 0.2)
    try:
        with pytest.raises(InterruptedError):
            os.read(fd, STRIDE)
    finally:
        signal.signal(signal.SIGALRM, before)


@pytest.mark.promise("limits: Samples count towards the limit of all bytes")
def test_samples_count_for_the_limit_of_all_bytes(load: Load) -> None:
    load(print=0, bytes_max=16 * PAGE)
    with Control() as control:
        with pytest.raises(OSError) as refused:
            control.create("a", history=16 * PAGE // STRIDE)
        assert refused.value.errno == errno.ENOSPC
        assert f"history: all regions may have {16 * PAGE} bytes" in str(refused.value)
        assert not Path("/dev/rtshm/a").exists()
        control.create("a", history=8 * PAGE // STRIDE)
        with pytest.raises(OSError) as refused:
            control.set("a", history=15 * PAGE // STRIDE)
        assert refused.value.errno == errno.ENOSPC
        assert control.get("a").history == 8 * PAGE // STRIDE
        control.set("a", history=0)
        control.set("a", history=13 * PAGE // STRIDE)


@pytest.mark.promise("history: Lost samples are exactly the gaps in the tick numbers")
def test_eight_readers_at_1_khz_lose_nothing(control: Control, opened: Callable[..., int]) -> None:
    control.create("a", period=MS, history=10_000, record_bytes=24)
    fds = [opened() for _ in range(8)]
    for fd in fds:
        set_watermark(fd, 100)
    seen: list[list[Sample]] = [[] for _ in fds]
    while any(len(samples) < 2000 for samples in seen):
        for fd, samples in zip(fds, seen, strict=True):
            samples += read(fd, stride=HEADER.size + 24)
    for samples in seen:
        check_order(samples, MS)
