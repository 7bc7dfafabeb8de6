"""The library, on the real device."""

from __future__ import annotations

import asyncio
import errno
import gc
import os
import select
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import rtshm

from tests.lib import child, first, module
from tests.lib.libc import PAGE
from tests.lib.module import DEVICE, PATIENCE

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.lib.fixtures import Load
    from tests.lib.kmsg import KernelLog

NEVER_NS = 3_600_000_000_000


def test_published_value_is_in_the_log(log: KernelLog, load: Load) -> None:
    load(period_ns=50_000_000)
    with rtshm.open("default") as region:
        region.publish(42)
        region.wait_taken(timeout=PATIENCE)
    module.wait_value(log, 42)


def test_extremes_of_an_int_are_in_the_log(log: KernelLog, load: Load) -> None:
    load(period_ns=20_000_000)
    with rtshm.open() as region:
        for value in (2**31 - 1, -(2**31), -1, 0, 1):
            region.publish(value)
            module.wait_value(log, value)
            assert region.some_int == value


@pytest.mark.parametrize("value", [2**31, -(2**31) - 1, 2**63, 2**64 + 1])
def test_value_out_of_range_is_refused_and_nothing_stored(load: Load, value: int) -> None:
    load(period_ns=NEVER_NS, print=0)
    with rtshm.open() as region:
        region.some_int = 5
        with pytest.raises(OverflowError, match=f"{value} is not a C int; give -2147483648 to"):
            region.publish(value)
        with pytest.raises(OverflowError, match=str(value)):
            region.some_int = value
        assert (region.some_int, region.ready) == (5, False)


def test_wait_taken_gives_up_at_its_timeout(load: Load) -> None:
    load(period_ns=NEVER_NS, print=0)
    first.tick()
    with rtshm.open() as region:
        region.publish(1)
        for timeout in (0.1, timedelta(milliseconds=100), 0, -1):
            with pytest.raises(TimeoutError, match="no tick took the value within"):
                region.wait_taken(timeout)
        assert region.ready
        region.ready = False
        region.wait_taken(0)
        region.wait_taken(float("inf"))


def test_region_is_an_awaitable_descriptor(load: Load) -> None:
    load(period_ns=50_000_000, print=0)

    async def publish_and_wait(region: rtshm.Region) -> None:
        taken = asyncio.Event()
        loop = asyncio.get_running_loop()
        region.publish(3)
        loop.add_writer(region, taken.set)
        await asyncio.wait_for(taken.wait(), PATIENCE)
        loop.remove_writer(region)
        assert not region.ready

    with rtshm.open() as region:
        asyncio.run(publish_and_wait(region))


@pytest.mark.promise("client: The client survives fork, signals, a kill and a second close")
def test_close_twice_and_use_after_close(load: Load) -> None:
    load(print=0)
    region = rtshm.open()
    region.close()
    region.close()
    assert region.closed
    uses: list[Callable[[], object]] = [
        lambda: region.some_int,
        lambda: region.ready,
        lambda: region.publish(1),
        lambda: region.wait_taken(0),
        lambda: region.memory,
        lambda: region.word,
        lambda: region.fileno(),
        lambda: region.__enter__(),
        lambda: setattr(region, "some_int", 1),
        lambda: setattr(region, "ready", True),
    ]
    for use in uses:
        with pytest.raises(rtshm.ClosedError, match="Region /dev/rtshm/default closed"):
            use()


def test_close_leaves_no_descriptor_and_no_mapping(load: Load) -> None:
    load(print=0)
    descriptors = set(os.listdir("/proc/self/fd"))
    with rtshm.open() as region:
        region.publish(1)
        assert str(DEVICE) in Path("/proc/self/maps").read_text()
    assert set(os.listdir("/proc/self/fd")) == descriptors
    assert str(DEVICE) not in Path("/proc/self/maps").read_text()
    module.unload()


def test_view_kept_past_close_stays_valid_and_holds_the_mapping(load: Load) -> None:
    load(print=0)
    region = rtshm.open()
    word, memory = region.word, region.memory
    region.close()
    word.some_int = 99
    assert memory[0] == 99
    with pytest.raises(OSError) as refused:
        module.unload()
    assert refused.value.errno == errno.EAGAIN
    del word, memory
    gc.collect()
    module.unload()


def test_publish_kept_past_close_refuses_and_holds_nothing(load: Load) -> None:
    load(period_ns=NEVER_NS, print=0)
    region = rtshm.open()
    publish = region.publish
    region.close()
    with pytest.raises(rtshm.ClosedError):
        publish(4)
    with rtshm.open() as again:
        assert again.some_int == 0
    module.unload()


@pytest.mark.parametrize("readonly", [False, True])
def test_forgotten_region_is_released_at_once(load: Load, readonly: bool) -> None:
    load(print=0)
    gc.disable()
    try:
        region = rtshm.open(readonly=readonly)
        del region
        module.unload()
    finally:
        gc.enable()


@pytest.mark.promise("memory: Processes share over a fork and close in any order")
def test_parent_and_child_share_over_a_fork_and_close_apart(load: Load) -> None:
    load(period_ns=20_000_000, print=0)
    region = rtshm.open()

    def publish_and_close() -> None:
        region.publish(11)
        region.wait_taken(PATIENCE)
        region.close()

    assert child.status_of(publish_and_close) == 0
    assert region.some_int == 11
    region.publish(12)
    region.wait_taken(PATIENCE)
    region.close()
    module.unload()


def test_read_only_region_reads_and_refuses_to_write(load: Load) -> None:
    load(period_ns=NEVER_NS, print=0)
    DEVICE.chmod(0o444)
    with rtshm.open() as writer, rtshm.open(readonly=True) as reader:
        writer.publish(8)
        assert (reader.some_int, reader.ready) == (8, True)
        assert reader.memory[0] == 8
        assert reader.memory.readonly
        writes: list[Callable[[], object]] = [
            lambda: reader.publish(1),
            lambda: setattr(reader, "some_int", 1),
            lambda: setattr(reader, "ready", True),
        ]
        for write in writes:
            with pytest.raises(PermissionError, match="read-only"):
                write()
        assert writer.some_int == 8


def test_without_the_module_the_error_says_so() -> None:
    with pytest.raises(rtshm.ModuleNotLoadedError) as refused:
        rtshm.open()
    assert refused.value.errno == errno.ENOENT
    assert refused.value.filename == str(DEVICE)
    how = "sudo modprobe rtshm (built here: sudo insmod rtshm.ko)"
    assert refused.value.remedy == f"the module is not loaded: {how}"


def test_unknown_region_names_the_known_ones(load: Load) -> None:
    load(print=0)
    with pytest.raises(rtshm.RegionNotFoundError) as refused:
        rtshm.open("motor")
    assert refused.value.remedy == "no such region; /dev/rtshm has: default"


def test_region_opens_by_path(load: Load) -> None:
    load(print=0)
    with rtshm.open(DEVICE) as region, rtshm.open(str(DEVICE)) as same:
        assert region.path == same.path == DEVICE
        assert region.size == PAGE


@pytest.mark.needs("disk")
def test_file_that_is_not_a_region_is_refused_and_unchanged(load: Load, tmp_path: Path) -> None:
    load(print=0)
    file, fifo = tmp_path / "file", tmp_path / "fifo"
    file.write_bytes(b"precious data")
    os.mkfifo(fifo)
    descriptors = set(os.listdir("/proc/self/fd"))
    for path in (file, fifo, Path("/dev/null"), Path("/dev/vda"), Path("/dev/rtshm")):
        with pytest.raises(rtshm.RefusedError) as refused:
            rtshm.open(path)
        assert refused.value.errno == errno.ENODEV
        assert refused.value.filename == str(path)
        assert refused.value.remedy == "this is not a region; those of the module are in /dev/rtshm"
    assert file.read_bytes() == b"precious data"
    assert set(os.listdir("/proc/self/fd")) == descriptors


def test_descriptor_reads_from_the_beginning(load: Load) -> None:
    load(print=0)
    with rtshm.open() as region:
        region.some_int = 6
        assert os.read(region.fileno(), 4) == b"\6\0\0\0"


def test_epoll_takes_the_region(load: Load) -> None:
    load(period_ns=20_000_000, print=0)
    with rtshm.open() as region, select.epoll() as epoll:
        epoll.register(region, select.EPOLLOUT | select.EPOLLET)
        assert epoll.poll(0)
        for value in range(5):
            region.publish(value)
            assert epoll.poll(PATIENCE) == [(region.fileno(), select.EPOLLOUT)]
            assert not region.ready
