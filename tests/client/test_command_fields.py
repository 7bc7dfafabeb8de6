"""The command `rtshm` for fields: get, put, header."""

from __future__ import annotations

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


def test_put_stores_and_get_prints_fields_by_name(region: rtshm.Region) -> None:
    assert done("get", "a-motor") == "speed 0.0\ngain 0.0\nmode off\naxes [0, 0]\n"
    assert done("put", "a-motor", "speed=-3.0", "gain=0.5e1", "mode=on") == ""
    assert done("put", "a-motor", "axes=[1, -2]") == ""
    assert region.read() == {"speed": -3.0, "gain": 5.0, "mode": 1, "axes": [1, -2]}
    assert not region.ready
    assert done("get", "a-motor", "axes", "mode") == "axes [1, -2]\nmode on\n"


def test_put_announces_when_asked(region: rtshm.Region) -> None:
    region.some_int = 9
    assert done("put", "--announce", "a-motor", "mode=1") == ""
    assert (region.some_int, region.ready, region.view.mode) == (9, True, 1)


@pytest.mark.parametrize(
    ("assignments", "reason"),
    [
        (["gain=1", "mode=2"], "mode: 2 is none of off, on"),
        (["gain=1", "axes=[1]"], "axes: 1 values; give 2"),
        (["gain=1", "sped=1"], "there is no field 'sped'; there are speed, gain, mode, axes"),
        (["gain=1", "mode"], "'mode' is no FIELD=VALUE, as speed=3.0"),
    ],
)
def test_put_of_what_is_no_value_has_status_2_and_stores_nothing(
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
            "rtshm: default: no layout is stored with the region\n"
            "rtshm: make it with one: rtshm create default --layout 'speed:f64 gain:f32 _:x4'\n"
        )
    refused = run("header", "nobody")
    assert refused.returncode == 1
    assert refused.stderr.startswith("rtshm: nobody: ")
