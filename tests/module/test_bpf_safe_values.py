"""Safe values when the writer is silent: rtshm.SafeValues and client/rtshm/tasks/safe.bpf.c."""

from __future__ import annotations

import errno
import re
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy
import pytest
import rtshm
from rtshm import safe

from tests.lib import bpf_tasks, command
from tests.lib.bpf_tasks import COUNT, PERIOD_NS, SAFE, assert_promised, history
from tests.lib.waiting import wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.lib.fixtures import Load

pytestmark = [pytest.mark.same_on_rt, pytest.mark.stock, pytest.mark.needs("bpf")]

LAYOUT = "setpoint:i32 safe:i32 beat:u16 age:u64 gain:f32 axes:i16[3]"
NOBODY = 65534


@pytest.fixture
def control(load: Load) -> Iterator[rtshm.Control]:
    """A region `r` that records."""
    load(print=0, period_ns=3_600_000_000_000, history_max=1 << 20)
    with rtshm.Control() as control:
        create(control)
        try:
            yield control
        finally:
            # A task that a failed test left would hold the module.
            control.delete("r")


def create(control: rtshm.Control, **settings: Any) -> None:
    control.create("r", **{"period": PERIOD_NS, "layout": LAYOUT, "history": 1 << 16, **settings})


@pytest.mark.promise("safe values: They are in each tick that is promised, and in no other")
@pytest.mark.once
def test_safe_values_of_killed_writers_come_in_the_tick_promised(
    load: Load, tmp_path: Path
) -> None:
    bpf_tasks.kill_writers(load, tmp_path, 100)


@pytest.mark.promise("safe values: They stay until they are re-armed")
def test_safe_values_stay_until_they_are_rearmed(control: rtshm.Control) -> None:
    with rtshm.open("r") as region, rtshm.SafeValues(region, after="20ms", setpoint=SAFE) as guard:
        region.update(setpoint=5, announce=True)
        sample = guard.wait(timeout=60)
        assert (sample["setpoint"], sample["safe"]) == (SAFE, 1)
        assert guard.in_place
        # A writer that goes on as if nothing were.
        for value in range(100):
            region.update(setpoint=value, announce=True)
            region.view.safe = (0, -2, 99)[value % 3]
        assert guard.wait(timeout=60)["safe"] == 1
        assert guard.rearm()
        region.update(setpoint=6, announce=True)
        assert guard.wait(timeout=60)["safe"] == 2
        samples = history()
    assert_promised(samples, 20 * PERIOD_NS)
    assert (samples["setpoint"][samples["safe"] > 0] == SAFE).all()
    assert {1, -1, 2} <= {*samples["safe"].tolist()} <= {0, 1, -1, 2}


@pytest.mark.promise("safe values: A writer is alive by a field that it changes")
def test_writer_is_alive_by_a_field_that_it_changes(control: rtshm.Control) -> None:
    """Announcements of others do not count then. The age is from the last change."""
    guarded: dict[str, Any] = {"after": "10ms", "alive": "beat", "age": "age", "setpoint": SAFE}
    with rtshm.open("r") as region, rtshm.SafeValues(region, **guarded) as guard:
        for beat in range(1, 50):
            region.update(beat=beat)
        for _ in range(50):
            region.publish(1)
        guard.wait(timeout=60)
        region.publish(1)
        region.update(beat=50)
        guard.rearm()
        guard.wait(timeout=60)
        samples = history()
    changed = numpy.diff(samples["beat"].astype("i8"), prepend=0) != 0
    assert_promised(samples, 10 * PERIOD_NS, changed.astype("i8"))


@pytest.mark.promise("safe values: `show` has the age of the last sign of life")
def test_state_has_the_age_of_the_last_sign_of_life(control: rtshm.Control) -> None:
    """Without a field for it. Root sees it, and whether the safe values are in place."""
    with rtshm.open("r") as region, rtshm.SafeValues(region, after="1h", setpoint=SAFE) as guard:
        wait_until(lambda: guard.info.ticks > 0, "a tick")
        region.update(setpoint=1, announce=True)
        before = time.monotonic_ns()
        wait_until(lambda: not region.ready, "the tick that takes it")
        with rtshm.Samples("r", oldest=True) as samples:
            seen = samples.read_array(1 << 16, wait=False)
        (taken,) = seen[(seen["flags"] & 1) == 1]
        due_ns = int(taken["time_ns"] - taken["lateness_ns"])
        state = guard.state
        now = time.monotonic_ns()
        assert (state.in_place, state.times) == (False, 0)
        assert before - due_ns < state.silent_ns <= now - due_ns
    with rtshm.SafeValues("r", after="5ms", setpoint=SAFE) as guard:
        guard.wait(timeout=60)
        again = rtshm.SafeValues.of("r")
        assert again.in_place
        state = again.state
        assert (state.in_place, state.times) == (True, 1)
        assert state.silent_ns >= 5 * PERIOD_NS
        words = r"safe values in place, 1 so far; writer silent for \d+(\.\d)? \w+$"
        for shown in (command.done("show", "r"), command.done("task", "show", "r", "safe")):
            assert re.search(words, shown, re.MULTILINE), shown
        Path("/dev/rtshm/r").chmod(0o604)
        theirs = command.run("show", "r", user=NOBODY)
        assert (theirs.returncode, theirs.stderr) == (0, "")
        assert re.search(r"^ +safe +\d", theirs.stdout, re.MULTILINE)
        assert "safe values" not in theirs.stdout
        with rtshm.Task("r", COUNT, name="count") as other:
            assert safe.states([other.info]) == {}
    with pytest.raises(OSError) as caught:
        assert guard.state
    assert caught.value.errno == errno.ESRCH


def test_all_kinds_of_fields_have_safe_values(control: rtshm.Control) -> None:
    with rtshm.open("r") as region:
        region.write({name: [9, 9, 9] if name == "axes" else 9 for name in region.read()})
        region.update(safe=0)
        with rtshm.SafeValues(
            region, after=1, setpoint=1, gain=-0.5, axes=[1, -2, 3], beat=4
        ) as it:
            assert it.wait(timeout=60).fields == {
                "setpoint": 1, "safe": 1, "beat": 4, "age": 9, "gain": -0.5, "axes": [1, -2, 3],
            }  # fmt: skip


@pytest.mark.promise("safe values: Another program does not re-arm")
def test_next_program_goes_on_where_the_last_one_ended(control: rtshm.Control) -> None:
    with rtshm.open("r") as region:
        with rtshm.SafeValues(region, after=PERIOD_NS, setpoint=SAFE) as guard:
            assert guard.wait(timeout=60)["safe"] == 1
        region.update(setpoint=3)
        with rtshm.SafeValues(region, after="1h", setpoint=SAFE) as guard:
            wait_until(lambda: region.read()["setpoint"] == SAFE, "the safe values again")
            assert guard.in_place
            guard.rearm()
            region.update(setpoint=3)
            ticks = guard.info.ticks
            wait_until(lambda: guard.info.ticks > ticks + 2, "ticks")
            assert (region.read()["setpoint"], region.read()["safe"]) == (3, -1)
            assert not guard.rearm()
            with pytest.raises(TimeoutError):
                guard.wait(timeout=0.05)


@pytest.mark.promise("safe values: A task that is added later finds them in that tick")
def test_task_after_it_finds_the_safe_values_in_that_tick(control: rtshm.Control) -> None:
    """The program of count.bpf.c stores the number of the tick over what was there."""
    control.delete("r")
    create(control, layout="setpoint:i32 kp:i32 ki:i32 output:i32 error:i32 drive:i32 safe:i32")
    with rtshm.SafeValues("r", after="5ms", output=1000) as guard, rtshm.Task("r", COUNT):
        guard.wait(timeout=60)
        guard.rearm()
        guard.wait(timeout=60)
        samples = history()
    again = numpy.flatnonzero(samples["safe"] == 2)
    assert (samples["output"][again] == 1001).all()
    # Before, the program adds to what it finds.
    assert samples["output"][again[0] - 1] != 1001


REFUSED: tuple[tuple[dict[str, Any], type[Exception], str], ...] = (
    ({"after": 0, "setpoint": 1}, ValueError, "after: 0 ns; give more than 0"),
    ({"after": "5ms"}, ValueError, "no safe values; give at least one, for example setpoint=0"),
    ({"after": "5ms", "speed": 1}, ValueError, "no field speed"),
    ({"after": "5ms", "setpoint": 2**31}, OverflowError, "setpoint: 2147483648 does not fit i32"),
    ({"after": "5ms", "safe": 1}, ValueError, "safe: the field has another use here"),
    (
        {"after": "5ms", "mark": "lost", "setpoint": 1},
        rtshm.LayoutError,
        "mark: 'lost' is not a field with one i32; there are: setpoint, safe; "
        "give the region a layout with one, for example mark:i32",
    ),
    (
        {"after": "5ms", "mark": "axes", "setpoint": 1},
        rtshm.LayoutError,
        "mark: 'axes' is not a field with one i32; there are: setpoint, safe",
    ),
    (
        {"after": "5ms", "alive": "axes", "setpoint": 1},
        rtshm.LayoutError,
        "alive: 'axes' is not a field with one number; there are: setpoint, safe, beat, age, gain",
    ),
    (
        {"after": "5ms", "age": "beat", "setpoint": 1},
        rtshm.LayoutError,
        "age: 'beat' is not a field with one u64; there are: age",
    ),
)


def test_wrong_arguments_are_refused_with_words(control: rtshm.Control) -> None:
    for arguments, error, words in REFUSED:
        with pytest.raises(error) as caught:
            rtshm.SafeValues("r", **arguments)
        assert words in str(caught.value)
    with rtshm.SafeValues("r", after="1s", setpoint=1) as guard:
        assert (guard.name, guard.info.record_bytes) == ("safe", 8)
        assert 10 < (guard.info.insns_max or 0) < 1000
        with pytest.raises(OSError) as taken:
            rtshm.SafeValues("r", after="1s", setpoint=1)
        assert taken.value.errno == errno.EEXIST
    control.delete("r")
    create(control, layout="setpoint:i32 safe:i32 many:i8[511]")
    with pytest.raises(ValueError, match="the safe values are 67 stores of up to 8 bytes; 64"):
        rtshm.SafeValues("r", after="1s", setpoint=1, many=[1] * 511)


def test_command_adds_safe_values_and_rearms(control: rtshm.Control) -> None:
    guarded = ("task", "safe", "r")
    assert command.done(*guarded, "--after", "5ms", "setpoint=-7", "axes=[1, 2, 3]") == ""
    wait_until(lambda: "safe 1" in command.done("get", "r", "safe"), "the safe values")
    assert command.done("get", "r", "setpoint", "axes") == "setpoint -7\naxes [1, 2, 3]\n"
    assert command.done("task", "rearm", "r") == ""
    wait_until(lambda: "safe 2" in command.done("get", "r", "safe"), "the safe values again")
    assert command.done("task", "remove", "r", "safe") == ""
    assert command.done("task", "rearm", "r") == ""
    refused = command.run("task", "rearm", "r")
    assert (refused.returncode, refused.stderr) == (
        1,
        "Error: r: the safe values are not in place\n",
    )
    for arguments, words in (
        (("--after", "5ms", "axes[1]=3"), "axes[1]: give the whole field axes"),
        (("--after", "5ms", "setpoint"), "expected FIELD=VALUE"),
        (("--after", "5ms", "setpoint=1.5"), "setpoint: 1.5 is not a whole number"),
        (("--after", "5", "setpoint=1"), "'5' is not a time"),
    ):
        refused = command.run(*guarded, *arguments)
        assert refused.returncode == 2
        assert words in refused.stderr
