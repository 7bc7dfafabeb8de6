"""Recordings: each format by its own library, whole or not there, and read back the same."""

from __future__ import annotations

import csv
import json
import os
import stat
import subprocess
import sys
from dataclasses import asdict
from typing import TYPE_CHECKING

import numpy
import pytest
import rtshm
from pyarrow import parquet
from rtshm import Conditions, ExtraError
from rtshm.recording import Recorder, Recording
from rtshm.recording.columns import columns
from rtshm.recording.conditions import preemption, virtualization

from tests.host.cli import run
from tests.host.recordings import COLUMNS, TEXT, made, written

if TYPE_CHECKING:
    from pathlib import Path

SUFFIXES = pytest.mark.parametrize("suffix", [".npz", ".csv", ".parquet"])


def same(one: Recording, other: Recording) -> bool:
    """Whether all values are the same, and the conditions."""
    return one.conditions == other.conditions and all(
        column.of(one.array).tolist() == column.of(other.array).tolist()
        for column in columns(one.conditions)
    )


@SUFFIXES
@pytest.mark.parametrize("count", [0, 1, 300])
def test_what_is_written_is_read_back(tmp_path: Path, suffix: str, count: int) -> None:
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
def test_region_without_a_layout_has_its_word(tmp_path: Path, suffix: str) -> None:
    recording = made("", 10)
    written(recording, tmp_path / f"run{suffix}")
    assert same(rtshm.load(tmp_path / f"run{suffix}"), recording)


def test_npz_is_read_by_numpy(tmp_path: Path) -> None:
    recording = made(TEXT, 300)
    written(recording, tmp_path / "run.npz")
    with numpy.load(tmp_path / "run.npz") as archive:
        assert (archive["samples"] == recording.array).all()
        assert json.loads(str(archive["conditions"])) == asdict(recording.conditions)


def test_parquet_is_read_by_pyarrow(tmp_path: Path) -> None:
    recording = made(TEXT, 70_000)
    written(recording, tmp_path / "run.parquet", parts=100)
    table = parquet.read_table(tmp_path / "run.parquet")
    assert table.column_names == COLUMNS
    assert table["speed"].to_pylist() == recording.array["speed"].tolist()
    assert table["mode"].to_pylist() == recording.array["mode"].tolist()
    assert table["points[1].x"].to_pylist() == recording.array["points"]["x"][:, 1].tolist()
    assert table["id"].to_pylist() == recording.array["id"].tolist()
    metadata = parquet.read_metadata(tmp_path / "run.parquet")
    assert json.loads(metadata.metadata[b"rtshm"]) == asdict(recording.conditions)
    # Written as it came, and not at the end.
    assert metadata.num_row_groups == 2


def test_csv_is_read_by_csv(tmp_path: Path) -> None:
    recording = made(TEXT, 300)
    written(recording, tmp_path / "run.csv")
    lines = (tmp_path / "run.csv").read_text().splitlines()
    rows = list(csv.DictReader(line for line in lines if not line.startswith("#")))
    assert list(rows[0]) == COLUMNS
    names = {0: "off", 1: "on", 2: "2"}
    states = {0: "0", 1: "run", 2: "fault", 3: "run|fault", 4: "4"}
    for row, sample in zip(rows, recording.array, strict=True):
        assert (float(row["speed"]), row["gain"]) == (sample["speed"], str(sample["gain"]))
        assert (row["mode"], row["state"]) == (names[sample["mode"]], states[sample["state"]])
        assert (row["ok"], row["id"]) == ("01"[int(sample["ok"])], sample["id"].tobytes().hex())
        assert int(row["grid[1][0]"]) == sample["grid"][1, 0]
    notes = dict(line[2:].split(": ", 1) for line in lines if line.startswith("# "))
    assert {name: json.loads(text) for name, text in notes.items()} == asdict(recording.conditions)
    # What is known at the end is at the end.
    assert lines[-4:-2] == ["# samples: 300", "# lost: 0"]


def test_csv_that_was_cut_off_has_what_came_before(tmp_path: Path) -> None:
    recording = made(TEXT, 300)
    written(recording, tmp_path / "run.csv")
    text = (tmp_path / "run.csv").read_text()
    (tmp_path / "run.csv").write_text(text[: text.index("# samples")])
    back = rtshm.load(tmp_path / "run.csv")
    assert (len(back.array), back.conditions.ended) == (300, "")


def test_lost_and_missed_are_what_the_samples_say(tmp_path: Path) -> None:
    recording = made(TEXT, 300, lost=[(50, 3), (100, 1), (200, 10)])
    recording.array["missed"][[0, 30, 286 - 1]] = 7, 2, 3
    done = written(recording, tmp_path / "run.npz", parts=20)
    assert (done.samples, done.lost, done.missed) == (286, 14, 5)


@SUFFIXES
def test_what_had_the_name_stays_until_the_end(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"run{suffix}"
    path.write_text("before")
    recording = made(TEXT, 300)
    with pytest.raises(RuntimeError), Recorder(path, recording.conditions) as recorder:
        recorder.write(recording.array)
        assert path.read_text() == "before"
        raise RuntimeError
    assert path.read_text() == "before"
    assert os.listdir(tmp_path) == [path.name]


def test_link_is_followed_and_the_mode_is_that_of_any_file(tmp_path: Path) -> None:
    (tmp_path / "there").mkdir()
    (tmp_path / "run.csv").symlink_to("there/run.csv")
    before = os.umask(0o027)
    try:
        written(made("", 3), tmp_path / "run.csv")
    finally:
        os.umask(before)
    assert (tmp_path / "run.csv").is_symlink()
    assert stat.S_IMODE((tmp_path / "there/run.csv").stat().st_mode) == 0o640


@SUFFIXES
def test_disk_that_takes_no_more_is_said_and_leaves_what_was_there(
    tmp_path: Path, suffix: str
) -> None:
    path = tmp_path / f"run{suffix}"
    path.write_text("before")
    code = (
        "import resource, sys\n"
        "from pathlib import Path\n"
        "from tests.host.recordings import TEXT, made, written\n"
        "recording = made(TEXT, 5000)\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))\n"
        "try: written(recording, Path(sys.argv[1]), 100)\n"
        "except OSError as error: print(error, *error.__notes__, sep='\\n')\n"
    )
    done = subprocess.run([sys.executable, "-c", code, path], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    first, second = done.stdout.splitlines()
    assert first == f"[Errno 27] File too large: '{path}'"
    assert second.startswith("the ")
    assert second.endswith(f" samples so far are gone, and {path} is as it was")
    assert path.read_text() == "before"
    assert os.listdir(tmp_path) == [path.name]


@SUFFIXES
def test_long_recording_is_not_held_in_memory(tmp_path: Path, suffix: str) -> None:
    code = (
        "import resource, sys\n"
        "from rtshm.recording import Recorder\n"
        "from tests.host.recordings import made\n"
        "recording = made('blob:bytes[1000]', 2000)\n"
        "with Recorder(sys.argv[1], recording.conditions) as recorder:\n"
        "    for turn in range(50):\n"
        "        if turn == 2:\n"
        "            before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss\n"
        "        recorder.write(recording.array)\n"
        "    recorder.finish('test')\n"
        "print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)\n"
    )
    path = tmp_path / f"run{suffix}"
    done = subprocess.run([sys.executable, "-c", code, path], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    # In KiB, of 100 MB.
    assert int(done.stdout) * 1024 < 60e6


def test_unknown_format_is_refused_with_the_known_ones(tmp_path: Path) -> None:
    for name, what in (("run.txt", ".txt"), ("run", "no suffix")):
        with pytest.raises(ValueError) as refused:
            rtshm.load(tmp_path / name)
        assert str(refused.value) == (
            f"{tmp_path}/{name}: {what} is no format of recordings; "
            "give one of .npz, .csv, .parquet"
        )
    done = run("record", "motor", "-o", "run.txt")
    assert (done.returncode, done.stdout) == (2, "")
    assert "run.txt: .txt is no format of recordings; give one of .npz" in done.stderr


@pytest.mark.parametrize(
    ("library", "suffix", "words"),
    [
        ("numpy", ".npz", "a recording takes numpy: pip install 'rtshm[record]'"),
        (
            "pyarrow",
            ".parquet",
            "a recording as .parquet takes pyarrow: pip install 'rtshm[record]'",
        ),
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
def test_what_is_no_recording_is_refused(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"run{suffix}"
    with pytest.raises(FileNotFoundError):
        rtshm.load(path)
    for content in (b"", b"tick,speed\n1,2\n", b"PK\3\4 and no more", b"PAR1PAR1PAR1", b"# x: }"):
        path.write_bytes(content)
        with pytest.raises(ValueError) as refused:
            rtshm.load(path)
        assert str(refused.value).startswith(f"{path}: this is no recording: ")
    done = run("play", "motor", str(path))
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith(f"rtshm: {path}: this is no recording: ")


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


def test_conditions_are_those_of_this_machine() -> None:
    conditions = made("", 1).conditions
    assert conditions.kernel == os.uname().release
    assert conditions.version == rtshm.__version__
    assert conditions.clocksource
    assert Conditions.of({**conditions.asdict(), "of_a_later_version": 1}) == conditions
