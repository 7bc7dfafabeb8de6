"""The command `rtshm` for fields: get, put, header."""

from __future__ import annotations

import json
import shlex
import subprocess
from datetime import timedelta
from typing import TYPE_CHECKING

import pytest
import rtshm
from rtshm import PrintMode

from tests.lib.command import done, run
from tests.lib.module import CHECKOUT

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.lib.fixtures import Load

TEXT = "speed:f64 gain:f32 mode:u8{off=0,on=1} _:x3 axes:i32[2]"


@pytest.fixture
def region(load: Load) -> Iterator[rtshm.Region]:
    load(print=0)
    with rtshm.Control() as control:
        control.create("a-motor", layout=TEXT, period=timedelta(hours=1), print=PrintMode.OFF)
    with rtshm.open("a-motor") as opened:
        yield opened


@pytest.mark.promise("fields: get and put accept and print the same values, and refuse the same")
def test_put_stores_and_get_prints_fields_by_name(region: rtshm.Region) -> None:
    assert done("get", "a-motor") == "speed 0.0\ngain 0.0\nmode off\naxes [0, 0]\n"
    assert done("put", "a-motor", "speed=-3.0", "gain=0.5e1", "mode=on") == ""
    assert done("put", "a-motor", "axes=[1, -2]") == ""
    assert region.read() == {"speed": -3.0, "gain": 5.0, "mode": 1, "axes": [1, -2]}
    assert not region.ready
    done("put", "a-motor", "axes=[0x1, -2]")
    assert done("get", "a-motor", "axes", "mode") == "axes [1, -2]\nmode on\n"


def test_part_of_a_field_is_put_and_got(region: rtshm.Region) -> None:
    done("put", "a-motor", "axes[1]=0x10", "speed=.5", "axes[0]=-1")
    assert region.read() == {"speed": 0.5, "gain": 0.0, "mode": 0, "axes": [-1, 16]}
    assert done("get", "a-motor", "axes[1]", "speed") == "axes[1] 16\nspeed 0.5\n"
    assert json.loads(done("get", "a-motor", "--json")) == {
        "speed": 0.5, "gain": 0.0, "mode": "off", "axes": [-1, 16]
    }  # fmt: skip
    assert json.loads(done("read", "a-motor", "--json")) == {"some_int": 0, "ready": False}


def test_padding_is_added_and_an_invalid_layout_refused(region: rtshm.Region) -> None:
    assert done("create", "p", "--layout", "a:u8 b:f64", "--history", "10") == (
        "p: layout a:u8 _:x7 b:f64\n"
    )
    with rtshm.open("p") as padded:
        assert padded.layout.text == "a:u8 _:x7 b:f64"
        assert padded.info.record_bytes == 24
    for text in ("speed:float", "gr\u00f6\u00dfe:f64", "a:f64[600]"):
        refused = run("create", "odd", "--layout", text)
        assert (refused.returncode, refused.stdout) == (2, "")
        assert "\nError: " in refused.stderr
    assert run("get", "odd").returncode == 1


@pytest.mark.parametrize(
    "line",
    [
        "put a-motor g",
        "queue a-motor g",
        "scope a-motor speed g",
        "scope a-motor --level 1 --trigger g",
        "scope a-motor --with a-motor-2 a-motor-2.g",
        "record a-motor --field g",
        "record a-motor --field speed --field g",
        "record --field speed -o x.csv a-motor a-motor-2 --field g",
        "task safe a-motor g",
        "task safe a-motor gain=1 --after 1s --mark g",
        "task safe a-motor --alive g",
        "task safe a-motor --age g",
        "task rearm a-motor --mark g",
    ],
)
def test_fields_are_completed(
    region: rtshm.Region, monkeypatch: pytest.MonkeyPatch, line: str
) -> None:
    if "a-motor-2" in line:
        done("create", "a-motor-2", "--layout", "gain:f32")
    monkeypatch.setenv("_RTSHM_COMPLETE", "bash_complete")
    monkeypatch.setenv("COMP_CWORD", str(len(line.split())))
    monkeypatch.setenv("COMP_WORDS", f"rtshm {line}")
    assert run().stdout == f"plain,{line.split()[-1]}ain\n"


def test_put_announces_when_asked(region: rtshm.Region) -> None:
    region.some_int = 9
    assert done("put", "--announce", "a-motor", "mode=1") == ""
    assert (region.some_int, region.ready, region.view.mode) == (10, True, 1)


def test_field_called_announce_is_put_and_loaded(region: rtshm.Region) -> None:
    done("create", "m", "--layout", "announce:i32 values:i32")
    done("put", "m", "announce=5", "values=6")
    assert done("get", "m") == "announce 5\nvalues 6\n"
    done("load", "-", stdin="[m.values]\nannounce = 7\n")
    assert done("get", "m") == "announce 7\nvalues 6\n"
    assert json.loads(done("read", "m", "--json")) == {"some_int": 0, "ready": False}


@pytest.mark.promise("fields: get and put accept and print the same values, and refuse the same")
@pytest.mark.parametrize(
    ("assignments", "reason"),
    [
        (["gain=1", "mode=2"], "mode: 2 is none of off, on"),
        (["gain=1", "axes=[1]"], "axes: 1 values; give 2"),
        (["gain=1", "sped=1"], "there is no field 'sped'; there are speed, gain, mode, axes"),
        (["gain=1", "mode"], "'mode': expected FIELD=VALUE, for example speed=3.0"),
        (["gain=1", "speed=1e999"], "speed: '1e999' is too large; an infinity is inf"),
        (["gain=1", "speed=true"], "speed: 'true' is not a number"),
        (["gain=1", "gain=2"], "gain: given twice"),
        (["axes[0]=1", "axes=[1, 2]"], "axes: given twice"),
        (["gain=1", "axes[2]=1"], "'axes[2]': axes has the indices 0 to 1"),
    ],
)
def test_put_of_an_invalid_value_has_status_2_and_stores_nothing(
    region: rtshm.Region, assignments: list[str], reason: str
) -> None:
    before = bytes(region.memory)
    refused = run("put", "--announce", "a-motor", *assignments)
    assert (refused.returncode, refused.stdout) == (2, "")
    assert f"Error: {reason}" in refused.stderr
    assert bytes(region.memory) == before


def test_header_compiles_for_a_region_of_any_name(region: rtshm.Region, tmp_path: Path) -> None:
    header = tmp_path / "motor.h"
    header.write_text(done("header", "a-motor"))
    assert "struct region_a_motor {" in header.read_text()
    include = CHECKOUT / "kmod/include/uapi"
    subprocess.run(
        ["gcc", "-Wall", "-Werror", "-I", include, "-fsyntax-only", "-xc", header], check=True
    )


def test_region_without_a_layout_has_no_fields_and_no_header(region: rtshm.Region) -> None:
    for command in (["get", "default"], ["put", "default", "speed=1"], ["header", "default"]):
        refused = run(*command)
        assert (refused.returncode, refused.stdout) == (1, "")
        assert refused.stderr == (
            "rtshm: default: no layout is stored with the region; make one with a layout: "
            "rtshm create default2 --layout 'speed:f64 gain:f32'\n"
        )
    # What the message says to type works.
    done(*shlex.split(refused.stderr.partition(": rtshm ")[2]))
    assert done("get", "default2") == "speed 0.0\ngain 0.0\n"
    refused = run("header", "nobody")
    assert refused.returncode == 1
    assert refused.stderr.startswith("rtshm: /dev/rtshm/nobody: ")
