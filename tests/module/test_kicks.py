"""Ticks on somebody else's time: a region that is kicked, and ticks that are shifted."""

from __future__ import annotations

import errno
import fcntl
import threading
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy
import pytest
import rtshm

from tests.lib import module
from tests.lib.module import CHECKOUT
from tests.lib.waiting import wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.lib.fixtures import Load

PARAMETERS = Path("/sys/module/rtshm_probe/parameters")
PROBE_LAYOUT = "last:i32 order:i32 tick:u64 torn:u64 given:u64[128] made:u64[128]"
LAYOUT = "setpoint:i32 kp:i32 ki:i32 output:i32 error:i32 drive:i32"
LOCK = CHECKOUT / "tests/module/tasks/lock.bpf.o"
KICKS = 10_000
MS = 1_000_000
# _IO('r', 0x82)
IOC_KICK = 0x7282


def run(command: str) -> None:
    (PARAMETERS / "run").write_text(command)


def number(name: str) -> int:
    return int((PARAMETERS / name).read_text())


@pytest.fixture
def control(load: Load) -> Iterator[rtshm.Control]:
    """A region `r` without a period, that records."""
    load(print=0, period_ns=3_600_000_000_000)
    with rtshm.Control() as control:
        control.create("r", period="none", layout=PROBE_LAYOUT, history=16384, record_bytes=32)
        yield control
        # A probe that a failed test left would hold the module.
        with suppress(OSError):
            module.remove("rtshm_probe")


@pytest.fixture
def probe(control: rtshm.Control) -> Iterator[None]:
    """Its task 0 is on the region."""
    module.insert(module.PROBE)
    run("add 0 r")
    yield
    module.remove("rtshm_probe")


def kicks(count: int) -> None:
    with rtshm.open("r") as region:
        for _ in range(count):
            region.kick()


def samples() -> Any:
    with rtshm.Samples("r", oldest=True) as reader:
        return reader.read_array(wait=False)


def test_each_kick_is_one_tick_whoever_kicks(control: rtshm.Control) -> None:
    threads = [threading.Thread(target=kicks, args=(KICKS // 4,)) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    counters = control.get("r").counters
    assert (counters.ticks, counters.missed, counters.lateness_max_ns) == (KICKS, 0, 0)
    seen = samples()
    assert (seen["tick"] == numpy.arange(1, KICKS + 1)).all()
    assert (numpy.diff(seen["time_ns"]) >= 0).all()


def test_tick_is_over_when_the_kick_returns(control: rtshm.Control) -> None:
    with rtshm.open("r") as region, region.samples() as reader:
        for value in range(100):
            region.publish(value)
            assert region.ready
            region.kick()
            assert not region.ready
            sample = reader.read(timeout=0)
            assert sample is not None
            assert (sample.tick, sample.some_int, sample.announced) == (value + 1, value, True)
        with pytest.raises(TimeoutError):
            reader.read(timeout="10ms")
    assert control.get("r").counters.published == 100


def test_interrupt_of_a_driver_is_a_tick_and_runs_the_tasks(
    control: rtshm.Control, probe: None
) -> None:
    run(f"kick 0 {KICKS}")
    assert (number("handled"), number("kicked")) == (KICKS, 0)
    counters = control.get("r").counters
    assert (counters.ticks, counters.missed) == (KICKS, 0)
    assert number("ran") == KICKS
    seen = samples()
    assert (seen["tick"] == numpy.arange(1, KICKS + 1)).all()
    # What the task stored.
    assert seen["tick_"].tolist() == seen["tick"].tolist()


def test_kick_of_a_task_says_why_there_is_no_tick(control: rtshm.Control, probe: None) -> None:
    control.delete("r")
    for found in (-errno.ENODEV, -errno.EINVAL):
        with pytest.raises(OSError) as caught:
            run("kick 0 1")
        assert (number("kicked"), -(caught.value.errno or 0)) == (found, found)
        if found == -errno.ENODEV:
            # Where it is now has a period.
            control.create("r", period="1s", layout=PROBE_LAYOUT)
            run("add 0 r")
    assert control.get("r").counters.ticks == 1


def test_kick_without_permission_is_refused(control: rtshm.Control) -> None:
    with (
        rtshm.open("default") as default,
        rtshm.open("r", readonly=True) as reader,
        rtshm.open("r") as region,
        region.samples() as history,
    ):
        with pytest.raises(
            OSError, match='the region has a period; make one with the period "none"'
        ) as caught:
            default.kick()
        assert caught.value.errno == errno.EINVAL
        with pytest.raises(rtshm.AccessError, match="opened read-only"):
            reader.kick()
        for fd, found in ((reader.fileno(), errno.EBADF), (history.fileno(), errno.ENOTTY)):
            with pytest.raises(OSError) as caught:
                fcntl.ioctl(fd, IOC_KICK)
            assert caught.value.errno == found
        assert control.get("r").counters.ticks == 0
        control.delete("r")
        with pytest.raises(rtshm.RegionDeletedError):
            region.kick()


@pytest.mark.parametrize(
    "settings",
    [{"lead": "1us"}, {"phase": 0}, {"cpu_latency": "1us"}, {"start_ns": 2**62}],
    ids=lambda settings: "".join(settings),
)
def test_setting_of_a_period_is_refused_without_one(
    control: rtshm.Control, settings: dict[str, Any]
) -> None:
    words = "period-ns: lead, phase, start and cpu-latency need a period"
    with pytest.raises(OSError, match=words) as caught:
        control.create("s", period=0, **settings)
    assert caught.value.errno == errno.EINVAL
    if "start_ns" not in settings:
        with pytest.raises(OSError, match=words):
            control.set("r", **settings)
    assert control.get("r").period_ns == 0


def test_region_stays_with_a_period_or_without_one(control: rtshm.Control) -> None:
    control.create("s", period="1s")
    words = "period-ns: a region cannot gain or lose its period"
    for name, period in (("r", "1ms"), ("s", "none")):
        before = control.get(name).period_ns
        with pytest.raises(OSError, match=words) as caught:
            control.set(name, period=period)
        assert (caught.value.errno, control.get(name).period_ns) == (errno.EINVAL, before)
    # All else is set as ever, and ticks nothing.
    control.set("r", history=100, cpu=0, task_budget="1ms")
    kicks(3)
    assert control.get("r").counters.ticks == 3
    assert control.get("r").timer_cpu is None


def test_region_that_is_deleted_while_it_is_kicked_ticks_no_more(control: rtshm.Control) -> None:
    """And nothing of it is used when it is gone, which KASAN would see."""
    module.insert(module.PROBE)

    def kick(region: rtshm.Region[Any]) -> None:
        with suppress(rtshm.RegionDeletedError):
            while True:
                region.kick()

    for _ in range(20):
        run("add 0 r")
        with rtshm.open("r") as region:
            threads = [threading.Thread(target=kick, args=(region,)) for _ in range(2)]
            for thread in threads:
                thread.start()
            wait_until(lambda: control.get("r").counters.ticks > 50, "fifty ticks")
            control.delete("r")
            last = region.read()["tick"]
            for thread in threads:
                thread.join()
            assert region.read()["tick"] == last > 50
        control.create("r", period="none", layout=PROBE_LAYOUT, history=1024)
    module.remove("rtshm_probe")


def shifted(by_ns: int) -> Any:
    (PARAMETERS / "shift_ns").write_text(str(by_ns))
    with rtshm.Samples("s") as reader:
        reader.read_array(10)
        return numpy.concatenate([reader.read_array(200) for _ in range(200)])[:200]


@pytest.mark.parametrize(("asked_ns", "ns"), [(-(10**15), -125_000), (7, 7), (10**15, 125_000)])
def test_tick_is_shifted_by_an_eighth_of_the_period_at_most(
    control: rtshm.Control, probe: None, asked_ns: int, ns: int
) -> None:
    control.create("s", period=MS, layout=PROBE_LAYOUT, history=4096)
    run("add 1 s")
    seen = shifted(asked_ns)
    due = seen["time_ns"] - seen["lateness_ns"]
    # Each tick shifts those after it, and each period is a tick or missed.
    assert (numpy.diff(due) == MS * (1 + seen["missed"][1:].astype("i8")) + ns).all()
    run("remove 1")
    (PARAMETERS / "shift_ns").write_text("0")


@pytest.mark.stock
@pytest.mark.needs("bpf")
def test_ticks_lock_onto_a_clock_that_is_50_ppm_off(control: rtshm.Control) -> None:
    """Within a second, to a microsecond."""
    control.create("s", period=MS, layout=LAYOUT, history=8192)
    with rtshm.Samples("s") as reader, rtshm.Task("s", LOCK):
        rows = [reader.read_array(1000)]
        while rows[-1]["tick"][-1] < 4000:
            rows.append(reader.read_array(1000))
    seen = numpy.concatenate(rows)
    due = seen["time_ns"] - seen["lateness_ns"]
    # From the first tick of the task on.
    settled = due - due[numpy.flatnonzero(seen["error"])[0]] > 1000 * MS
    # In each period that this machine misses, the other clock gains 50 ns; a tick makes up
    # for a quarter of what there is.
    gains_ns = 50 * 0.75 ** numpy.arange(50)
    settled &= numpy.convolve(seen["missed"], gains_ns)[: len(seen)] < 500
    assert numpy.count_nonzero(settled) > 100
    assert numpy.abs(seen["error"][settled]).max() < 1000
    other = due + due // 20_000
    late = (other + MS // 2) % MS - MS // 2
    assert numpy.abs(late[settled]).max() < 1000
    # Each period is a tick or missed, whatever it was shifted by.
    periods = 1 + seen["missed"][1:].astype("i8")
    assert (numpy.abs(numpy.diff(due) - periods * MS) <= MS // 8).all()
