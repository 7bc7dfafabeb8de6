"""Recordings: nothing that was written is lost, and each format is read by its own library."""

from __future__ import annotations

import contextlib
import gc
import json
import os
import pickle
import random
import signal
import stat
import subprocess
import sys
import threading
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import duckdb
import numpy
import pandas
import polars
import pyarrow
import pytest
import rtshm
from mcap.reader import make_reader
from rtshm import Conditions, ExtraError, Recorder, Recording
from rtshm.recording import conditions as module
from rtshm.recording.conditions import Machine, preemption, virtualization

from tests.host.cli import run
from tests.host.recordings import COLUMNS, TEXT, begun, is_beginning, made, values, written
from tests.lib import child

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

SUFFIXES = pytest.mark.parametrize("suffix", [".arrows", ".mcap", ".csv"])
FILE = "run.arrows"


def same(one: Recording, other: Recording) -> bool:
    """Whether all values are the same, and the conditions."""
    return one.conditions == other.conditions and values(one.conditions, one.array) == values(
        other.conditions, other.array
    )


def run_python(code: str, *arguments: object) -> str:
    command = [sys.executable, "-c", code, *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.promise(
    "recordings: Other programs read each format without options, and load() returns each value"
)
@SUFFIXES
@pytest.mark.parametrize("count", [0, 1, 300])
def test_written_recording_is_read_back(tmp_path: Path, suffix: str, count: int) -> None:
    recording = made(TEXT, count)
    path = tmp_path / f"run{suffix}"
    assert written(recording, path) == recording.conditions
    back = rtshm.load(path)
    assert back.array.dtype == recording.array.dtype
    assert same(back, recording)
    # And with one field changed it is not.
    if count:
        back.array["points"]["y"][0, 1] += 1
        assert not same(back, recording)


@SUFFIXES
def test_numbers_of_every_kind_are_read_back(tmp_path: Path, suffix: str) -> None:
    text = "a:f64 b:f32 _:x4 c:i64 d:u64 e(x:f64)[2]".replace("e(x:f64)[2]", "e[2](x:f64)")
    recording = made(text, 6)
    special = [numpy.nan, numpy.inf, -numpy.inf, -0.0, 5e-324, 1.7976931348623157e308]
    recording.array["a"] = recording.array["e"]["x"][:, 1] = special
    recording.array["b"] = numpy.array([*special[:4], 1e-45, 3.4028235e38], "f4")
    recording.array["c"] = [-(2**63), 2**63 - 1, -1, 0, 1, 2**53 + 1]
    recording.array["d"] = [2**64 - 1, 0, 1, 2**63, 2**53 + 1, 5]
    written(recording, tmp_path / f"run{suffix}")
    back = rtshm.load(tmp_path / f"run{suffix}").array
    for name in ("a", "b", "c", "d", "e"):
        assert back[name].tolist().__repr__() == recording.array[name].tolist().__repr__()


@SUFFIXES
def test_region_without_a_layout_has_its_word(tmp_path: Path, suffix: str) -> None:
    recording = made("", 10)
    written(recording, tmp_path / f"run{suffix}")
    assert same(rtshm.load(tmp_path / f"run{suffix}"), recording)


@pytest.mark.promise("recordings: A file cut at any byte has all but its last chunk")
@SUFFIXES
def test_file_cut_at_any_byte_has_all_but_the_last_chunk(tmp_path: Path, suffix: str) -> None:
    recording = made(TEXT, 200, lost=[(50, 5), (90, 1)])
    path, cut = tmp_path / f"run{suffix}", tmp_path / f"cut{suffix}"
    with Recorder(path, begun(recording)) as recorder:
        ends = [(path.stat().st_size, 0)]
        for part in numpy.array_split(recording.array, 12):
            recorder.write(part)
            recorder.flush()
            ends.append((path.stat().st_size, recorder.samples))
        if suffix == ".csv":
            # A whole one says at its end how it ended; one whose program was killed does not.
            cut.with_name("cut.csv.json").write_bytes(path.with_name("run.csv.json").read_bytes())
        recorder.finish("test")
    data = path.read_bytes()
    for at in sorted(random.Random(suffix).sample(range(len(data)), 1000)):
        cut.write_bytes(data[:at])
        if at < ends[0][0]:
            with contextlib.suppress(ValueError):
                assert len(rtshm.load(cut).array) == 0
        else:
            back = rtshm.load(cut)
            assert is_beginning(back, recording)
            assert len(back.array) >= max(samples for end, samples in ends if end <= at)
            ended = at > ends[-1][0] and back.conditions.ended == "test"
            assert ended or back.conditions.ended == "cut off"
    lost = rtshm.load(path).conditions.lost
    assert (lost, rtshm.load(cut).conditions.lost) == (6, 6)


@pytest.mark.promise("recordings: A file cut at any byte has all but its last chunk")
@SUFFIXES
def test_garbage_behind_a_cut_is_not_read(tmp_path: Path, suffix: str) -> None:
    recording = made(TEXT, 150)
    path = tmp_path / f"run{suffix}"
    with Recorder(path, begun(recording)) as recorder:
        recorder.write(recording.array)
        recorder.flush()
        data = path.read_bytes()
        for seed in range(100):
            # As a disk may leave it, or zeroes.
            rest = random.Random(seed).randbytes(500) if seed else bytes(5000)
            path.write_bytes(data + rest)
            back = rtshm.load(path)
            assert is_beginning(back, recording)
            assert len(back.array) == 150
        path.write_bytes(data)
        recorder.finish("test")


@contextlib.contextmanager
def limited(folder: Path, size: int, how: str) -> Iterator[None]:
    """A folder whose file system takes this many bytes, or files of that size."""
    if how == "disk":
        subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size}", "none", folder], check=True)
        try:
            yield
        finally:
            subprocess.run(["umount", folder], check=True)
    else:
        resource = __import__("resource")
        before = resource.getrlimit(resource.RLIMIT_FSIZE)
        resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
        try:
            yield
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, before)


@pytest.mark.promise("recordings: A full disk keeps what it stored, and the file says so")
@SUFFIXES
@pytest.mark.parametrize(
    "how",
    [
        "limit",
        pytest.param("disk", marks=pytest.mark.skipif(os.geteuid() != 0, reason="mounts")),
    ],
)
def test_disk_filled_at_100_moments_keeps_what_it_took(
    tmp_path: Path, suffix: str, how: str
) -> None:
    recording = made(TEXT, 20_000)
    chance = random.Random(suffix)
    for turn in range(100):
        folder = tmp_path / str(turn)
        folder.mkdir()
        size = chance.randrange(24_576, 200_000)
        rows = chance.randrange(1, 500)
        with limited(folder, size, how):
            path = folder / f"run{suffix}"
            done = 0
            with pytest.raises(OSError) as full, Recorder(path, begun(recording)) as recorder:
                for at in range(0, len(recording.array), rows):
                    recorder.write(recording.array[at : at + rows])
                    recorder.flush()
                    done = recorder.samples
            why = "No space left on device" if how == "disk" else "File too large"
            assert str(full.value).endswith(f"{why}: '{path}'")
            back = rtshm.load(path)
            assert is_beginning(back, recording)
            assert back.conditions.ended == why
            # One whole chunk makes room for the end.
            assert done - rows <= len(back.array) <= done
            assert full.value.__notes__ == [f"the {len(back.array)} samples so far are in {path}"]


@pytest.mark.promise("recordings: A killed program leaves all but its last second")
@SUFFIXES
def test_killed_program_leaves_all_but_its_last_second(tmp_path: Path, suffix: str) -> None:
    code = (
        "import sys, time\n"
        "from rtshm import Recorder\n"
        "from tests.host.recordings import TEXT, begun, made\n"
        "recording = made(TEXT, 3000)\n"
        "with Recorder(sys.argv[1], begun(recording)) as recorder:\n"
        "    for at in range(3000):\n"
        "        recorder.write(recording.array[at : at + 1])\n"
        "        print(at + 1, flush=True)\n"
        "        time.sleep(0.001)\n"
    )
    path = tmp_path / f"run{suffix}"
    with subprocess.Popen(
        [sys.executable, "-c", code, str(path)], stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout
        written_by: list[float] = []
        for _ in process.stdout:
            written_by.append(__import__("time").monotonic())
            if written_by[-1] - written_by[0] > 2.5:
                process.send_signal(signal.SIGKILL)
                break
    back = rtshm.load(path)
    assert is_beginning(back, made(TEXT, 3000))
    assert back.conditions.ended == "cut off"
    # A second is the chunk's, the rest a busy machine's.
    assert len(back.array) >= sum(each < written_by[-1] - 1.5 for each in written_by) > 0


@pytest.mark.promise("recordings: A deleted region and an exception complete a recording")
@SUFFIXES
def test_exception_ends_the_file_with_its_text(tmp_path: Path, suffix: str) -> None:
    recording = made(TEXT, 300)
    path = tmp_path / f"run{suffix}"
    with pytest.raises(RuntimeError), Recorder(path, begun(recording)) as recorder:
        recorder.write(recording.array)
        raise RuntimeError("the motor is hot")
    back = rtshm.load(path)
    assert is_beginning(back, recording)
    assert (len(back.array), back.conditions.ended) == (300, "RuntimeError: the motor is hot")


@SUFFIXES
def test_recorder_that_ended_writes_to_no_other_file(tmp_path: Path, suffix: str) -> None:
    recording = made(TEXT, 3)
    recorder = Recorder(tmp_path / f"run{suffix}", begun(recording))
    recorder.write(recording.array)
    recorder.finish("enough")
    with (tmp_path / "other").open("wb") as other:
        # It has the number that the recorder's descriptor had.
        uses: list[Callable[[], object]] = [
            lambda: recorder.write(recording.array),
            recorder.flush,
            lambda: recorder.finish("again"),
            recorder.__enter__,
        ]
        for use in uses:
            with pytest.raises(rtshm.ClosedError, match=f"run{suffix} closed>: open it again"):
                use()
        recorder.close()
        assert os.fstat(other.fileno()).st_size == 0
    assert rtshm.load(recorder.path).conditions.ended == "enough"


@SUFFIXES
def test_forgotten_recorder_completes_its_file_and_leaves_no_thread(
    tmp_path: Path, suffix: str
) -> None:
    recording = made(TEXT, 3)
    threads = threading.active_count()
    recorder = Recorder(tmp_path / f"run{suffix}", begun(recording))
    recorder.write(recording.array)
    with pytest.warns(ResourceWarning, match=r"unclosed <rtshm.Recorder"):
        del recorder
        gc.collect()
    assert threading.active_count() == threads
    back = rtshm.load(tmp_path / f"run{suffix}")
    assert (len(back.array), back.conditions.ended) == (3, "the program left off")


def test_forked_child_completes_no_file_of_its_parent(tmp_path: Path) -> None:
    recording = made(TEXT, 3)
    with Recorder(tmp_path / FILE, begun(recording)) as recorder:
        recorder.write(recording.array)
        assert child.status_of(recorder.close) == 0
        assert child.status_of(recorder.flush) == child.FAILED
    assert len(rtshm.load(tmp_path / FILE).array) == 3


def test_regions_without_a_name_of_their_own_are_refused(tmp_path: Path) -> None:
    for conditions in ([], begun(made("", 1), made("", 1))):
        with pytest.raises(ValueError, match=r"name each region once|without a region"):
            Recorder(tmp_path / FILE, conditions)
    assert not [*tmp_path.iterdir()]


def test_recording_goes_to_another_process(tmp_path: Path) -> None:
    written(made(TEXT, 3), tmp_path / FILE)
    for recording in (rtshm.load(tmp_path / FILE), made(TEXT, 3)):
        assert same(pickle.loads(pickle.dumps(recording)), recording)


@SUFFIXES
def test_recovered_recording_does_not_replace_itself(tmp_path: Path, suffix: str) -> None:
    path, link = tmp_path / f"run{suffix}", tmp_path / f"link{suffix}"
    written(made(TEXT, 3), path)
    link.symlink_to(path)
    before = path.read_bytes()
    for output in (path, link):
        done = run("recover", str(path), "-o", str(output), "--force")
        assert (done.returncode, path.read_bytes()) == (2, before)
        assert "the copy would replace FILE" in done.stderr


@SUFFIXES
def test_chunk_that_is_interrupted_is_not_in_the_file(
    tmp_path: Path, suffix: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    recording = made(TEXT, 300)
    path = tmp_path / f"run{suffix}"

    def write(fd: int, data: memoryview) -> int:
        monkeypatch.undo()
        os.write(fd, data[: len(data) // 2])
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt), Recorder(path, begun(recording)) as recorder:
        recorder.write(recording.array[:100])
        recorder.flush()
        recorder.write(recording.array[100:])
        monkeypatch.setattr("rtshm.recording.recorder.os.write", write)
        recorder.flush()
    back = rtshm.load(path)
    assert is_beginning(back, recording)
    assert (len(back.array), back.conditions.ended) == (100, "KeyboardInterrupt")


@pytest.mark.promise(
    "recordings: An existing file is not replaced, and a FIFO or device is written through"
)
@SUFFIXES
def test_existing_file_is_not_replaced_without_force(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"run{suffix}"
    path.write_text("before")
    recording = made(TEXT, 3)
    with pytest.raises(FileExistsError) as refused:
        Recorder(path, begun(recording))
    assert refused.value.filename == str(path)
    assert refused.value.__notes__[0].endswith("use another name, or --force")
    assert path.read_text() == "before"
    assert os.listdir(tmp_path) == [path.name]
    with Recorder(path, begun(recording), force=True) as recorder:
        recorder.write(recording.array)
        recorder.finish(recording.conditions.ended)
    assert same(rtshm.load(path), recording)


def test_conditions_of_a_csv_that_are_there_are_not_replaced(tmp_path: Path) -> None:
    (tmp_path / "run.csv.json").write_text("before")
    with pytest.raises(FileExistsError):
        Recorder(tmp_path / "run.csv", begun(made("", 1)))
    assert os.listdir(tmp_path) == ["run.csv.json"]
    assert (tmp_path / "run.csv.json").read_text() == "before"


def test_partial_file_of_another_program_is_not_in_the_way(tmp_path: Path) -> None:
    (tmp_path / f".{FILE}.{os.getpid()}.part").write_text("before")
    written(made("", 3), tmp_path / FILE)
    assert len(rtshm.load(tmp_path / FILE).array) == 3


@pytest.mark.promise(
    "recordings: An existing file is not replaced, and a FIFO or device is written through"
)
@SUFFIXES
def test_fifo_and_device_are_written_through_and_stay(tmp_path: Path, suffix: str) -> None:
    recording = made(TEXT, 300)
    fifo, link, copy = (tmp_path / f"{name}{suffix}" for name in ("fifo", "null", "copy"))
    os.mkfifo(fifo)
    reader = threading.Thread(target=lambda: copy.write_bytes(fifo.read_bytes()))
    reader.start()
    written(recording, fifo)
    reader.join()
    assert stat.S_ISFIFO(fifo.stat().st_mode)
    if suffix == ".csv":
        assert copy.read_text().count("\n") == 301
        assert not (tmp_path / "fifo.csv.json").exists()
    else:
        assert same(rtshm.load(copy), recording)
    link.symlink_to("/dev/null")
    written(recording, link)
    assert link.is_symlink()
    assert stat.S_ISCHR(Path("/dev/null").stat().st_mode)
    assert not (tmp_path / "null.csv.json").exists()


def test_folder_and_socket_are_refused(tmp_path: Path) -> None:
    path = tmp_path / FILE
    path.mkdir()
    with pytest.raises(OSError, match="neither a file, a FIFO nor a character device"):
        Recorder(path, begun(made("", 1)))


def test_link_is_followed_and_the_mode_is_that_of_any_file(tmp_path: Path) -> None:
    (tmp_path / "there").mkdir()
    (tmp_path / FILE).symlink_to(f"there/{FILE}")
    before = os.umask(0o027)
    try:
        written(made("", 3), tmp_path / FILE)
    finally:
        os.umask(before)
    assert (tmp_path / FILE).is_symlink()
    assert stat.S_IMODE((tmp_path / "there" / FILE).stat().st_mode) == 0o640


@pytest.mark.promise(
    "recordings: An hour at 10 kHz takes constant memory and no more disk than its data"
)
@SUFFIXES
def test_disk_use_is_that_of_the_data(tmp_path: Path, suffix: str) -> None:
    """At no time more than the file that is there at the end."""
    recording = made(TEXT, 300)
    path = tmp_path / f"run{suffix}"
    most = 0
    with Recorder(path, begun(recording)) as recorder:
        for _ in range(20):
            recorder.write(recording.array)
            recorder.flush()
            most = max(most, sum(each.stat().st_size for each in tmp_path.iterdir()))
        recorder.finish("test")
    assert most <= sum(each.stat().st_size for each in tmp_path.iterdir())
    assert {each.name for each in tmp_path.iterdir()} <= {path.name, f"{path.name}.json"}


@pytest.mark.promise(
    "recordings: An hour at 10 kHz takes constant memory and no more disk than its data"
)
@pytest.mark.parametrize(
    ("suffix", "seconds"),
    # An hour; of text what takes seconds to write, whose memory is that of its first chunk.
    [(".arrows", 3600), (".mcap", 30), (".csv", 100)],
)
def test_an_hour_at_10_khz_takes_constant_memory(tmp_path: Path, suffix: str, seconds: int) -> None:
    code = (
        "import resource, sys\n"
        "from rtshm import Recorder\n"
        "from rtshm.recording import check_format\n"
        "from tests.host.recordings import begun, made\n"
        "def memory(): return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss\n"
        "recording = made('speed:f64 gain:f32 mode:u8 _:x3', 10_000)\n"
        "assert recording.conditions.record_bytes == 24\n"
        "check_format(sys.argv[2])\n"
        "before = memory()\n"
        "with Recorder(sys.argv[1], begun(recording)) as recorder:\n"
        "    for second in range(int(sys.argv[3])):\n"
        "        if second == 10: first = memory()\n"
        "        recorder.write(recording.array)\n"
        "        recorder.flush()\n"
        "        recording.array['tick'] += len(recording.array)\n"
        "    assert recorder.finish('test')[0].lost == 0\n"
        "print(memory() - before, memory() - first)\n"
    )
    path = tmp_path / f"run{suffix}"
    path.symlink_to("/dev/null")
    # In KiB, on top of the libraries.
    whole, since = map(int, run_python(code, path, suffix, seconds).split())
    assert whole < 64 << 10
    assert since < 4 << 10


def test_lost_and_missed_are_what_the_samples_say(tmp_path: Path) -> None:
    recording = made(TEXT, 300, lost=[(50, 3), (100, 1), (200, 10)])
    recording.array["missed"][[0, 30, 286 - 1]] = 7, 2, 3
    done = written(recording, tmp_path / FILE, parts=20)
    assert (done.samples, done.lost, done.missed) == (286, 14, 5)


def test_samples_without_the_padding_of_their_dtype_are_recorded(tmp_path: Path) -> None:
    recording = made("speed:f64 a:u8 _:x7", 100)
    packed = numpy.concatenate([recording.array[:50], recording.array[50:]])
    with Recorder(tmp_path / FILE, begun(recording)) as recorder:
        recorder.write(packed)
        recorder.finish(recording.conditions.ended)
    assert same(rtshm.load(tmp_path / FILE), recording)


def test_samples_of_another_region_are_refused(tmp_path: Path) -> None:
    with Recorder(tmp_path / FILE, begun(made("speed:f64", 1))) as recorder:
        for text in ("speed:f32 _:x4", "gain:f64", ""):
            with pytest.raises(TypeError, match="not samples of the region"):
                recorder.write(made(text, 1).array)


def two() -> tuple[Recording, Recording]:
    """Recordings of two regions at the same time; the ticks of one are between the other's."""
    motor = made("speed:f64 on:bool mode:u8{off=0,on=1} _:x6 id:bytes[4] _:x4", 300)
    axis = made("axes:i32[2]", 100, name="axis2")
    axis.array["time_ns"] = motor.array["time_ns"][::3] + 500
    # The wall clock of the second was read a millisecond late.
    late = replace(axis.conditions, started_ns=motor.conditions.started_ns + 10**6)
    return motor, Recording.of(late, axis.array)


@pytest.mark.promise("recordings: Several regions are on one time line")
@SUFFIXES
def test_two_regions_are_one_recording_on_one_time_line(tmp_path: Path, suffix: str) -> None:
    recordings = two()
    path = tmp_path / f"run{suffix}"
    with Recorder(path, begun(*recordings)) as recorder:
        for at in range(0, 300, 30):
            recorder.write(recordings[1].array[at // 3 : (at + 30) // 3], 1)
            recorder.write(recordings[0].array[at : at + 30], 0)
            recorder.flush()
        recorder.finish(recordings[0].conditions.ended)
    run = rtshm.load(path)
    assert run.regions == ("motor", "axis2")
    for recording in recordings:
        assert same(run[recording.conditions.region], recording)
    with pytest.raises(ValueError, match="has the regions motor, axis2; select one"):
        run.array  # noqa: B018
    table = run.to_pandas()
    assert table.index.is_monotonic_increasing
    assert list(table["region"][:4]) == ["motor", "axis2", "motor", "motor"]
    assert table["motor.speed"].isna().sum() == 100
    assert list(table["axis2.axes[1]"].dropna()) == recordings[1].array["axes"][:, 1].tolist()
    assert set(table["motor.mode"].dropna()) <= {"off", "on", "2"}
    if suffix == ".csv":
        ordered = pandas.read_csv(path)
        assert ordered["time_ns"].is_monotonic_increasing
    if suffix == ".mcap":
        times = [each.log_time for _, _, each in make_reader(path.open("rb")).iter_messages()]
        assert times == table.index.astype("int64").tolist()


def test_chunks_of_two_regions_are_in_the_order_of_time(tmp_path: Path) -> None:
    recordings = two()
    with Recorder(tmp_path / FILE, begun(*recordings)) as recorder:
        # One region is read after the other, and the chunk begun in between.
        for at in range(0, 300, 30):
            recorder.write(recordings[0].array[at : at + 30], 0)
            recorder.flush(int(recordings[0].array["time_ns"][at]) - 1000)
            recorder.write(recordings[1].array[at // 3 : (at + 30) // 3], 1)
        recorder.finish(recordings[0].conditions.ended)
    with pyarrow.ipc.open_stream(tmp_path / FILE) as stream:
        times = stream.read_all()["time_ns"].to_pylist()
    assert times == sorted(times)
    run = rtshm.load(tmp_path / FILE)
    for recording in recordings:
        assert same(run[recording.conditions.region], recording)


def test_only_some_fields_are_recorded(tmp_path: Path) -> None:
    recording = made(TEXT, 10)
    conditions = replace(begun(recording)[0], fields=("speed", "axes"))
    with Recorder(tmp_path / FILE, conditions) as recorder:
        recorder.write(recording.array)
        recorder.finish("test")
    back = rtshm.load(tmp_path / FILE)
    assert back.array.dtype.names == (*COLUMNS[:7], "speed", "axes")
    assert (back.array["axes"] == recording.array["axes"]).all()
    assert back.conditions.fields == ("speed", "axes")


@pytest.mark.promise(
    "recordings: Other programs read each format without options, and load() returns each value"
)
def test_arrows_is_read_by_pyarrow_and_polars(tmp_path: Path) -> None:
    recording = made(TEXT, 3000)
    written(recording, tmp_path / FILE, parts=10)
    with pyarrow.ipc.open_stream(tmp_path / FILE) as stream:
        table = stream.read_all()
    assert table.column_names == COLUMNS
    assert table["speed"].to_pylist() == recording.array["speed"].tolist()
    assert table["mode"].to_pylist() == recording.array["mode"].tolist()
    assert table["points[1].x"].to_pylist() == recording.array["points"]["x"][:, 1].tolist()
    assert table["id"].to_pylist() == recording.array["id"].tolist()
    assert polars.read_ipc_stream(tmp_path / FILE)["tick"].to_list() == list(range(1, 3001))


@pytest.mark.promise(
    "recordings: Other programs read each format without options, and load() returns each value"
)
def test_mcap_is_read_by_mcap(tmp_path: Path) -> None:
    recording = made(TEXT, 300)
    written(recording, tmp_path / "run.mcap")
    with open(tmp_path / "run.mcap", "rb") as file:
        reader = make_reader(file)
        summary = reader.get_summary()
        assert summary
        assert summary.statistics
        assert summary.statistics.message_count == 300
        found = list(reader.iter_messages("motor"))
    schema, channel, _ = found[0]
    assert (channel.topic, channel.message_encoding) == ("motor", "json")
    assert schema
    described = json.loads(schema.data)["properties"]
    assert described["axes"] == {"type": "array", "items": {"type": "integer"}}
    for (_, _, message), sample in zip(found, recording.array, strict=True):
        values = json.loads(message.data)
        assert values["points"][1]["x"] == sample["points"]["x"][1]
        assert values["speed"] == sample["speed"]
        since = int(sample["time_ns"]) - recording.conditions.started_monotonic_ns
        assert message.log_time == recording.conditions.started_ns + since


@pytest.mark.promise(
    "recordings: Other programs read each format without options, and load() returns each value"
)
def test_csv_needs_no_options_of_other_programs(tmp_path: Path) -> None:
    recording = made(TEXT, 300)
    recording.array["speed"][[3, 5, 7]] = numpy.nan, numpy.inf, -numpy.inf
    recording.array["id"][0] = b"\x12\x34\x56\x78"
    path = tmp_path / "run.csv"
    written(recording, path)
    read = {
        "pandas": pandas.read_csv(path).to_dict("list"),
        "polars": polars.read_csv(path).to_dict(as_series=False),
        "duckdb": duckdb.read_csv(str(path)).to_df().to_dict("list"),
    }
    names = {0: "off", 1: "on", 2: "2"}
    states = {0: "0", 1: "run", 2: "fault", 3: "run|fault", 4: "4"}
    for program, table in read.items():
        assert list(table) == COLUMNS, program
        # To the last bit in polars and duckdb, to a dozen digits in older pandas.
        speed = recording.array["speed"]
        assert numpy.allclose(table["speed"], speed, rtol=1e-12, atol=0, equal_nan=True)
        assert numpy.array_equal(numpy.array(table["gain"], "f4"), recording.array["gain"])
        assert table["mode"] == [names[mode] for mode in recording.array["mode"].tolist()]
        assert table["state"] == [states[state] for state in recording.array["state"].tolist()]
        assert table["ok"] == recording.array["ok"].tolist()
        assert table["id"][0] == "x12345678"
        assert table["grid[1][0]"] == recording.array["grid"][:, 1, 0].tolist()
    assert json.loads(path.with_name("run.csv.json").read_text()) == [
        json.loads(json.dumps(asdict(recording.conditions)))
    ]


@pytest.mark.parametrize(
    "changed",
    [
        lambda text: text.replace(b"\n", b"\r\n"),
        lambda text: text + b"\n",
        lambda text: b"\xef\xbb\xbf" + text,
    ],
)
def test_csv_that_an_editor_saved_is_read(tmp_path: Path, changed: Any) -> None:
    recording = made(TEXT, 300)
    path = tmp_path / "run.csv"
    written(recording, path)
    path.write_bytes(changed(path.read_bytes()))
    assert same(rtshm.load(path), recording)


def test_content_is_read_when_it_is_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    written(made(TEXT, 30), tmp_path / FILE)
    run = rtshm.load(tmp_path / FILE)
    (tmp_path / FILE).rename(tmp_path / "moved.arrows")
    with pytest.raises(FileNotFoundError):
        run.array  # noqa: B018
    run = rtshm.load(tmp_path / "moved.arrows")
    assert len(run.array) == 30
    assert run.array is run.array
    assert repr(run) == f"<rtshm.Recording {tmp_path}/moved.arrows>"


def test_dataframe_has_the_wall_clock_as_index_and_plain_columns(tmp_path: Path) -> None:
    recording = made(TEXT, 300)
    written(recording, tmp_path / FILE)
    table = rtshm.load(tmp_path / FILE).to_pandas()
    assert list(table) == COLUMNS
    conditions = recording.conditions
    first = conditions.started_ns + int(recording.array["time_ns"][0])
    assert table.index[0].value == first - conditions.started_monotonic_ns
    assert str(table.index.tz) == "UTC"
    assert table["mode"].iloc[0] in ("off", "on", "2")
    assert table["axes[1]"].tolist() == recording.array["axes"][:, 1].tolist()


@SUFFIXES
def test_time_and_ticks_before_a_sample_are_negative(tmp_path: Path, suffix: str) -> None:
    recording = made("speed:f64", 300)
    written(recording, tmp_path / f"run{suffix}")
    run = rtshm.load(tmp_path / f"run{suffix}")
    arrow = {name: run.to_arrow()[name].to_numpy() for name in ("tick", "time_ns", "lateness_ns")}
    for columns in (recording.array, run.array, run.to_pandas(), run.to_xarray(), arrow):
        for name in arrow:
            since = numpy.asarray(columns[name] - columns[name][100:101].item())
            assert since.dtype == "i8"
            assert since.min() < 0 <= since.max()
        last = numpy.asarray(columns["tick"] - columns["tick"][-1:].item())
        assert last.tolist() == [*range(-299, 1)]


def test_dataset_has_arrays_as_dimensions(tmp_path: Path) -> None:
    recording = made(TEXT, 300)
    dataset = recording.to_xarray()
    assert dataset["grid"].dims == ("time", "grid_0", "grid_1")
    assert (dataset["grid"].values == recording.array["grid"]).all()
    assert (dataset["pose.x"].values == recording.array["pose"]["x"]).all()
    assert dataset.attrs["kernel"] == os.uname().release


@SUFFIXES
def test_cut_recording_is_recovered_into_a_whole_one(tmp_path: Path, suffix: str) -> None:
    recording = made(TEXT, 600)
    cut = tmp_path / "cut.mcap"
    written(recording, cut, parts=10)
    cut.write_bytes(cut.read_bytes()[: cut.stat().st_size // 2])
    whole = tmp_path / f"whole{suffix}"
    done = run("recover", str(cut), "-o", str(whole))
    back = rtshm.load(whole)
    assert (done.returncode, done.stdout) == (0, "")
    assert done.stderr == f"rtshm: {whole}: {len(back.array)} samples; cut off\n"
    assert 0 < len(back.array) < 600
    assert is_beginning(back, recording)
    assert run("recover", str(cut), "-o", str(whole)).returncode == 1
    both = tmp_path / "both.arrows"
    with Recorder(both, begun(*two())) as recorder:
        for number, each in enumerate(two()):
            recorder.write(each.array, number)
        recorder.finish("test")
    assert run("recover", str(both), "-o", str(whole), "--force").returncode == 0
    assert rtshm.load(whole).regions == ("motor", "axis2")
    assert same(rtshm.load(whole)["axis2"], rtshm.load(both)["axis2"])


def test_unknown_format_is_refused_with_the_known_ones(tmp_path: Path) -> None:
    known = (
        "use one of .arrows (pip install 'rtshm[record]'), .mcap (pip install 'rtshm[mcap]'), "
        ".csv (pip install 'rtshm[numpy]')"
    )
    for name, what in (("run.txt", ".txt"), ("run", "no suffix"), ("run.npz", ".npz")):
        with pytest.raises(ValueError) as refused:
            rtshm.load(tmp_path / name)
        assert (
            str(refused.value)
            == f"{tmp_path}/{name}: {what} is not a format of recordings; {known}"
        )
    done = run("record", "motor", "-o", "run.txt")
    assert (done.returncode, done.stdout) == (2, "")
    assert "run.txt: .txt is not a format of recordings; use one of .arrows" in done.stderr
    written(made("", 3), tmp_path / FILE)
    done = run("recover", str(tmp_path / FILE), "-o", "-")
    assert (done.returncode, done.stdout) == (2, "")
    assert "-: no suffix is not a format of recordings" in done.stderr


@pytest.mark.parametrize("command", ["record -o run.csv", "stream", "delete", "play run.csv"])
def test_region_that_is_named_twice_is_a_usage_error(command: str) -> None:
    name, *options = command.split()
    done = run(name, "motor", "motor", *options)
    assert (done.returncode, done.stdout) == (2, "")
    assert "Invalid value for 'NAME...': " in done.stderr
    assert "name each region once" in done.stderr
    done = run("scope", "motor", "--with", "motor")
    assert (done.returncode, "name each region once" in done.stderr) == (2, True)


@SUFFIXES
def test_name_of_a_file_may_be_any_bytes_and_a_folder_is_none(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"{os.fsdecode(bytes([255]))} -\n{suffix}"
    written(made("", 3), path)
    assert len(rtshm.load(path).array) == 3
    folder = tmp_path / f"folder{suffix}"
    folder.mkdir()
    with pytest.raises(IsADirectoryError):
        rtshm.load(folder)


def test_suffix_in_capitals_is_the_same_format(tmp_path: Path) -> None:
    written(made("", 3), tmp_path / "RUN.CSV")
    assert len(rtshm.load(tmp_path / "RUN.CSV").array) == 3


@pytest.mark.parametrize(
    ("library", "suffix", "words"),
    [
        ("numpy", ".csv", "a recording takes numpy: pip install 'rtshm[numpy]'"),
        ("pyarrow", ".arrows", "a recording as .arrows takes pyarrow: pip install 'rtshm[record]'"),
        ("mcap", ".mcap", "a recording as .mcap takes mcap: pip install 'rtshm[mcap]'"),
    ],
)
def test_missing_library_is_named_with_the_extra(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, library: str, suffix: str, words: str
) -> None:
    monkeypatch.setitem(sys.modules, library, None)
    with pytest.raises(ExtraError) as refused:
        rtshm.load(tmp_path / f"run{suffix}")
    assert str(refused.value) == words


@SUFFIXES
def test_file_that_is_not_a_recording_is_refused(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"run{suffix}"
    with pytest.raises(FileNotFoundError):
        rtshm.load(path)
    for content in (b"", b"tick,speed\n1,2\n", b"PK\3\4 and no more", b"PAR1PAR1PAR1", b"# x: }"):
        path.write_bytes(content)
        with pytest.raises((ValueError, FileNotFoundError)) as refused:
            rtshm.load(path)
        if suffix == ".csv":
            assert f"{path}.json" in str(refused.value)
        else:
            assert str(refused.value).startswith(f"{path}: not a recording: ")
    done = run("play", "motor", str(path))
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith(f"rtshm: {path}")


@pytest.mark.parametrize(
    ("text", "offset"),
    [
        ("monotonic  100000  5\nboottime  0 0\n", 100_000 * 10**9 + 5),
        ("monotonic  -10  500\n", -10 * 10**9 + 500),
        ("", 0),
    ],
)
def test_clock_of_the_samples_is_that_of_the_kernel_in_a_time_namespace(
    monkeypatch: pytest.MonkeyPatch, text: str, offset: int
) -> None:
    monkeypatch.setattr(module, "file_text", lambda path: text)
    assert module._timens_offset_ns.__wrapped__() == offset


@pytest.mark.parametrize(
    ("realtime", "debug", "version", "model"),
    [
        ("1", "none voluntary full (lazy)", "#1 SMP PREEMPT_RT Debian 6.12.117-1", "PREEMPT_RT"),
        ("", "none (voluntary) full", "#1 SMP PREEMPT_DYNAMIC Debian 6.1.192-1", "voluntary"),
        ("", "", "#1 SMP PREEMPT_RT Debian 6.12.117-1 (2026-11-12)", "PREEMPT_RT"),
        ("", "", "#1 SMP PREEMPT_DYNAMIC Debian 6.12.117-1", "PREEMPT_DYNAMIC"),
        ("0", "", "#1 SMP Debian 4.19.1", "none or voluntary"),
    ],
)
def test_preemption_model(realtime: str, debug: str, version: str, model: str) -> None:
    assert preemption(realtime, debug, version) == model


@pytest.mark.parametrize(
    ("flags", "vendor", "product", "machine"),
    [
        ("fpu sse hypervisor lahf_lm", "QEMU", "Standard PC", "QEMU Standard PC"),
        ("fpu sse hypervisor lahf_lm", "", "", "yes"),
        ("fpu sse", "LENOVO", "20XW", "none"),
        ("", "QEMU", "QEMU Virtual Machine", "QEMU QEMU Virtual Machine"),
        ("", "", "", "none"),
    ],
)
def test_virtual_machine(flags: str, vendor: str, product: str, machine: str) -> None:
    cpuinfo = f"processor\t: 0\nmodel name\t: hypervisor?\nflags\t\t: {flags}\nbugs\t: none\n"
    assert virtualization(cpuinfo, vendor, product) == machine


def test_machine_that_cannot_be_looked_at_is_unknown(tmp_path: Path) -> None:
    machine = Machine.now(tmp_path)
    assert machine.clocksource == machine.virtualization == machine.governor == "unknown"


def test_conditions_are_those_of_this_machine() -> None:
    conditions = made("", 1).conditions
    assert conditions.kernel == os.uname().release
    assert conditions.version == rtshm.__version__
    assert conditions.clocksource
    assert Conditions.of({**conditions.asdict(), "of_a_later_version": 1}) == conditions
