"""q16: a number in an i32, with 16 bits behind the point."""

from __future__ import annotations

import math
import re
import struct
import subprocess
from dataclasses import replace
from fractions import Fraction
from typing import TYPE_CHECKING, Annotated

import construct
import numpy
import pytest
import rtshm
import rtshm.testing
from rtshm.cli.values import parse_value, value_text
from rtshm.layout import Layout
from rtshm.layout.construct import Q16n
from rtshm.layout.fixed import to_memory
from rtshm.recording import Recording
from rtshm.recording.columns import columns, groups, memory_dtype
from rtshm.recording.conditions import Conditions
from rtshm.recording.play import _samples

from tests.host.recordings import written

if TYPE_CHECKING:
    from pathlib import Path

ONE = 65536
LOW, HIGH = -(2**31), 2**31 - 1
TEXT = "gain:q16 tick:q16 axes:q16[2] points[2](x:q16 on:bool)"


@rtshm.struct
class Gains:
    gain: rtshm.q16
    axes: Annotated[rtshm.Array[float], rtshm.q16, 2]


@pytest.mark.promise("layouts: All fractions of a q16 come back from everything")
def test_all_65536_fractions_come_back_from_everything() -> None:
    """With whole parts at random: as a number, and as the text of the command."""
    layout = Layout("gain:q16")
    (field,) = layout.fields
    view = layout.ctypes()
    random = numpy.random.default_rng(1)
    whole = random.integers(-(2**15), 2**15, ONE)
    for fraction, high in enumerate(whole.tolist()):
        stored = high * ONE + fraction
        data = struct.pack("=i", stored)
        value = layout.parse(data)["gain"]
        assert value == Fraction(stored, ONE)
        assert layout.build({"gain": value}) == data
        ((_, built),) = layout.build_fields({"gain": value})
        assert built == data
        view.gain = value
        assert bytes(view) == data
        assert view.gain == value
        assert parse_value(field, value_text(value)) == value
        # Five digits behind the point name each q16.
        assert layout.build({"gain": float(f"{value:.5f}")}) == data


def test_value_is_rounded_to_the_nearest_and_out_of_range_refused() -> None:
    layout = Layout(Gains)
    view = layout.ctypes()
    for value, stored in (
        *((0.1, 6554), (-0.1, -6554), (1, ONE), (True, ONE), (Fraction(1, 3), 21845)),
        *((numpy.float32(0.5), 32768), (-32768, LOW), (HIGH / ONE, HIGH)),
    ):
        view.gain = value
        assert struct.unpack_from("=i", bytes(view))[0] == stored
    words = re.escape("does not fit q16; give -32768.0 to 32767.99998474121")
    for value in (32768, -32768.1, math.inf, -math.inf, 10**400, Fraction(10**400)):
        with pytest.raises(OverflowError, match=words):
            view.gain = value
        with pytest.raises(OverflowError, match=words):
            layout.build({"gain": value, "axes": [0, 0]})
    with pytest.raises(ValueError, match="gain: nan does not fit q16"):
        view.gain = math.nan
    for wrong in ("1", None, 1j, b"1"):
        with pytest.raises(TypeError, match="is not a number"):
            view.gain = wrong
    assert view.gain == HIGH / ONE


def test_typed_class_construct_and_text_declare_the_same() -> None:
    declared = construct.Struct("gain" / Q16n, "axes" / construct.Array(2, Q16n))
    layout = Layout(Gains)
    assert layout.text == Layout(declared).text == "gain:q16 axes:q16[2]"
    record = Gains(0.5, [-1.0, 2.25])
    assert layout.load(layout.build(record)) == record
    assert declared.build({"gain": 0.5, "axes": [-1, 2.25]}) == layout.build(record)
    with pytest.raises(rtshm.LayoutError, match="named values are for integers, and q16 is none"):
        Layout("gain:q16{low=1}")


def test_region_is_read_and_written_in_floats() -> None:
    with rtshm.testing.region(TEXT, history=64) as region:
        point = {"x": -0.5, "on": True}
        values = {"gain": 0.25, "tick": 1.5, "axes": [1.0, -2.5], "points": [point, point]}
        region.write(values)
        assert region.read() == values
        region.update(gain=3)
        region.view.axes[0] = 7.5
        assert (region.view.gain, list(region.view.axes)) == (3.0, [7.5, -2.5])
        # The memory itself.
        assert region.array["gain"] == 3 * ONE
        with region.samples() as samples:
            assert samples.dtype["gain"] == "f8"
            rows = samples.read_array(8)
            assert rows.dtype == samples.dtype
            assert (rows["gain"] == 3.0).all()
            assert (rows["tick_"] == 1.5).all()
            assert (rows["tick"] > 0).all()
            assert (rows["axes"] == [7.5, -2.5]).all()
            assert (rows["points"]["x"] == -0.5).all()
            assert rows["points"]["on"].all()
            assert len(samples.read_array(0)) == 0
            assert next(samples)["gain"] == 3.0


@pytest.mark.parametrize("ending", ["arrows", "mcap", "csv"])
def test_recording_has_floats_and_plays_what_was_in_memory(tmp_path: Path, ending: str) -> None:
    points = [{"x": -0.5, "on": True}, {"x": HIGH / ONE, "on": False}]
    values = {"gain": 0.1, "tick": 1.5, "axes": [LOW / ONE, -2.5], "points": points}
    with rtshm.testing.region(TEXT, history=64) as region:
        region.write(values)
        kept = region.read()
        with region.samples() as samples:
            rows = samples.read_array(8)
        conditions = replace(Conditions.now(region.info), samples=len(rows), ended="yes")
    path = tmp_path / f"run.{ending}"
    written(Recording.of(conditions, rows), path)
    again = rtshm.load(path)
    assert (again.array == rows).all()
    assert (again.array["gain"] == 6554 / ONE).all()
    by_name = {column.name: column for column in columns(again.conditions)}
    for name in ("gain", "tick_", "axes[1]", "points[0].x"):
        assert by_name[name].dtype == "f8"
    assert dict(groups([again.conditions])).keys() >= {"gain", "axes", "points[1].x"}
    # What play() writes.
    records = _samples(to_memory(again.array, memory_dtype(again.conditions)))
    for _, record, *_ in records:
        assert Layout(TEXT).parse(record[8:]) == kept


def test_header_has_constants_and_products(tmp_path: Path) -> None:
    layout = Layout("gain:q16 points[2](x:q16)")
    source = """
        #include "region.h"
        #include "region.h"
        int main(void)
        {
            struct region_r r = { .gain = RTSHM_Q16(-0.1) };

            return !(r.gain == -6554 && RTSHM_Q16(1) == 65536 && RTSHM_Q16(32767.5) == 2147450880 &&
                     RTSHM_Q16_MULTIPLY(RTSHM_Q16(-1.5), RTSHM_Q16(300)) == RTSHM_Q16(-450));
        }
    """
    (tmp_path / "program.c").write_text(source)
    for bpf in (False, True):
        header = layout.declaration("region_r", bpf=bpf)
        assert "\t__s32 gain;\t/* q16: see RTSHM_Q16() */\n" in header
    (tmp_path / "region.h").write_text(layout.declaration("region_r"))
    build = ["gcc", "-Wall", "-Wextra", "-Werror", "-o", "program", "program.c"]
    subprocess.run(build, cwd=tmp_path, check=True)
    subprocess.run([tmp_path / "program"], check=True)
    assert "Q16" not in Layout("gain:f32").declaration("region_r")
