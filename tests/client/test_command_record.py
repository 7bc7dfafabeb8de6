"""The command `rtshm` for recordings: record, and play, which writes one back."""

from __future__ import annotations

import csv
import itertools
import json
import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import numpy
import pytest
import rtshm
from rtshm import Control, Samples
from rtshm.cli import main
from rtshm.recording import Recording, conditions, play
from rtshm.recording.conditions import Conditions
from rtshm.recording.recorder import Recorder

from tests.lib import first, module
from tests.lib.command import begun, forked, leave, on_terminal
from tests.lib.module import PATIENCE
from tests.lib.waiting import wait_until

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.lib.fixtures import Load

    Run = Callable[..., tuple[int, str, str]]

TEXT = "speed:f64 gain:f32 mode:u8{off=0,on=1} _:x3 axes:i32[2]"
RECORDS = [
    {"speed": 0.1 * number, "gain": 0.5 + number, "mode": number % 2, "axes": [number, -number]}
    for number in range(5)
]
MS = timedelta(milliseconds=1)
SUFFIXES = pytest.mark.parametrize("suffix", [".arrows", ".mcap", ".csv"])

# A process has much to import before its first sample, in an emulated guest for ten seconds.
BEGIN = 3 * PATIENCE


@pytest.fixture
def control(load: Load) -> Iterator[Control]:
    """With a region `motor`, which has taken RECORDS, one announced after the other."""
    load(print=0, period_ns=3_600_000_000_000)
    with Control() as control:
        control.create("motor", period=MS, history=20_000, record_bytes=32, layout=TEXT)
        with rtshm.open("motor") as motor:
            for number, record in enumerate(RECORDS):
                motor.write(record)
                motor.publish(number)
                motor.wait_taken(PATIENCE)
        yield control


@pytest.fixture
def rtshm_here(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Run:
    """The command in this process, which has imported all: status, output and errors."""

    def run(*arguments: str) -> tuple[int, str, str]:
        # An error puts another in its place.
        monkeypatch.setattr(sys, "stdout", sys.stdout)
        monkeypatch.setattr(sys, "argv", ["rtshm", *arguments])
        with pytest.raises(SystemExit) as left:
            main()
        monkeypatch.undo()
        out, err = capsys.readouterr()
        # As the interpreter does with it.
        code = left.value.code
        return (code, out, err) if isinstance(code, int) else (1, out, f"{err}{code}\n")

    return run


@contextmanager
def recording(name: str, file: Path) -> Iterator[subprocess.Popen[str]]:
    """`rtshm record` that has written samples."""
    process = begun("record", name, "-o", str(file), stderr=subprocess.PIPE)
    try:
        wait_written(file, 0)
        yield process
    finally:
        process.kill()
        process.wait()
        assert process.stderr
        process.stderr.close()


def wait_written(file: Path, size: int) -> int:
    """Wait until the file has grown by samples, and is larger; how large it is."""
    begun = wait_until(lambda: file.exists() and file.stat().st_size, f"{file} is there", BEGIN)
    # What comes before the first samples, in writes of their own, is less.
    least = max(begun + 8192, size)

    def grown() -> int:
        now = file.stat().st_size
        return now if now > least else 0

    return wait_until(grown, f"{file} is larger than {least} bytes", BEGIN)


def ends(process: subprocess.Popen[str]) -> str:
    """What it says when it ends well."""
    _, said = process.communicate(timeout=PATIENCE)
    assert process.returncode == 0, said
    return said


@pytest.mark.promise("recordings: A recording has each tick with its fields and conditions")
@SUFFIXES
def test_recording_has_every_tick_with_the_fields_it_saw(
    control: Control, tmp_path: Path, suffix: str, rtshm_here: Run
) -> None:
    file = tmp_path / f"run{suffix}"
    # All there were so far, and some that come.
    count = control.get("motor").counters.ticks + 300
    done = rtshm_here("record", "motor", "-o", str(file), "--samples", str(count), "--oldest")
    assert done == (0, "", "")
    array = rtshm.load(file).array
    assert len(array) == count
    assert (numpy.diff(array["tick"]) == 1).all()
    due = array["time_ns"] - array["lateness_ns"]
    assert (numpy.diff(due) == 1_000_000 * (1 + array["missed"][1:])).all()
    taken = array[array["flags"] == 1]
    assert [
        {name: row[name].tolist() for name in ("speed", "gain", "mode", "axes")} for row in taken
    ] == RECORDS
    assert list(taken["some_int"]) == list(range(5))

    conditions = rtshm.load(file).conditions
    assert (conditions.region, conditions.layout) == ("motor", TEXT)
    assert (conditions.period_ns, conditions.record_bytes) == (1_000_000, 32)
    assert (conditions.samples, conditions.lost) == (count, 0)
    assert conditions.missed == array["missed"][1:].sum()
    assert conditions.ended == "all samples are there"
    assert conditions.kernel == os.uname().release
    assert (conditions.preemption == "PREEMPT_RT") == ("-rt-" in os.uname().release)
    assert "QEMU" in conditions.virtualization
    assert abs(time.time_ns() - conditions.started_ns) < 600e9
    assert int(array["time_ns"][0]) < conditions.started_monotonic_ns < time.monotonic_ns()


@pytest.mark.promise("recordings: A recording has each tick with its fields and conditions")
def test_csv_has_the_same_for_a_duration(control: Control, tmp_path: Path, rtshm_here: Run) -> None:
    file = tmp_path / "run.csv"
    begin = time.monotonic()
    done = rtshm_here("record", "motor", "-o", str(file), "--duration", "300ms")
    assert time.monotonic() - begin >= 0.3
    assert done == (0, "", "")
    with file.open() as text:
        rows = list(csv.DictReader(text))
    ticks = [int(row["tick"]) for row in rows]
    assert ticks == list(range(ticks[0], ticks[0] + len(ticks)))
    span = int(rows[-1]["time_ns"]) - int(rows[0]["time_ns"])
    assert 0 < span < 300e6
    row = rows[-1]
    assert (row["speed"], row["gain"], row["mode"]) == ("0.4", "4.5", "off")
    assert (row["axes[0]"], row["axes[1]"], row["some_int"]) == ("4", "-4", "4")
    assert rtshm.load(file).conditions.samples == len(rows)


def test_pipe_has_the_samples_as_they_come(control: Control) -> None:
    process = begun("record", "motor", "-o", "-", "--field", "speed", stdout=subprocess.PIPE)
    try:
        assert process.stdout
        assert process.stdout.readline().startswith("tick,time_ns,")
        first = [process.stdout.readline().split(",") for _ in range(10)]
        ticks = [int(row[0]) for row in first]
        assert ticks == list(range(ticks[0], ticks[0] + 10))
        assert first[0][-1] == "0.4\n"
        # As head(1) does.
        process.stdout.close()
        assert process.wait(PATIENCE) == 1
    finally:
        process.kill()
        process.wait()


@pytest.mark.promise("recordings: Several regions are on one time line")
def test_two_regions_are_recorded_on_one_time_line(
    control: Control, tmp_path: Path, rtshm_here: Run
) -> None:
    control.create("axis2", period=3 * MS, history=20_000)
    file = tmp_path / "run.csv"
    # Several chunks.
    done = rtshm_here("record", "motor", "axis2", "-o", str(file), "--duration", "2500ms")
    assert done == (0, "", "")
    with file.open() as text:
        rows = list(csv.DictReader(text))
    times = [int(row["time_ns"]) for row in rows]
    assert times == sorted(times)
    assert {row["motor.speed"] for row in rows if row["region"] == "axis2"} == {""}
    run = rtshm.load(file)
    for name in run.regions:
        ticks = run[name].array["tick"]
        assert (numpy.diff(ticks) == 1).all()
        assert len(ticks) == run[name].conditions.samples > 500


def test_recording_by_a_program_ends_when_it_says_so(control: Control, tmp_path: Path) -> None:
    seen: list[rtshm.Progress] = []
    with rtshm.open("motor") as motor:
        run = rtshm.record(
            motor,
            tmp_path / "run.csv",
            fields=["speed"],
            on_progress=seen.append,
            stopped=lambda: "that is enough" if seen and seen[-1].samples > 100 else "",
        )
    assert run.conditions.ended == "that is enough"
    assert len(run.array) == run.conditions.samples > 100
    assert [each.samples for each in seen] == sorted(each.samples for each in seen)
    assert (run.array.dtype.names or ())[-1] == "speed"
    with pytest.raises(rtshm.LayoutError, match="no field torque; motor has tick, "):
        rtshm.record("motor", tmp_path / "other.csv", fields=["torque"])
    with pytest.raises(KeyboardInterrupt):
        rtshm.record("motor", tmp_path / "other.csv", stopped=interrupt)
    assert rtshm.load(tmp_path / "other.csv").conditions.ended == "KeyboardInterrupt"


def interrupt() -> str:
    raise KeyboardInterrupt


@pytest.mark.promise("recordings: Control-C completes a recording, with status 0")
def test_progress_shows_on_a_terminal_and_control_c_ends_it_well(
    control: Control, tmp_path: Path
) -> None:
    file = tmp_path / "run.csv"
    terminal = on_terminal("record", "motor", "-o", str(file), size=(24, 120), TERM="xterm")
    terminal.timeout = BEGIN
    terminal.expect(r"motor .*[1-9][\d,]* samples +[1-9][\d,]* samples/s +0 lost")
    terminal.sendcontrol("c")
    terminal.expect(r"run\.csv: (\d+) samples, 0 lost, \d+ periods missed; Control-C\r\n")
    assert isinstance(terminal.match, re.Match)
    told = int(terminal.match[1])
    assert leave(terminal) == 0
    recorded = rtshm.load(file)
    assert len(recorded.array) == recorded.conditions.samples == told > 0
    assert recorded.conditions.ended == "Control-C"
    assert sorted(os.listdir(tmp_path)) == ["run.csv", "run.csv.json"]


@pytest.mark.promise("recordings: SIGTERM and SIGHUP complete a recording")
@pytest.mark.parametrize(
    ("suffix", "number"),
    [(".arrows", signal.SIGTERM), (".mcap", signal.SIGHUP), (".csv", signal.SIGQUIT)],
)
def test_signal_ends_it_well_and_what_was_lost_is_the_gaps_in_the_ticks(
    control: Control, tmp_path: Path, suffix: str, number: signal.Signals
) -> None:
    control.create("a", period=timedelta(microseconds=200), history=64)
    file = tmp_path / f"run{suffix}"
    with recording("a", file) as process:
        # Too slow by many times what is kept.
        process.send_signal(signal.SIGSTOP)
        begin = control.get("a").counters.ticks
        first.tick("a", begin + 1000)
        size = file.stat().st_size
        process.send_signal(signal.SIGCONT)
        wait_written(file, size)
        process.send_signal(number)
        said = ends(process)
    recorded = rtshm.load(file)
    ticks = recorded.array["tick"]
    gaps = int(ticks[-1]) - int(ticks[0]) + 1 - len(ticks)
    assert recorded.conditions.lost == gaps > 800
    told = f"rtshm: {file}: {len(ticks)} samples, {gaps} lost, "
    assert re.fullmatch(rf"{told}\d+ periods missed; {number.name}\n", said)


@pytest.mark.promise("recordings: A deleted region and an exception complete a recording")
def test_deleted_region_ends_it_well(control: Control, tmp_path: Path, rtshm_here: Run) -> None:
    file = tmp_path / "run.csv"

    def delete() -> None:
        try:
            wait_written(file, 0)
        finally:
            control.delete("motor")

    deleter = threading.Thread(target=delete)
    deleter.start()
    status, out, said = rtshm_here("record", "motor", "-o", str(file))
    deleter.join()
    recorded = rtshm.load(file)
    assert recorded.conditions.ended == "the region was deleted"
    assert recorded.conditions.samples == len(recorded.array) > 0
    assert (status, out) == (0, "")
    assert said.endswith("; the region was deleted\n")


@pytest.mark.promise("recordings: A killed program leaves all but its last second")
@SUFFIXES
def test_killed_recording_has_all_but_its_last_second(
    control: Control, tmp_path: Path, suffix: str
) -> None:
    file = tmp_path / f"run{suffix}"
    with recording("motor", file) as process:
        process.kill()
        process.wait()
    recorded = rtshm.load(file)
    assert recorded.conditions.ended == "cut off"
    ticks = recorded.array["tick"]
    assert recorded.conditions.samples == len(ticks) > 0
    assert control.get("motor").counters.ticks - ticks[-1] < PATIENCE * 1000


@pytest.mark.promise("recordings: A full disk keeps what it stored, and the file says so")
@SUFFIXES
def test_full_disk_keeps_what_it_took(
    control: Control, tmp_path: Path, suffix: str, rtshm_here: Run
) -> None:
    subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=64k", "none", tmp_path], check=True, timeout=PATIENCE
    )
    try:
        file = tmp_path / f"run{suffix}"
        status, _, said = rtshm_here("record", "motor", "-o", str(file), "--oldest")
        assert status == 1
        recorded = rtshm.load(file)
        assert said.splitlines() == [
            f"rtshm: {file}: No space left on device (ENOSPC, 28)",
            f"rtshm: the {len(recorded.array)} samples so far are in {file}",
        ]
        assert recorded.conditions.ended == "No space left on device"
        assert rtshm_here("record", "motor", "-o", str(file)) == (
            1,
            "",
            f"rtshm: {file}: File exists (EEXIST, 17)\n"
            "rtshm: a recording does not replace a file: use another name, or --force\n",
        )
    finally:
        subprocess.run(["umount", tmp_path], check=True, timeout=PATIENCE)


def in_time_namespace(offset: int, command: list[str]) -> None:
    """Run the command in a fork of this process; where the clock is ahead by so many seconds."""

    def act() -> None:
        module.unshare(module.CLONE_NEWTIME)
        Path("/proc/self/timens_offsets").write_text(f"monotonic {offset} 0\n")
        # It is for those that are started from now on.
        if pid := os.fork():
            os._exit(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
        conditions._timens_offset_ns.cache_clear()
        forked(command)()

    subprocess.run(["rtshm"], check=True, timeout=BEGIN, preexec_fn=act)


@pytest.mark.promise("recordings: A time namespace makes no difference")
def test_time_namespace_has_no_clock_of_its_own(control: Control, tmp_path: Path) -> None:
    for number, offset in enumerate((100_000, -10)):
        file = tmp_path / f"{number}.csv"
        command = ["record", "motor", "-o", str(file), "--duration", "500ms"]
        in_time_namespace(offset, command)
        run = rtshm.load(file)
        span = int(run.array["time_ns"][-1] - run.array["time_ns"][0])
        # Ticks may be missed at the beginning and the end.
        assert 250e6 < span < 500e6
        assert abs(int(run.array["time_ns"][0]) - run.conditions.started_monotonic_ns) < 100e9


def test_region_without_a_history_is_refused_with_the_remedy(
    load: Load, tmp_path: Path, rtshm_here: Run
) -> None:
    load(print=0)
    status, _, said = rtshm_here("record", "default", "-o", str(tmp_path / "run.csv"))
    assert status == 1
    assert "rtshm: the region records nothing: rtshm set default --history" in said
    assert os.listdir(tmp_path) == []


@pytest.mark.promise(
    "recordings: A tick sees what is played, at its speed; another layout is refused"
)
def test_play_writes_back_what_a_tick_then_sees(
    control: Control, tmp_path: Path, rtshm_here: Run
) -> None:
    file = tmp_path / "run.csv"
    with Samples("motor", oldest=True) as samples:
        array = samples.read_array(20_000)
        info = samples.info
    (announced,) = numpy.nonzero(array["flags"])
    # To one sample behind the last that was taken.
    array = array[: announced[-1] + 2]
    with Recorder(file, Conditions.now(info)) as recorder:
        recorder.write(array)
        recorder.finish("test")

    control.create("b", period=MS, history=20_000, record_bytes=32, layout=TEXT)
    with Samples("b") as samples, rtshm.open("b") as region:
        begin = time.monotonic_ns()
        status, out, said = rtshm_here("play", "b", str(file), "--speed", "0.5")
        assert time.monotonic_ns() - begin >= 2 * int(array["time_ns"][-1] - array["time_ns"][0])
        assert (status, out) == (0, "")
        assert re.fullmatch(
            rf"rtshm: b: {len(array)} samples written, at most \S+ [num]?s late\n", said
        )
        assert region.read() == RECORDS[-1]
        taken: list[numpy.void] = []
        deadline = time.monotonic() + PATIENCE
        while not taken or taken[-1]["some_int"] != len(RECORDS) - 1:
            assert time.monotonic() < deadline
            seen = samples.read_array(20_000)
            taken += list(seen[seen["flags"] == 1])
    # A machine that is late writes one so soon after another that no tick falls between; and
    # the fields of the next, which are written before it is announced, may be there already.
    numbers = [int(row["some_int"]) for row in taken]
    assert numbers == sorted(set(numbers))
    for row in taken:
        number = int(row["some_int"])
        record = [row[name].tolist() for name in RECORDS[0]]
        assert record in [list(one.values()) for one in RECORDS[number : number + 2]]


@pytest.mark.promise(
    "recordings: play --loop continues until it is stopped or the region is deleted"
)
def test_play_goes_on_in_a_loop_until_the_region_is_deleted(control: Control) -> None:
    with Samples("motor") as samples:
        recording = Recording.of(Conditions.now(samples.info), samples.read_array(1))
    control.create("d", layout=TEXT)
    with rtshm.open("d") as region:
        # Its layout is not there any more when the region is not.
        view = region.view
        looks = itertools.count()

        def delete() -> bool:
            if next(looks) == 3:
                control.delete("d")
            return False

        # One sample, and a period of 1 ms after it.
        played = play.play(recording, region, speed=0.1, loop=True, stopped=delete)
        assert view.speed == RECORDS[-1]["speed"]
    assert played.deleted
    assert played.written > 1
    assert next(looks) == 4
    answers = iter([False, False, True])
    with rtshm.open("motor") as region:
        played = play.play(recording, region, loop=True, stopped=lambda: next(answers))
    assert (list(answers), played.deleted) == ([], False)


def test_play_of_two_regions_says_what_was_lost_and_holds(
    control: Control, tmp_path: Path, rtshm_here: Run
) -> None:
    control.create("axis2", period=MS, history=20_000, record_bytes=16, layout="at:f64")
    file = tmp_path / "run.csv"
    with Samples("motor", oldest=True) as one, Samples("axis2", oldest=True) as other:
        infos = one.info, other.info
        arrays = [samples.read_array(100) for samples in (one, other)]
    arrays[1]["at"] = numpy.arange(len(arrays[1]))
    with Recorder(file, [Conditions.now(info) for info in infos]) as recorder:
        recorder.write(numpy.delete(arrays[0], slice(1, 4)), 0)
        recorder.write(arrays[1], 1)
        recorder.finish("test")
    status, _, said = rtshm_here("play", "axis2", "motor", str(file), "--speed", "10")
    assert status == 0
    first, second = said.splitlines()
    assert first == f"rtshm: {file}: 3 samples were lost; the values before them are held"
    assert second.startswith(f"rtshm: motor, axis2: {sum(map(len, arrays)) - 3} samples written")
    with rtshm.open("axis2") as region:
        assert region.read() == {"at": len(arrays[1]) - 1}
    assert rtshm_here("play", "motor", str(file))[0] == 2
    for speed in ("nan", "inf", "0", "-1", "1e-320", "1e300", "fast"):
        status, _, said = rtshm_here("play", "motor", str(file), f"--speed={speed}")
        assert (status, said.count("Traceback")) == (2, 0)


@pytest.mark.promise(
    "recordings: A tick sees what is played, at its speed; another layout is refused"
)
def test_play_into_another_layout_is_refused_with_both(
    control: Control, tmp_path: Path, rtshm_here: Run
) -> None:
    file = tmp_path / "run.csv"
    rtshm_here("record", "motor", "-o", str(file), "--samples", "3", "--oldest")
    control.create("c", layout="speed:f32 _:x4")
    assert rtshm_here("play", "c", str(file)) == (
        1,
        "",
        f"rtshm: c: its layout is 'speed:f32 _:x4', and that of {file} is {TEXT!r}\n",
    )


@pytest.mark.promise("recordings: Samples arrive live in PlotJuggler's and Foxglove's protocols")
def test_stream_sends_every_tick_as_json_until_sigterm(control: Control) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as server:
        server.settimeout(BEGIN)
        server.bind(("127.0.0.1", 0))
        to = f"udp://127.0.0.1:{server.getsockname()[1]}"
        process = begun("stream", "motor", "--to", to, "--every", "2", stderr=subprocess.PIPE)
        try:
            found = [json.loads(server.recv(1 << 16)) for _ in range(20)]
            process.send_signal(signal.SIGTERM)
            said = ends(process)
        finally:
            process.kill()
            process.wait()
    ticks = [each["motor"]["tick"] for each in found]
    assert ticks == list(range(ticks[0], ticks[0] + 40, 2))
    assert found[0]["motor"]["speed"] == RECORDS[-1]["speed"]
    assert abs(found[0]["timestamp"] - time.time()) < 600
    assert re.fullmatch(r"rtshm: motor: \d+ samples sent, 0 lost; SIGTERM\n", said)


def test_stream_to_a_pipe_ends_with_the_region(control: Control) -> None:
    process = begun("stream", "motor", "--to", "-", stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    assert process.stdout
    first = json.loads(process.stdout.readline())
    assert first["motor"]["axes"] == RECORDS[-1]["axes"]
    control.delete("motor")
    process.stdout.read()
    assert ends(process).endswith("; the region was deleted\n")
