"""Loading, parameters, what the log says, unloading."""

from __future__ import annotations

import errno
import mmap
import os
import re
import time
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import rtshm

from tests.lib import ftrace, module
from tests.lib.kmsg import KernelLog
from tests.lib.libc import PAGE
from tests.lib.module import (
    DEVICE,
    LOADED,
    PATIENCE,
    UNLOADED,
    VALUE,
    meminfo,
    traces,
)
from tests.lib.waiting import wait_until

if TYPE_CHECKING:
    from tests.lib.fixtures import Load

HOUR_NS = 3_600_000_000_000
NOT_LOADED = "rtshm: not loaded: no region of %d bytes with a tick every %d ns (error -%d): %s"


@pytest.mark.promise("robustness: Loading and unloading leave nothing behind")
@pytest.mark.needs("untainted")
def test_load_and_unload_twice_leaves_nothing(log: KernelLog) -> None:
    before = traces()
    for _ in range(2):
        module.load()
        during = traces()
        assert str(DEVICE) in during["/dev"]
        assert "rtshm" in during["events"]
        module.unload()
        after = traces()
        for where, entries in before.items():
            assert after[where] == entries, where

    texts = [line.text for line in log.lines(0)]
    unloaded = [text for text in texts if UNLOADED.fullmatch(text)]
    assert len(unloaded) == 2
    known = {LOADED, VALUE % 0, *unloaded}
    assert set(texts) == known
    assert int(Path("/proc/sys/kernel/tainted").read_text()) == module.TAINT


@pytest.mark.promise("ticks: The module ticks from the moment it is loaded")
def test_prints_from_the_moment_it_is_loaded_every_period(log: KernelLog, load: Load) -> None:
    load(period_ns=200_000_000)
    lines = log.lines(PATIENCE)
    first = next(lines)
    assert first.text == f"rtshm: loaded: default has {PAGE} bytes and a tick every 200000000 ns"
    assert [next(lines).text for _ in range(4)] == 4 * [VALUE % 0]


def periods(ticks: list[ftrace.Tick], period_s: float) -> list[int]:
    """Periods between each tick and the next. The time that each was due is known to some
    milliseconds: between its two readings the machine may be doing something else."""
    gaps = [later.due_s - tick.due_s for tick, later in pairwise(ticks)]
    found = [round(gap / period_s) for gap in gaps]
    for gap, number in zip(gaps, found, strict=True):
        assert gap == pytest.approx(number * period_s, abs=period_s / 5)
        assert number >= 1
    return found


@pytest.mark.promise(
    "ticks: The default period is 500 ms and can be changed while the region ticks"
)
def test_default_period_is_500_ms(log: KernelLog, load: Load) -> None:
    load()
    lines = log.lines(PATIENCE)
    assert next(lines).text == LOADED
    assert (module.PARAMETERS / "period_ns").read_text().strip() == "500000000"
    with ftrace.tracing():
        # Not by lines of the log: those may be of ticks before this.
        wait_until(lambda: 1 in periods(ftrace.ticks(), 0.5), "a tick a period after another")


@pytest.mark.promise("log: The closing line counts the ticks")
def test_closing_line_counts_the_ticks(log: KernelLog, load: Load) -> None:
    load(period_ns=3_600_000_000_000)
    # The first tick is at once, the second in an hour.
    module.wait_value(log, 0)
    module.unload()
    assert next(log.lines(PATIENCE)).text == "rtshm: unloaded after 1 ticks, 0 missed"


@pytest.mark.promise("ticks: Ticks and missed periods add up to the time")
def test_ticks_and_missed_periods_add_up_to_the_time(log: KernelLog, load: Load) -> None:
    """At 1 kHz: ticks + missed is the number of periods between load and unload."""
    period_ns = 1_000_000
    begin = time.monotonic_ns()
    load(period_ns=period_ns, print=0)
    loaded = time.monotonic_ns()
    time.sleep(0.3)
    end = time.monotonic_ns()
    module.unload()
    unloaded = time.monotonic_ns()
    line, _ = module.wait_line(log.lines(PATIENCE), UNLOADED)
    match = UNLOADED.fullmatch(line.text)
    assert match
    periods = int(match[1]) + int(match[2])
    # The first tick, at once, is one more than the periods gone by.
    assert (end - loaded) // period_ns <= periods <= (unloaded - begin) // period_ns + 1


@pytest.mark.promise(
    "ticks: The default period is 500 ms and can be changed while the region ticks"
)
def test_period_is_set_at_run_time(load: Load) -> None:
    load(period_ns=HOUR_NS, print=0)
    with ftrace.tracing():
        with rtshm.Control() as control:
            assert control.set("default", period=200_000_000).period_ns == 200_000_000
        ticks = ftrace.at_least(5)
    found = periods(ticks, 0.2)
    assert len(found) > 3
    assert 1 in found


# The kernel parses the numbers, and has a line of its own for what is none.
UNPARSED = [
    ("period_ns", "1e9", errno.EINVAL),
    ("period_ns", str(2**64), errno.ERANGE),
    ("size", "big", errno.EINVAL),
    ("print", "perhaps", errno.EINVAL),
]
BEYOND_LIMITS = [
    ("period_min_ns", 9_999, "10000 to 3600000000000"),
    ("rate_max_hz", 0, "1 to 10000000"),
    ("bytes_max", PAGE - 1, f"{PAGE} to 1099511627776"),
    ("regions_max", 4_097, "1 to 4096"),
    ("history_max", 1_048_577, "0 to 1048576"),
]


@pytest.mark.promise("limits: A bad parameter fails the load")
@pytest.mark.same_on_rt
def test_bad_parameter_fails_the_load(log: KernelLog, load: Load) -> None:
    before = traces()
    for name, value, code in UNPARSED:
        with pytest.raises(OSError) as refused:
            load(**{name: value})
        assert refused.value.errno == code, (name, value)
        (line,) = [line.text for line in log.lines(0)]
        assert re.fullmatch(f"rtshm: `{value}' .* parameter `{name}'", line)
    for name, number, limits in BEYOND_LIMITS:
        with pytest.raises(OSError) as refused:
            load(**{name: number})
        assert refused.value.errno == errno.ERANGE
        own = f"rtshm: not loaded: {name}={number} (error -{errno.ERANGE}): give {limits}"
        assert [line.text for line in log.lines(0)] == [own]
    assert traces() == before


PERIOD = "period-ns: give 100000 (module parameter period_min_ns) to 3600000000000"
SIZE = f"size: give {PAGE} to 1073741824 bytes, a multiple of {PAGE}"
BYTES = f"size: all regions may have {PAGE} bytes (parameter bytes_max)"
RATE = "period-ns: all regions: at most 9 ticks/s (parameter rate_max_hz)"


BEYOND = [
    ({"period_ns": 99_999}, errno.ERANGE, PERIOD),
    ({"period_ns": 0}, errno.ERANGE, PERIOD),
    ({"period_ns": 3_600_000_000_001}, errno.ERANGE, PERIOD),
    ({"size": 0}, errno.ERANGE, SIZE),
    ({"size": 2**30 + PAGE}, errno.ERANGE, SIZE),
    ({"print": 3}, errno.EINVAL, "print: give 0 (off), 1 (every-tick) or 2 (changes)"),
    ({"size": PAGE + 1}, errno.EINVAL, SIZE),
    ({"size": 2 * PAGE, "bytes_max": PAGE}, errno.ENOSPC, BYTES),
    ({"period_ns": 100_000_000, "rate_max_hz": 9}, errno.ENOSPC, RATE),
]


@pytest.mark.promise("limits: A value outside its limits is refused with the limit")
@pytest.mark.same_on_rt
def test_default_region_beyond_a_limit_fails_the_load(log: KernelLog, load: Load) -> None:
    before = traces()
    for parameters, code, why in BEYOND:
        with pytest.raises(OSError) as refused:
            load(**parameters)
        assert refused.value.errno == code
        size, period_ns = parameters.get("size", PAGE), parameters.get("period_ns", 500_000_000)
        assert [line.text for line in log.lines(0)] == [NOT_LOADED % (size, period_ns, code, why)]
    assert traces() == before


@pytest.mark.parametrize("first", ["period_ns", "period_min_ns"])
def test_floor_of_the_period_can_be_lowered_to_10_us(load: Load, first: str) -> None:
    """Whatever the order of the parameters."""
    parameters = {"period_ns": 20_000, "period_min_ns": 10_000}
    load(print=0, **dict(sorted(parameters.items(), key=lambda item: item[0] != first)))
    assert (module.PARAMETERS / "period_ns").read_text() == "20000\n"


@pytest.mark.promise(
    "limits: A size beyond the memory is refused without a warning and without killing a process"
)
@pytest.mark.needs("small")
@pytest.mark.parametrize("beyond", ["MemTotal", "MemAvailable"])
@pytest.mark.same_on_rt
def test_size_beyond_the_memory_is_refused_without_a_splat_or_a_victim(
    log: KernelLog, load: Load, beyond: str
) -> None:
    total, free = meminfo("MemTotal"), meminfo("MemAvailable")
    wanted = total + 2**20 if beyond == "MemTotal" else (total + free) // 2
    size = wanted // mmap.PAGESIZE * mmap.PAGESIZE
    assert size <= 2**30, "this test needs a guest of 1 GiB or less"
    before = traces()
    with KernelLog(new_only=True, prefix="") as everything:
        with pytest.raises(OSError) as refused:
            load(size=size)
        assert refused.value.errno == errno.ENOMEM
        said = [line.text for line in everything.lines(0)]
    assert not [text for text in said if re.search("Out of memory|oom|allocation failure", text)]
    texts = [line.text for line in log.lines(0)]
    why = "size: not enough free memory"
    assert texts == [NOT_LOADED % (size, 500_000_000, errno.ENOMEM, why)]
    assert traces() == before


@pytest.mark.parametrize("name", ["size", "period_ns", "print", "regions_max"])
@pytest.mark.same_on_rt
def test_parameter_cannot_be_changed_at_run_time(load: Load, name: str) -> None:
    load(print=0)
    with pytest.raises(PermissionError):
        (module.PARAMETERS / name).write_text("8192")


@pytest.mark.same_on_rt
def test_size_parameter_is_the_size_of_the_region(load: Load) -> None:
    load(size=16 * PAGE, print=0)
    with rtshm.open() as region:
        assert region.size == 16 * PAGE
        region.memory[-1:] = b"\x7f"
        assert os.pread(region.fileno(), 1, 16 * PAGE - 1) == b"\x7f"


@pytest.mark.promise("log: Printing can be switched off and on")
def test_print_can_be_switched_off_and_on(log: KernelLog, load: Load) -> None:
    load(period_ns=10_000_000, print=0)
    with rtshm.open() as region, rtshm.Control() as control:
        region.publish(1)
        region.wait_taken(PATIENCE)
        control.set("default", print=rtshm.PrintMode.EVERY_TICK)
        module.wait_value(log, 1)
        control.set("default", print=rtshm.PrintMode.OFF)
        region.publish(2)
        region.wait_taken(PATIENCE)
        region.publish(3)
        region.wait_taken(PATIENCE)
    # A line queued before the switch may still come; the value after it may not.
    assert VALUE % 3 not in [line.text for line in log.lines(0.1)]


@pytest.mark.promise("log: At most ten lines a second, with the number of those withheld")
def test_log_gets_ten_lines_a_second_and_the_number_withheld(log: KernelLog, load: Load) -> None:
    load(period_ns=1_000_000)
    lines = []
    for line in log.lines(PATIENCE):
        lines.append(line)
        # Of the third second a line has come.
        if sum(each.text.endswith("lines withheld") for each in lines) == 3:
            break
    module.unload()
    lines += log.lines(0)
    values = [line for line in lines if line.text == VALUE % 0]
    notices = [re.fullmatch(r"rtshm: default: (\d+) lines withheld", line.text) for line in lines]
    withheld = [int(notice[1]) for notice in notices if notice]
    closing = UNLOADED.fullmatch(lines[-1].text)
    assert closing
    assert len(lines) == 2 + len(values) + len(withheld), lines
    # Each tick is a line or is counted.
    assert len(values) + sum(withheld) == int(closing[1])
    assert len(withheld) >= 3
    # Seconds begin when the limit's library says: any second has lines of two at most, each
    # of ten values and a notice.
    for begin in lines:
        assert len([line for line in lines if 0 <= line.seconds - begin.seconds < 1]) <= 22
    assert len(values) <= 10 * (lines[-1].seconds - lines[0].seconds + 2)


@pytest.mark.promise("robustness: The module is not unloaded under an open file or a mapping")
def test_unload_is_refused_while_open_and_while_mapped(load: Load) -> None:
    load(print=0)
    fd = os.open(DEVICE, os.O_RDWR)
    with pytest.raises(OSError) as refused:
        module.unload()
    assert refused.value.errno == errno.EAGAIN

    memory = mmap.mmap(fd, PAGE)
    os.close(fd)
    view = memoryview(memory)
    with pytest.raises(OSError) as refused:
        module.unload()
    assert refused.value.errno == errno.EAGAIN
    view[0] = 1  # still there, still writable

    view.release()
    memory.close()
    module.unload()
    assert not DEVICE.exists()


@pytest.mark.promise("word: The value outlives its writer")
def test_value_stays_and_goes_on_being_printed_after_its_writer(log: KernelLog, load: Load) -> None:
    load(period_ns=50_000_000)
    with rtshm.open() as region:
        region.publish(-5)
    lines = log.lines(PATIENCE)
    module.wait_line(lines, VALUE % -5)
    assert [next(lines).text for _ in range(3)] == 3 * [VALUE % -5]
