"""save and load: a description says what is there, and what it cannot make so it refuses."""

from __future__ import annotations

import subprocess
import sys
import tomllib
from dataclasses import replace
from pathlib import Path

import pytest
from rtshm.cli import description, save
from rtshm.cli.description import DescriptionError
from rtshm.control import Clock, PrintMode, TaskInfo

from tests.host.cli import counters, region

MOTOR = region(
    "motor",
    id=2,
    size=65536,
    period_ns=1_500_001,
    print=PrintMode.CHANGES,
    history=1024,
    record_bytes=64,
    layout="speed:f64 mode:u8{off=0,on=1} _:x7",
    mode=0o640,
    uid=4_000_000_000,
    cpu=0,
    users=3,
    counters=counters({9: 5}),
    clock=Clock.TAI,
    phase_ns=250_000,
    lead_ns=12_500,
    task_budget_ns=20_000,
    task_long_max=10,
    phys=0x4000_0000,
    keep=True,
)

TEXT = r"""# rtshm load makes these regions, or sets those that are there.

[default]
layout = ""
history = 0
period = "500ms"
print = "off"
record-bytes = 8
mode = "0600"
owner = "root"
group = "root"
cpu = "any"
phase = "none"
lead = "0ns"
cpu-latency = "0ns"
task-budget = "0ns"
task-long-max = 0
size = "4K"
clock = "monotonic"
phys = "none"
keep = false

[motor]
layout = "speed:f64 mode:u8{off=0,on=1} _:x7"
history = 1024
period = "1.500001ms"
print = "changes"
record-bytes = 64
mode = "0640"
owner = 4000000000
group = "root"
cpu = 0
phase = "250us"
lead = "12.5us"
cpu-latency = "0ns"
task-budget = "20us"
task-long-max = 10
size = "64K"
clock = "tai"
phys = "0x40000000"
keep = true
"""


def refusal(text: str, *there: object) -> list[str]:
    with pytest.raises(DescriptionError) as caught:
        description.plan(description.parse(text), there)  # type: ignore[arg-type]
    return str(caught.value).splitlines()


def test_save_writes_a_table_a_region() -> None:
    assert description.save([region(), MOTOR]) == TEXT


def test_output_of_save_recreates_the_same_regions() -> None:
    default, motor = description.plan(description.parse(TEXT), [region()])
    assert (default.name, default.new, default.arguments) == ("default", False, {})
    assert default.what == "default: unchanged"
    assert (motor.name, motor.new, motor.what) == ("motor", True, "motor: created")
    assert motor.arguments == {
        "size": 65536,
        "period": 1_500_001,
        "print": "changes",
        "history": 1024,
        "record_bytes": 64,
        "layout": MOTOR.layout,
        "mode": 0o640,
        "uid": 4_000_000_000,
        "gid": 0,
        "cpu": 0,
        "clock": "tai",
        "phase": 250_000,
        "lead": 12_500,
        "cpu_latency": 0,
        "phys": 0x4000_0000,
        "keep": True,
        "task_budget": 20_000,
        "task_long_max": 10,
    }


def test_address_that_is_not_told_is_not_saved_as_none() -> None:
    with pytest.raises(PermissionError) as refused:
        description.save([region(), replace(MOTOR, phys=0)])
    assert refused.value.filename == "motor"


def test_address_that_is_not_told_is_not_compared() -> None:
    wanted = {"motor": {"phys": MOTOR.phys}}
    (step,) = description.plan(wanted, [MOTOR])
    assert step.what == "motor: unchanged"
    with pytest.raises(PermissionError) as refused:
        description.plan(wanted, [replace(MOTOR, phys=0)])
    assert refused.value.filename == "motor"


def test_access_that_was_left_to_the_machine_stays_so() -> None:
    text = description.save([region(access_default=True)])
    values = description.parse(text)["default"]
    assert not values.keys() & {"mode", "owner", "group"}
    assert values.keys() >= {"size", "cpu"}


def test_region_that_is_as_described_stays() -> None:
    steps = description.plan(description.parse(TEXT), [region(id=7), MOTOR])
    assert [(step.new, step.arguments) for step in steps] == [(False, {})] * 2


def test_difference_that_can_be_set_is_set() -> None:
    other = replace(
        MOTOR, period_ns=10**9, print=PrintMode.OFF, history=0, record_bytes=8, phase_ns=None
    )
    text = TEXT.replace('phase = "250us"', 'phase = "none"')
    (_, motor) = description.plan(description.parse(text), [region(), other])
    assert not motor.new
    assert motor.arguments == {
        "period": 1_500_001,
        "print": "changes",
        "history": 1024,
        "record_bytes": 64,
    }
    assert motor.what == (
        "motor: changed: history 0 -> 1024, period '1s' -> '1.500001ms', print 'off' -> 'changes', "
        "record-bytes 8 -> 64"
    )
    assert motor.before == {
        "period": 10**9,
        "print": PrintMode.OFF,
        "history": 0,
        "record_bytes": 8,
    }


@pytest.mark.parametrize(
    ("line", "values"),
    [
        ('size = "64K"', "size is '4K', described as '64K'"),
        ('layout = "n:i32"', "layout is '', described as 'n:i32'"),
        ('clock = "tai"', "clock is 'monotonic', described as 'tai'"),
        ('phys = "0x1000"', "phys is 'none', described as '0x1000'"),
    ],
)
def test_difference_that_cannot_be_set_is_refused(line: str, values: str) -> None:
    assert refusal(f"[default]\n{line}\n", region(access_default=True)) == [
        f"default: {values}, and cannot be changed: `rtshm delete default` and load again, "
        f"or take {line.split()[0]} out of the description"
    ]


@pytest.mark.parametrize(
    ("line", "values", "option"),
    [
        ('mode = "0660"', "mode is '0600', described as '0660'", "--mode 0660"),
        ("owner = 4000000000", "owner is 'root', described as 4000000000", "--owner 4000000000"),
        ("group = 4000000000", "group is 'root', described as 4000000000", "--group 4000000000"),
        ("cpu = 1", "cpu is 'any', described as 1", "--cpu 1"),
        ('phase = "0ns"', "phase is 'none', described as '0ns'", "--phase 0ns"),
    ],
)
def test_first_setting_that_load_could_not_undo_is_refused(
    line: str, values: str, option: str
) -> None:
    assert refusal(f"[default]\n{line}\n", region(access_default=True)) == [
        f"default: {values}, and load could not undo the change: "
        f"`rtshm set default {option}` and load again"
    ]


def test_grid_cpu_and_access_of_a_region_are_changed() -> None:
    text = '[motor]\nphase = "1us"\nlead = "2us"\ncpu = 1\nmode = "0600"\ngroup = 5\n'
    (step,) = description.plan(description.parse(text), [MOTOR])
    after = {"phase": 1000, "lead": 2000, "cpu": 1, "mode": 0o600, "gid": 5}
    assert (step.new, step.arguments) == (False, after)
    names = {"phase": "phase_ns", "lead": "lead_ns"}
    assert step.before == {key: getattr(MOTOR, names.get(key, key)) for key in after}


def test_raw_memory_is_described_as_kept_and_what_is_not_described_is_said() -> None:
    text = description.save([replace(MOTOR, keep=False, start_ns=5)])
    assert tomllib.loads(text)["motor"]["keep"] is True
    assert "# motor: start-ns 5 is not described" in text
    # It is there already: no matter what it began with.
    (step,) = description.plan(description.parse(text), [replace(MOTOR, keep=False)])
    assert step.what == "motor: unchanged"


def test_values_of_fields_are_checked_before_anything_is_done() -> None:
    text = '[a]\nlayout = "n:u8 p(x:i16)"\n[a.values]\n'
    (step,) = description.plan(description.parse(text + 'n = "7"\np = \'{"x": 3}\'\n'), [])
    assert step.values == {"n": 7, "p": {"x": 3}}
    for line, reason in {
        'n = "256"': "a: values: n: 256 does not fit u8; give 0 to 255",
        "m = 1": "a: values: there is no field 'm'; there are n, p",
        '"p.x" = 1': "a: values: 'p.x': give the whole field",
    }.items():
        assert refusal(text + line) == [reason]
    assert refusal('[a]\nlayout = "n:f65"\n')[0].startswith("a: layout: n: column 3")


def test_every_refusal_is_told_at_once() -> None:
    text = '[new]\nsize = "4K"\n[default]\nsize = 8192\n[motor]\nclock = "realtime"\n'
    first, second = refusal(text, region(), MOTOR)
    assert first.startswith("default: size is '4K', described as '8K', and cannot be changed")
    assert second.startswith("motor: clock is 'tai', described as 'realtime', and cannot be")


def test_regions_that_are_not_described_stay_as_they_are() -> None:
    assert description.plan(description.parse(""), [MOTOR]) == []
    (step,) = description.plan(description.parse("[motor]\n"), [MOTOR])
    assert step.arguments == {}


FOLLOW = '[motor.tasks]\nfilter = "f.bpf.c"\n"a-b" = { program = "/b.o", unbounded = true }\n'


def test_tasks_are_added_in_their_order_from_files_beside_the_description() -> None:
    described = description.parse(FOLLOW, Path("/etc/rtshm"))
    (step,) = description.plan(described, [])
    assert step.what == "motor: created, task filter added, task a-b added"
    assert step.arguments == {}
    assert list(step.tasks.items()) == [
        ("filter", {"source": "/etc/rtshm/f.bpf.c", "unbounded": False}),
        ("a-b", {"program": "/b.o", "unbounded": True}),
    ]


def test_task_that_the_region_has_stays_as_it_is() -> None:
    there = replace(MOTOR, tasks=(TaskInfo("filter", 0, 0, 0, False, prog_id=7),))
    (step,) = description.plan(description.parse(FOLLOW), [there])
    assert step.what == "motor: changed: task a-b added"
    assert [*step.tasks] == ["a-b"]


def test_task_that_cannot_be_described_is_said_in_a_comment() -> None:
    tasks = (TaskInfo("mine", 0, 0, 0, False), TaskInfo("bpf", 0, 0, 0, False, prog_id=7))
    text = description.save([replace(MOTOR, tasks=tasks)])
    assert '[motor.tasks] bpf = "PATH"' in text
    assert "mine" not in text
    assert "tasks" not in tomllib.loads(text)["motor"]


@pytest.mark.parametrize(
    ("text", "wrong"),
    [
        ("tasks = 5", "it is not a table: begin it with [NAME.tasks]"),
        ("tasks.a = 5", "a: 5 is not the path of a program"),
        ("tasks.a = {}", "a: None is not the path of a program"),
        (
            'tasks.a = { program = "a.o", unbound = true }',
            "a: there is program, and unbounded, which is true or false",
        ),
    ],
)
def test_task_without_a_program_is_refused(text: str, wrong: str) -> None:
    assert refusal(f"[motor]\n{text}\n") == [f"motor: tasks: {wrong}"]


def test_files_of_this_machine_are_taken_in_their_order(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(save, "REGIONS", tmp_path / "regions.toml")
    with pytest.raises(SystemExit, match=r"there is no .*regions\.toml, and no \*\.toml in"):
        save._installed()
    names = ["regions.toml", "regions.d/10-a.toml", "regions.d/20-b.toml"]
    (tmp_path / "regions.d").mkdir()
    for name in [*reversed(names), "regions.d/old.toml~"]:
        (tmp_path / name).touch()
    assert save._installed() == [str(tmp_path / name) for name in names]


def test_names_and_numbers_are_taken() -> None:
    text = '[m]\nsize = 8192\nowner = "root"\ngroup = 0\ncpu = "any"\n'
    assert description.parse(text) == {"m": {"size": 8192, "owner": 0, "group": 0, "cpu": None}}


KEYS = "layout, history, period, print, record-bytes, mode, owner, group, cpu"


@pytest.mark.parametrize(
    ("line", "wrong"),
    [
        ('perod = "1s"', f"perod: there is no such key; there are {KEYS}"),
        ("period-ns = 5", f"period-ns: there is no such key; there are {KEYS}"),
        ('size = "5KB"', "size: '5KB' is not a size; give bytes as 4096, 64K, 1M or 1G"),
        ("size = true", "size: True is not text; put it in quotes"),
        ("size = 1.5", "size: 1.5 is not text; put it in quotes"),
        ("size = -4096", "size: '-4096' is not a size; give bytes as 4096, 64K, 1M or 1G"),
        ("period = 500", "period: 500 is not text; put it in quotes"),
        (
            'period = "500"',
            "period: '500' is not a time; give a number and its unit, "
            "for example 2s, 500ms, 100us or 1500000ns",
        ),
        ('print = "on"', "print: 'on' is not one of off, every-tick, changes"),
        ("print = true", "print: True is not one of off, every-tick, changes"),
        ('history = "8"', "history: '8' is not a number"),
        ("history = true", "history: True is not a number"),
        ("history = -1", "history: '-1' is not a number from 0 to 4294967295"),
        ("record-bytes = 4294967296", "record-bytes: '4294967296' is not a number from 0 to"),
        (r'layout = "a\u0000b"', "layout: 'a\\x00b' has a NUL in it, which would end it"),
        ("layout = []", "layout: [] is not text; put it in quotes"),
        ("mode = 432", "mode: 432 is not text; put it in quotes"),
        ('mode = "rw"', "mode: 'rw' is not a mode; give octal digits, as 0660"),
        ('owner = "no-such"', "owner: 'no-such' is not a number from 0 to 4294967295, and"),
        ("owner = 1.0", "owner: 1.0 is not text; put it in quotes"),
        ("group = -1", "group: '-1' is not a number from 0 to 4294967295"),
        ('cpu = "all"', "cpu: 'all' is not a number"),
        ("cpu = {}", "cpu: {} is not a number"),
        ("phys = 4096", "phys: 4096 is not text; put it in quotes"),
        ('phys = "4096"', "phys: '4096' is not an address; give it in hexadecimal, as 0x40000000"),
        ("keep = 1", "keep: 1 is neither true nor false"),
    ],
)
def test_error_names_region_and_key(line: str, wrong: str) -> None:
    (told,) = refusal(f"[motor]\n{line}\n")
    assert told.startswith(f"motor: {wrong}")


def test_value_that_is_not_a_table_is_refused() -> None:
    assert refusal("motor = 5\n[[probe]]\n") == [
        "motor: a region is a table: begin it with [motor]",
        "probe: a region is a table: begin it with [probe]",
    ]


def test_invalid_toml_is_refused_with_its_line() -> None:
    (told,) = refusal("[motor]\nsize 5\n")
    assert "(at line 2, column 6)" in told


def test_saved_text_is_toml() -> None:
    assert tomllib.loads(TEXT)["motor"]["layout"] == MOTOR.layout


def test_closed_standard_input_prints_no_traceback() -> None:
    done = subprocess.run(
        f"{sys.executable} -m rtshm load - <&-", shell=True, capture_output=True, text=True
    )
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == "rtshm: Bad file descriptor (EBADF, 9)\n"


def test_file_that_has_the_number_of_a_closed_standard_input_is_not_read(tmp_path: Path) -> None:
    (tmp_path / "other.toml").write_text("[other]\nsize = 4096\n")
    script = "import os, rtshm.cli; os.open('other.toml', 0); rtshm.cli.main()"
    command = f'{sys.executable} -c "{script}" load - <&-'
    done = subprocess.run(command, cwd=tmp_path, shell=True, capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == "rtshm: Bad file descriptor (EBADF, 9)\n"
