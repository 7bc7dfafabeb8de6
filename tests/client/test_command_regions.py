"""The command `rtshm` for regions: making, finding, watching, saving and removing them."""

from __future__ import annotations

import json
import os
import re
import shutil
import stat
import subprocess
import termios
import time
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import pexpect
import pytest
import rtshm
from rtshm import Control, PrintMode, RegionInfo
from rtshm.paths import DEVICES

from tests.lib import first, module, raw
from tests.lib.command import COLD, COMMAND, done, interrupt, leave, on_terminal, run
from tests.lib.module import PATIENCE
from tests.lib.waiting import wait_until

if TYPE_CHECKING:
    from collections.abc import Iterable

    from tests.lib.fixtures import Load

NOBODY = 65534
COUNT = module.CHECKOUT / "tests/module/tasks/count.bpf.o"


def settings(regions: Iterable[RegionInfo]) -> list[dict[str, object]]:
    """How the regions were made or set, without what happened to them since."""
    happened = {"id", "users", "counters"}
    return [
        {name: value for name, value in asdict(region).items() if name not in happened}
        for region in regions
    ]


def test_region_without_a_period_ticks_when_it_is_kicked(load: Load, tmp_path: Path) -> None:
    load(print=0, period_ns=3_600_000_000_000)
    done("create", "motor", "--period", "none", "--history", "10")
    assert done("kick", "motor", "--count", "3") == ""
    (line,) = [line for line in done("list").splitlines() if line.startswith("motor")]
    assert line.split()[:8] == ["motor", "4K", "none", "off", "-", "0", "3", "0"]
    assert "period none\n" in re.sub(" +", " ", done("show", "motor"))
    done("save", str(tmp_path / "regions.toml"))
    done("delete", "motor")
    done("load", str(tmp_path / "regions.toml"))
    with Control() as control:
        assert control.get("motor").period_ns == 0
    refused = run("kick", "default")
    assert refused.returncode == 1
    assert refused.stderr == (
        "rtshm: /dev/rtshm/default: Invalid argument (EINVAL, 22)\n"
        'rtshm: the region has a period; make one with the period "none" to kick it\n'
    )


def test_region_is_made_shown_set_listed_and_removed(load: Load) -> None:
    load(print=0)
    options = (
        "--size 8K --period 20ms --print changes --history 0 --record-bytes 16 --layout speed:f64 "
        "--mode 0640 --owner nobody --group 65534 --cpu 0"
    )
    assert done("create", "motor", *options.split()) == ""
    node = (DEVICES / "motor").stat()
    assert (stat.S_IMODE(node.st_mode), node.st_uid, node.st_gid) == (0o640, NOBODY, NOBODY)

    with Control() as control:
        motor = control.get("motor")
    shown = json.loads(done("show", "motor", "--json"))
    assert shown.pop("counters").keys() >= {"ticks", "missed", "lateness-histogram"}
    assert shown == {
        "name": "motor",
        "id": motor.id,
        "size": 8192,
        "period-ns": 20_000_000,
        "print": "changes",
        "history": 0,
        "record-bytes": 16,
        "layout": "speed:f64",
        "mode": 0o640,
        "uid": NOBODY,
        "gid": NOBODY,
        "cpu": 0,
        "timer-cpu": 0,
        "cpu-latency-ns": 0,
        "users": 0,
        "sample-bytes": None,
        "clock": "monotonic",
        "phase-ns": None,
        "start-ns": None,
        "task-budget-ns": 0,
        "task-long-max": 100,
        "tasks": [],
        "phys": None,
        "keep": False,
        "access-default": False,
        "lead-ns": 0,
        "creator": None,
    }

    assert done("set", "motor", "--period", "1500us", "--print", "off") == ""
    with Control() as control:
        assert control.get("motor").period_ns == 1_500_000
        assert control.get("motor").print == PrintMode.OFF
    changed = "--phase 1us --lead 2us --mode 0600 --owner root --group root --cpu-latency 30us"
    assert done("set", "motor", *changed.split(), "--reset-counters") == ""
    assert "\n  cpu           0 (idle states of 30us at most)\n" in done("show", "motor")
    with Control() as control:
        motor = control.get("motor")
    assert (motor.phase_ns, motor.lead_ns) == (1_000, 2_000)
    assert (motor.mode, motor.uid, motor.gid) == (0o600, 0, 0)
    heading, default, line = done("list").splitlines()
    assert heading.split() == (
        "NAME SIZE PERIOD PRINT CREATOR USERS TICKS MISSED LATENESS MAX".split()
    )
    assert default.split()[:6] == ["default", "4K", "500ms", "off", "-", "0"]
    assert re.fullmatch(r"motor +8K +1\.5ms  off +- +0 +\d+ +\d+ +\d+(\.\d)? [num]?s", line)
    with Control() as control:
        control.create("probe")
    assert done("delete", "probe", "motor") == ""
    with Control() as control:
        assert [region.name for region in control.list()] == ["default"]


def test_start_clock_and_lead_are_made_by_the_command(load: Load) -> None:
    load(print=0)
    start_ns = time.monotonic_ns() + 60_000_000_000
    done("create", "s", "--start-ns", str(start_ns), "--clock", "monotonic", "--lead", "4us")
    with Control() as control:
        assert (control.get("s").start_ns, control.get("s").lead_ns) == (start_ns, 4_000)


@pytest.mark.needs("raw")
def test_raw_memory_is_taken_shown_saved_and_made_again(load: Load, tmp_path: Path) -> None:
    load(print=0)
    made = f"create {raw.NAME} --phys {raw.ADDRESS:#x} --size 8K"
    assert done(*made.split()) == ""
    assert f"\n  memory        raw, at {raw.ADDRESS:#x}, zeroed\n" in done("show", raw.NAME)
    assert done("write", raw.NAME, "42") == ""
    # It began with zeroes, and is to be again what it is now.
    saved = done("save")
    assert f'phys = "{raw.ADDRESS:#x}"\nkeep = true\n' in saved
    assert done("delete", raw.NAME) == ""
    assert done(*made.split(), "--keep") == ""
    assert done("read", raw.NAME) == "42\n"

    assert done("save") == saved
    assert f'phys = "{raw.ADDRESS:#x}"\nkeep = true\n' in saved
    assert done("load", "-", stdin=saved).splitlines() == ["default: unchanged", "raw: unchanged"]
    # So that nothing but the raw memory is not told.
    module.DEVICE.chmod(0o604)
    refused = run("save", user=NOBODY)
    assert (refused.returncode, refused.stdout) == (1, "")
    assert refused.stderr.splitlines() == [
        "rtshm: raw: phys: told only to callers with CAP_SYS_RAWIO (EPERM, 1)",
        "rtshm: use sudo, outside of containers",
    ]
    assert "an address for CAP_SYS_RAWIO to see, kept\n" in run("show", "raw", user=NOBODY).stdout

    module.unload()
    module.load(print=0)
    assert done("load", "-", stdin=saved).splitlines() == ["default: unchanged", "raw: created"]
    assert done("read", raw.NAME) == "42\n"

    refused = run("create", "other", "--phys", f"{raw.ADDRESS + 4096:#x}")
    assert (refused.returncode, refused.stdout) == (1, "")
    assert refused.stderr.startswith("rtshm: other: phys: in use by another region, ")
    assert refused.stderr.endswith(" (EBUSY, 16)\n")


def test_show_draws_how_late_the_ticks_were(load: Load) -> None:
    load(print=0, period_ns=10_000_000)
    first.tick(count=20)
    page = done("show", "default")
    (ticks,) = re.findall(r"^  ticks +(\d+)$", page, re.MULTILINE)
    bins = re.findall(r"^ +\d\S* [num]?s \.\. +\d\S* [num]?s +(\d+)", page, re.MULTILINE)
    assert sum(map(int, bins)) == int(ticks) >= 20
    assert max(map(len, page.splitlines())) == 80


def test_refusals_have_the_kernels_words_and_status_1(load: Load) -> None:
    load(print=0)
    for line, words, code in (
        ("create default", "default: name: ", "(EEXIST, 17)"),
        ("create motor --size 5000", "motor: size: ", "(EINVAL, 22)"),
        ("create motor --period 10ns", "motor: period: ", "(ERANGE, 34)"),
        ("delete motor default", "motor: name: no such region", "(ENOENT, 2)"),
    ):
        refused = run(*line.split())
        assert (refused.returncode, refused.stdout) == (1, ""), line
        assert refused.stderr.startswith(f"rtshm: {words}"), line
        assert refused.stderr.splitlines()[0].endswith(f" {code}"), line
    with Control() as control:
        assert [region.name for region in control.list()] == ["default"]


def test_name_that_is_not_text_is_a_usage_error(load: Load) -> None:
    load(print=0)
    refused = run("create", "\udcff")
    assert refused.returncode == 2
    assert "Error: name: " in refused.stderr


def test_without_the_module_it_says_so() -> None:
    refused = run("list")
    assert (refused.returncode, refused.stdout) == (1, "")
    reason, remedy = refused.stderr.splitlines()
    assert reason.endswith(" (ENOENT, 2)")
    how = "sudo modprobe rtshm (built here: sudo insmod rtshm.ko)"
    assert remedy == f"rtshm: the module is not loaded: {how}"


def test_unprivileged_user_lists_and_is_refused_the_rest(load: Load) -> None:
    load(print=0, period_ns=20_000_000)
    listed = run("list", user=NOBODY)
    assert (listed.returncode, listed.stderr) == (0, "")
    assert listed.stdout.splitlines()[1].startswith("default    4K    20ms  off ")

    refused = run("create", "motor", user=NOBODY)
    assert (refused.returncode, refused.stdout) == (1, "")
    first, second = refused.stderr.splitlines()
    assert first.startswith("rtshm: motor: ")
    assert first.endswith(" (EPERM, 1)")
    assert second == "rtshm: use sudo, outside of containers"

    # What is in a region that may not be opened is a dash.
    watched = run("top", "--count", "1", "--interval", "200ms", user=NOBODY)
    assert (watched.returncode, watched.stderr) == (0, "")
    heading, line = watched.stdout.splitlines()
    assert heading.split() == "NAME TICKS/S SET VALUE LATENESS MEAN MAX MISSED USERS".split()
    assert line.split() == "default - 50.0 - - - - 0".split()


@pytest.mark.promise("regions: Root sees who has a deleted region open")
def test_list_names_to_root_who_has_a_deleted_region_open(load: Load) -> None:
    load(print=0)
    assert run("list").stderr == ""
    with Control() as control:
        control.create("motor")
        with rtshm.open("motor"):
            control.delete("motor")
            listed = run("list")
            who = Path(f"/proc/{os.getpid()}/comm").read_text().strip()
            said = f"rtshm: deleted and still open: motor by process {os.getpid()} ({who})\n"
            # The command is forked here, and may have the file as well.
            assert said in listed.stderr
            assert "motor" not in listed.stdout
            assert run("list", user=NOBODY).stderr == ""
    assert run("list").stderr == ""


def test_top_prints_json_lines(load: Load) -> None:
    load(print=0, period_ns=20_000_000)
    done("write", "7")
    found = [
        json.loads(line)
        for line in done("top", "--json", "--count", "2", "--interval", "200ms").splitlines()
    ]
    assert len(found) == 2
    for (row,) in found:
        assert (row["name"], row["value"], row["set-per-s"]) == ("default", 7, 50.0)
        assert row["ticks-per-s"] > 0


@pytest.mark.promise("regions: save and load recreate the same regions")
def test_description_makes_the_same_regions_again(load: Load, tmp_path: Path) -> None:
    file = tmp_path / "regions.toml"
    load(print=0)
    with Control() as control:
        control.set("default", period=1_000_001, print=PrintMode.CHANGES)
        control.create("motor", size=65536, record_bytes=64, layout="a:u8{b=1} c:f64", cpu=0)
        control.create("probe", mode=0o640, uid=4_000_000_000, gid=NOBODY, period=10**12)
        saved = control.list()
    assert done("save", str(file)) == ""

    module.unload()
    module.load(print=0)
    assert done("load", str(file)).splitlines() == [
        "default: changed: period '500ms' -> '1.000001ms', print 'off' -> 'changes'",
        "motor: created",
        "probe: created",
    ]
    with Control() as control:
        assert settings(control.list()) == settings(saved)
    # What is there is as described: the description of it is the same.
    text = done("save")
    assert text == file.read_text()
    assert done("load", "-", stdin=text).splitlines() == [
        "default: unchanged",
        "motor: unchanged",
        "probe: unchanged",
    ]


def test_closed_standard_output_is_an_error_in_one_line(load: Load) -> None:
    load(print=0)
    line = f"{' '.join(COLD)} list >&-"
    runs = [subprocess.run(line, shell=True, capture_output=True, text=True, timeout=60)]
    runs += [run(command, closed=[1]) for command in ("save", "list", "read", "--version")]
    for finished in runs:
        assert finished.returncode == 1
        assert finished.stderr == "rtshm: standard output: Bad file descriptor (EBADF, 9)\n"


def test_refusal_needs_no_dev_null(load: Load) -> None:
    """In a mount namespace in which /dev is empty."""
    line = f"mount -t tmpfs none /dev && exec {' '.join(COLD)} list"
    finished = subprocess.run(
        ["unshare", "-m", "sh", "-c", line], capture_output=True, text=True, timeout=60
    )
    assert finished.returncode == 1
    assert len(finished.stderr.splitlines()) <= 2
    assert finished.stderr.startswith("rtshm: ")


def test_values_of_fields_are_saved_and_loaded_again(load: Load, tmp_path: Path) -> None:
    file = tmp_path / "regions.toml"
    load(print=0)
    done("create", "m", "--layout", "speed:f64 mode:u8{off=0,on=1} axes:i32[2] tag:bytes[2]")
    done("put", "m", "speed=-inf", "mode=on", "axes=[1, -2]", "tag=00ff")
    before = done("get", "m")
    done("save", "--values", str(file))
    module.unload()
    module.load(print=0)
    assert done("load", str(file)).splitlines() == ["default: unchanged", "m: created"]
    assert done("get", "m") == before


@pytest.mark.stock
@pytest.mark.needs("bpf")
def test_description_has_tasks_which_begin_with_its_values(load: Load, tmp_path: Path) -> None:
    load(print=0)
    shutil.copy(COUNT, tmp_path / "count.bpf.o")
    file = tmp_path / "regions.toml"
    layout = 'layout = "setpoint:i32 kp:i32 ki:i32 output:i32 error:i32 drive:i32"\n'
    text = f'[m]\nperiod = "1ms"\n{layout}'
    tasks = '[m.tasks]\ncount = "count.bpf.o"\n'
    file.write_text(f"{text}[m.values]\noutput = 1000\n{tasks}")
    assert done("load", str(file)) == "m: created, task count added\n"
    with rtshm.open("m") as region:
        wait_until(lambda: region.read()["output"] > 1000, "the task counts on from the value")

    # It is the same task after it.
    file.write_text(text + tasks)
    with Control() as control:
        before = [task.prog_id for task in control.get("m").tasks]
        assert done("load", str(file)) == "m: unchanged\n"
        assert [task.prog_id for task in control.get("m").tasks] == before
        control.delete("m")

    # A program that is refused takes the regions with it.
    file.write_text(f'{text}{tasks}gone = "gone.bpf.o"\n')
    refused = run("load", str(file))
    assert (refused.returncode, refused.stdout) == (1, "")
    assert refused.stderr == (
        f"rtshm: {tmp_path}/gone.bpf.o: No such file or directory (ENOENT, 2)\n"
    )
    assert "m" not in done("list").split()


@pytest.mark.needs("settings")
def test_load_reads_the_files_of_the_machine(load: Load) -> None:
    load(print=0)
    refused = run("load")
    assert refused.stderr == (
        "rtshm: there is no /etc/rtshm/regions.toml, and no *.toml in /etc/rtshm/regions.d\n"
    )
    machine = Path("/etc/rtshm")
    try:
        (machine / "regions.d").mkdir(parents=True)
        (machine / "regions.toml").write_text("[a]\n")
        (machine / "regions.d/b.toml").write_text("[b]\n")
        assert done("load") == "a: created\nb: created\n"
        (machine / "regions.d/c.toml").write_text("[a]\n[c]\n")
        refused = run("load")
        assert refused.stderr == (
            f"rtshm: {machine}/regions.d/c.toml: a: another file describes it, too\n"
        )
        assert "c" not in done("list").split()
    finally:
        shutil.rmtree(machine)


def test_load_does_all_or_nothing(load: Load, tmp_path: Path) -> None:
    """What the kernel refuses half-way undoes what was done before it."""
    file = tmp_path / "regions.toml"
    file.write_text(
        '[new]\n[default]\nperiod = "1s"\n[m]\nhistory = 50\n[m.values]\nn = 7\n'
        '[other]\nsize = "1G"\n[last]\nperiod = "1ns"\n'
    )
    load(print=0)
    with Control() as control:
        control.create("m", layout="n:u64", history=10, period="none")
        before = control.list()
        with rtshm.open("m") as region, region.samples() as samples:
            refused = run("load", str(file))
            # The history is that from before, and its readers go on.
            region.kick()
            assert samples.read(PATIENCE)
        assert settings(control.list()) == settings(before)
    assert (refused.returncode, refused.stdout) == (1, "")
    assert refused.stderr.startswith("rtshm: other: size: ")
    assert done("get", "m") == "n 0\n"


def test_description_that_cannot_be_met_changes_nothing(load: Load, tmp_path: Path) -> None:
    file = tmp_path / "regions.toml"
    file.write_text('[new]\n[default]\nperiod = "1s"\nsize = "64K"\n[motor]\nmode = "0660"\n')
    load(print=0)
    with Control() as control:
        control.create("motor")
        before = control.list()
        refused = run("load", str(file))
        assert settings(control.list()) == settings(before)
    assert (refused.returncode, refused.stdout) == (1, "")
    assert refused.stderr == (
        f"rtshm: {file}: default: size is '4K', described as '64K', "
        "and cannot be changed: `rtshm delete default` and load again, or take size out of the "
        "description\n"
        f"rtshm: {file}: motor: mode is '0600', described as '0660', and load could not undo the "
        "change: `rtshm set motor --mode 0660` and load again\n"
    )

    # Each remedy works as it is printed.
    text = '[default]\ncpu = 0\nphase = "1ms"\n[motor]\nmode = "0660"\nowner = 1\ngroup = 1\n'
    refused = run("load", "-", stdin=text)
    remedies = re.findall(r"`rtshm (set .*)` and load again$", refused.stderr, re.MULTILINE)
    assert len(remedies) == 5
    for remedy in remedies:
        done(*remedy.split())
    assert done("load", "-", stdin=text) == "default: unchanged\nmotor: unchanged\n"

    # Not of the description's making: the kernel's refusal, of the second region.
    file.write_text('[new]\n[other]\nperiod = "1ns"\n')
    refused = run("load", str(file))
    assert (refused.returncode, refused.stdout) == (1, "")
    assert refused.stderr.startswith("rtshm: other: period: ")
    with Control() as control:
        assert "new" not in [region.name for region in control.list()]

    refused = run("load", str(tmp_path / "absent"))
    assert refused.returncode == 1
    assert refused.stderr == f"rtshm: {tmp_path}/absent: No such file or directory (ENOENT, 2)\n"


def follow_events(*arguments: str) -> pexpect.spawn[str]:
    """`rtshm events` that has printed a line, and so prints all that comes."""
    events = on_terminal("events", *arguments)
    deadline = time.monotonic() + PATIENCE
    with Control() as control:
        for period in range(10**9, 2 * 10**9):
            assert time.monotonic() < deadline
            control.set("default", period=period)
            if events.expect_exact(["changed", pexpect.TIMEOUT], timeout=0.2) == 0:
                break
        # The last of them.
        control.set("default", record_bytes=16)
    events.expect('record-bytes(=|": )16.*\n')
    return events


def test_events_are_told_in_their_order(load: Load) -> None:
    load(print=0)
    events = follow_events()
    with Control() as control:
        control.create("motor", size=65536, period=3_600_000_000_000)
        control.set("motor", period=1_800_000_000_000, print=PrintMode.CHANGES)
        control.delete("motor")
        control.create("motor")
    about = "size={} period={} print={} history=0 record-bytes=8"
    for line in (
        f"created motor: {about.format('64K', '3600s', 'off')}",
        f"changed motor: {about.format('64K', '1800s', 'changes')}",
        r"deleted motor: ticks=\d+ missed=\d+",
        f"created motor: {about.format('4K', '500ms', 'off')}",
    ):
        assert re.fullmatch(line + "\r\n", events.readline())
    assert interrupt(events) == 130
    assert "Traceback" not in (events.before or "")


def test_events_as_json_end_quietly_when_their_reader_goes(load: Load) -> None:
    load(print=0)
    events = subprocess.Popen(
        [*COMMAND, "events", "--json"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert events.stdout and events.stderr
    os.set_blocking(events.stdout.fileno(), False)
    # The same period again is not a change, and there is no event.
    periods = iter(range(10**9, 2 * 10**9))
    try:
        with Control() as control:
            deadline = time.monotonic() + PATIENCE
            while not (line := events.stdout.readline()):
                assert time.monotonic() < deadline
                control.set("default", period=next(periods))
                time.sleep(0.2)
            told = json.loads(line)
            assert (told["event"], told["region"]["name"]) == ("changed", "default")
            assert told["region"]["counters"]["lateness-histogram"][31] == 0
            events.stdout.close()
            control.set("default", period=next(periods))
        assert events.wait(PATIENCE) == 1
        assert events.stderr.read() == ""
    finally:
        events.kill()
        events.wait()
        events.stderr.close()


def test_events_end_when_the_module_goes(load: Load) -> None:
    load(print=0)
    events = follow_events()
    module.unload()
    events.expect_exact("rtshm: the module was unloaded (ENODEV, 19)\r\n")
    assert leave(events) == 1


def screen(*arguments: str) -> pexpect.spawn[str]:
    return on_terminal("top", *arguments, size=(24, 100), TERM="xterm")


def test_top_shows_what_changes_until_q(load: Load) -> None:
    load(print=0)
    with Control() as control, rtshm.open() as default:
        control.create("motor", period=10_000_000)
        with rtshm.open("motor") as motor:
            motor.some_int = 11111
            top = screen("--interval", "200ms")
            assert top.isatty()
            modes = termios.tcgetattr(top.child_fd)
            top.expect_exact("NAME")
            top.expect_exact("motor")
            top.expect_exact("11111")
            # Only what differs is painted: no digit may stay.
            motor.some_int = 22222
            top.expect_exact("22222")
        control.delete("motor")
        default.some_int = 33333
        top.expect_exact("33333")
        top.send("x")
        default.some_int = 44444
        top.expect_exact("44444")
        top.send("q")
        # The last sequence puts the old screen back.
        top.expect_exact("\x1b[?1049l")
        top.expect(pexpect.EOF)
        assert termios.tcgetattr(top.child_fd) == modes
        assert leave(top) == 0


def test_top_leaves_on_control_c_with_130(load: Load) -> None:
    load(print=0)
    top = screen()
    top.expect_exact("default")
    top.sendcontrol("c")
    top.expect_exact("\x1b[?1049l")
    assert leave(top) == 130
    assert "Traceback" not in (top.before or "")


@pytest.mark.parametrize("line", ["write mo", "delete default mo"])
def test_names_of_regions_are_completed(
    load: Load, monkeypatch: pytest.MonkeyPatch, line: str
) -> None:
    load(print=0)
    with Control() as control:
        control.create("motor-of-the-mill")
    monkeypatch.setenv("_RTSHM_COMPLETE", "bash_complete")
    monkeypatch.setenv("COMP_WORDS", f"rtshm {line}")
    monkeypatch.setenv("COMP_CWORD", str(len(line.split())))
    assert run().stdout == "plain,motor-of-the-mill\n"


# The command with no terminal: a snapshot's interpreter runs it then.
ELSEWHERE = """#!/bin/sh
{{ {{ {command} "$@" 3>&- | cat; }} 2>&1 >&3 </dev/null | cat >&2; }} 3>&1
"""


def test_bash_completes_names_of_regions(load: Load, tmp_path: Path) -> None:
    programs = tmp_path / "bin"
    programs.mkdir()
    (programs / "rtshm").write_text(ELSEWHERE.format(command=shutil.which("rtshm")))
    (programs / "rtshm").chmod(0o755)
    script = tmp_path / "completion"
    script.write_text(done("completion", "bash"))
    bash = pexpect.spawn(
        "bash",
        ["--norc", "--noprofile", "-i"],
        encoding="utf-8",
        timeout=PATIENCE,
        env={**os.environ, "PATH": f"{programs}:{os.environ['PATH']}", "PS1": "$ ", "TERM": "dumb"},
    )
    bash.expect_exact("$ ")
    bash.sendline(f". {script}; bind 'set bell-style none'")
    bash.expect_exact("$ ")

    # Without the module there is nothing to say, and the line stays as it is.
    bash.send("rtshm show m\t")
    bash.expect_exact("rtshm show m")
    bash.send("-\r")
    bash.expect_exact("rtshm: ")
    assert bash.before == "-\r\n"
    bash.expect_exact("$ ")

    load(print=0)
    with Control() as control:
        control.create("motor-of-the-mill")
    bash.send("rtshm show mo\t")
    bash.expect_exact("motor-of-the-mill ")
    bash.send("\x15")
    bash.sendline("exit")
    bash.expect(pexpect.EOF)
    bash.close(force=True)
