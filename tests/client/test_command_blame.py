"""rtshm blame: what it prints and saves, and how it leaves tracing; tests/boots has 20 of 20."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import rtshm
from rtshm import late, tracing

from tests.lib import command, module
from tests.lib.child import killed
from tests.lib.ftrace import EVENT, TRACEFS
from tests.lib.waiting import wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.lib.fixtures import Load

RUN = Path("/sys/module/rtshm_probe/parameters/run")
# As late as no host makes a tick that runs this.
OFF_NS = 300_000_000
ABOVE = "150ms"
BY = "probe_interrupts_off [rtshm_probe]"


def state() -> dict[str, str]:
    """All that a user of tracing sets, and the instances that there are."""
    files = [
        TRACEFS / name for name in ("set_event", "trace_clock", "tracing_on", "buffer_size_kb")
    ]
    files += [EVENT / name for name in ("enable", "filter", "trigger")]
    return {
        **{str(file): file.read_text() for file in files},
        "instances": str(sorted(tracing.INSTANCES.iterdir())),
    }


@pytest.fixture
def motor(load: Load) -> Iterator[rtshm.Control]:
    load(print=0, period_ns=3_600_000_000_000)
    module.insert(module.PROBE)
    before = state()
    try:
        with rtshm.Control() as control:
            control.create("motor", period=1_000_000, cpu=0)
            yield control
    finally:
        module.remove("rtshm_probe")
    assert state() == before


def again() -> None:
    os.sched_setaffinity(0, {0})
    while True:
        RUN.write_text(f"off {OFF_NS}")
        time.sleep(0.1)


def armed(pid: int) -> bool:
    """Whether this `blame` waits for a late tick."""
    filtered = tracing.INSTANCES / f"rtshm-blame-stacks-{pid}/events/rtshm/rtshm_tick/filter"
    return filtered.exists() and "motor" in filtered.read_text()


def test_function_call_and_process_are_printed_and_the_trace_is_saved(
    motor: rtshm.Control, tmp_path: Path
) -> None:
    text = tmp_path / "late.txt"
    with killed(again) as pid:
        done = command.run("blame", "motor", "--above", ABOVE, "-o", str(text))
    assert (done.returncode, done.stderr) == (0, "")
    lines = done.stdout.splitlines()
    assert re.fullmatch(r"motor: tick \d+ was \d+\.\d ms late, cpu 0", lines[0])
    assert lines[1:3] == [f"by       {BY}, which kept interrupts off", "in       write"]
    assert re.fullmatch(rf"process  \S+ \({pid}\)", lines[3])
    assert lines[4].startswith("stack    probe_interrupts_off+0x")
    assert any(line.endswith("the tick was due") for line in lines)
    assert text.read_text().startswith("# tracer: nop\n")
    assert f"region=motor tick={lines[0].split()[2]} " in text.read_text()
    assert "sched_switch" in text.read_text()


def test_json_has_the_timeline_up_to_the_tick(motor: rtshm.Control) -> None:
    with killed(again) as pid:
        found = json.loads(command.done("blame", "motor", "--above", ABOVE, "--json"))
    assert (found["kind"], found["by"], found["call"]) == ("function", BY, "write")
    assert (found["region"], found["cpu"], found["pid"]) == ("motor", 0, pid)
    assert found["lateness-ns"] > 150_000_000
    last = [span for span in found["timeline"] if span["kind"] == "process"][-1]
    assert (last["end-ns"], f"({pid})" in last["name"]) == (0, True)
    assert last["begin-ns"] < -found["lateness-ns"]


@pytest.mark.promise("blame: A tick of another region that was in the way is named")
def test_tick_of_another_region_is_named(motor: rtshm.Control) -> None:
    (RUN.parent / "spin_ns").write_text(str(OFF_NS))
    motor.create("slow", period=10**9, cpu=0)
    RUN.write_text("add 1 slow")
    found = rtshm.blame("motor", ABOVE, timeout=60)
    RUN.write_text("remove 1")
    assert found
    assert (found.kind, found.by) == ("timer", "rtshm_tick of slow")


@contextmanager
def waiting() -> Iterator[subprocess.Popen[str]]:
    process = command.begun("blame", "motor", "--above", "1h", stderr=subprocess.PIPE)
    try:
        wait_until(lambda: armed(process.pid), "it waits for a tick")
        yield process
    finally:
        process.kill()
        process.communicate()


@pytest.mark.promise("blame: Tracing is as before, however it ends")
@pytest.mark.parametrize(
    ("number", "status", "why"),
    [(signal.SIGINT, 130, "Control-C"), (signal.SIGTERM, 1, "SIGTERM")],
)
def test_tracing_is_as_before_after_a_signal(
    motor: rtshm.Control, number: int, status: int, why: str
) -> None:
    before = state()
    with waiting() as process:
        process.send_signal(number)
        _, said = process.communicate(timeout=module.PATIENCE)
        assert (process.returncode, said) == (
            status,
            f"rtshm: motor: no tick later than 3600s; {why}\n",
        )
        assert state() == before


def test_deleted_region_ends_it(motor: rtshm.Control) -> None:
    before = state()
    with waiting() as process:
        motor.delete("motor")
        _, said = process.communicate(timeout=module.PATIENCE)
    assert (process.returncode, said) == (
        1,
        "rtshm: motor: the region was deleted (ENODEV, 19)\nrtshm: no tick was that late\n",
    )
    assert state() == before


@pytest.mark.promise("blame: Tracing is as before, however it ends")
def test_next_run_removes_what_a_killed_one_left_and_nothing_else(motor: rtshm.Control) -> None:
    other = tracing.INSTANCES / "other"
    other.mkdir()
    before = state()
    try:
        with waiting() as alive:
            with waiting() as process:
                process.kill()
                process.wait()
                assert len(list(tracing.INSTANCES.iterdir())) == 5
            done = command.run("blame", "motor", "--above", "1h", "--duration", "10ms")
            assert (done.returncode, done.stderr) == (
                1,
                "rtshm: motor: no tick later than 3600s; 10ms\n",
            )
            assert len(list(tracing.INSTANCES.iterdir())) == 3
            alive.send_signal(signal.SIGTERM)
            alive.communicate(timeout=module.PATIENCE)
        assert state() == before
    finally:
        other.rmdir()


@pytest.mark.promise("blame: The module can be unloaded meanwhile, and after a SIGKILL")
def test_module_is_unloaded_under_it_and_under_what_a_killed_one_left(load: Load) -> None:
    before = set(tracing.INSTANCES.iterdir())
    load(print=0)
    with rtshm.Control() as control:
        control.create("motor", period=1_000_000)
    with waiting() as alive, waiting() as process:
        process.kill()
        process.wait()
        module.unload()
        _, said = alive.communicate(timeout=module.PATIENCE)
        assert (alive.returncode, "the region was deleted" in said) == (1, True)
    load(print=0)
    assert command.run("blame", "default", "--above", "1h", "--duration", "1ms").returncode == 1
    assert set(tracing.INSTANCES.iterdir()) == before


@pytest.mark.promise("blame: A refusal says what to do")
def test_refusal_has_a_remedy(motor: rtshm.Control, monkeypatch: pytest.MonkeyPatch) -> None:
    before = state()
    done = command.run("blame", "motor", "--above", "1ms", user=65534)
    assert (done.returncode, done.stdout, done.stderr) == (
        1,
        "",
        "rtshm: /sys/kernel/tracing/instances: Permission denied (EACCES, 13)\n"
        "rtshm: tracing takes root: use sudo, outside of containers\n",
    )
    without = "mount --make-rprivate / && umount /sys/kernel/tracing"
    done = command.run(
        *("blame", "motor", "--above", "1ms"), unshare=module.CLONE_NEWNS, prepare=without
    )
    assert (done.returncode, done.stderr) == (
        1,
        "rtshm: /sys/kernel/tracing/instances: No such file or directory (ENOENT, 2)\n"
        "rtshm: tracefs is not mounted: sudo mount -t tracefs nodev /sys/kernel/tracing; "
        "a kernel without CONFIG_TRACING has none\n",
    )
    done = command.run("blame", "pump", "--above", "1ms")
    assert (done.returncode, done.stderr[:13]) == (1, "rtshm: pump: ")
    done = command.run("blame", "motor", "--above", "1ms", "-o", "/none/late.txt")
    assert (done.returncode, done.stderr) == (
        1,
        "rtshm: /none/late.txt: No such file or directory (ENOENT, 2)\n",
    )
    monkeypatch.setattr(late, "NEEDED", ("irq/none",))
    with pytest.raises(rtshm.RefusedError) as caught:
        rtshm.blame("motor", "1ms")
    assert "this kernel has no event irq:none" in str(caught.value)
    assert "CONFIG_EVENT_TRACING" in caught.value.remedy
    assert state() == before
