"""Values of fields as text, and back."""

from __future__ import annotations

import math
from typing import Any

import pytest
from rtshm.cli.values import find, parse_value, value_text
from rtshm.layout import Layout

LAYOUT = Layout(
    "speed:f64 gain:f32 mode:u8{off=0,on=1,NaN=2} flags:u8<run=1,fault=2> ok:bool tag:bytes[1] "
    "axes:i32[2][2] modes:u8{off=0,on=1}[2] tags:bytes[2][2] _:x2 points[2](x:i16 tag:bytes[2]) "
    "count:u64 gains:f32[2] oks:bool[2]"
)
FIELDS = {field.name: field for field in LAYOUT.fields}
RECORD: dict[str, Any] = {
    "speed": 3.0,
    "gain": -0.25,
    "mode": 1,
    "flags": 3,
    "ok": True,
    "tag": b"\x12",
    "axes": [[1, -2], [3, 4]],
    "modes": [0, 1],
    "tags": [b"ab", b"\0\xff"],
    "points": [{"x": 1, "tag": b"ab"}, {"x": -1, "tag": b"cd"}],
    "count": 2**64 - 1,
    "gains": [0.5, -math.inf],
    "oks": [True, False],
}
TEXTS = {
    "speed": "3.0",
    "gain": "-0.25",
    "mode": "on",
    "flags": "run|fault",
    "ok": "true",
    "tag": "12",
    "axes": "[[1, -2], [3, 4]]",
    "modes": '["off", "on"]',
    "tags": '["6162", "00ff"]',
    "points": '[{"x": 1, "tag": "6162"}, {"x": -1, "tag": "6364"}]',
    "count": "18446744073709551615",
    "gains": "[0.5, -Infinity]",
    "oks": "[true, false]",
}


def parsed(texts: dict[str, str]) -> dict[str, Any]:
    return {name: parse_value(FIELDS[name], text) for name, text in texts.items()}


def test_text_of_each_value_is_parsed_to_it_again() -> None:
    read = LAYOUT.parse(LAYOUT.build(RECORD))
    assert {name: value_text(value) for name, value in read.items()} == TEXTS
    assert LAYOUT.parse(LAYOUT.build(parsed(TEXTS))) == read


@pytest.mark.parametrize(
    ("name", "stored", "text"),
    [
        ("mode", 77, "77"),
        ("mode", 2, "NaN"),
        ("flags", 0, "0"),
        ("flags", 4, "4"),
        ("flags", 5, "5"),
        ("flags", 2, "fault"),
    ],
)
def test_number_without_a_name_is_a_number(name: str, stored: int, text: str) -> None:
    data = bytearray(LAYOUT.size)
    data[FIELDS[name].offset] = stored
    assert value_text(LAYOUT.parse(data)[name]) == text


@pytest.mark.parametrize(
    ("name", "text", "value"),
    [
        ("speed", ".5", 0.5),
        ("speed", "1.", 1.0),
        ("speed", "1e-3", 1e-3),
        ("speed", "0x10", 16.0),
        ("speed", "+7", 7.0),
        ("speed", "inf", math.inf),
        ("speed", "-inf", -math.inf),
        ("gain", "-.25e1", -2.5),
        ("count", "0x10", 16),
        ("count", "0b11", 3),
        ("count", "1e3", 1000),
        ("count", "007", 7),
        ("mode", "0x1", 1),
        ("mode", "00", 0),
        ("flags", "run | fault", "run | fault"),
        ("flags", "", ""),
        ("ok", "1", True),
        ("ok", "False", False),
        ("tag", "0x12", b"\x12"),
        ("axes", "[[0x10, +1],[ 1e3 ,-007 ]]", [[16, 1], [1000, -7]]),
        ("gains", "[.5, inf]", [0.5, math.inf]),
        ("gains", " [1., 0x10] ", [1.0, 16.0]),
        ("oks", "[1, False]", [True, False]),
    ],
)
def test_numbers_are_taken_as_people_write_them(name: str, text: str, value: object) -> None:
    parsed_value = parse_value(FIELDS[name], text)
    assert parsed_value == value
    assert type(parsed_value) is type(value)
    LAYOUT.build({**RECORD, name: parsed_value})


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("speed", "1e999", "speed: '1e999' is too large; an infinity is inf"),
        ("gain", "-1e400", "gain: '-1e400' is too large"),
        ("gain", "1e300", "gain: 1e\\+300 is too large for f32"),
        ("speed", "true", "speed: 'true' is not a number"),
        ("speed", "1_0", "speed: '1_0' is not a number"),
        ("speed", "null", "speed: 'null' is not a number"),
        ("speed", "", "speed: '' is not a number"),
        ("count", "true", "count: 'true' is not a number"),
        ("count", "1e-3", "count: 1e-3 is not a whole number"),
        ("count", "inf", "count: inf is not a whole number"),
        ("count", "1e99", "count: 1e99 is not a whole number"),
        ("axes", "[[1, true], [3, 4]]", "axes: 'true' is not a number"),
        ("axes", "[[1, 1e999], [3, 4]]", "axes: 1e999 is not a whole number"),
        ("gains", "[1e999, 1]", "gains: '1e999' is too large; an infinity is inf"),
        ("gains", "[null, 1]", "gains: 'null' is not a number"),
        ("gains", '["1", 1]', "gains: '\"1\"' is not a number"),
        ("ok", "2", "ok: '2' is not a bool"),
    ],
)
def test_number_that_is_not_meant_is_refused(name: str, text: str, message: str) -> None:
    with pytest.raises((ValueError, OverflowError), match=message):
        LAYOUT.build({**RECORD, **parsed({name: text})})


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("speed", 3.0),
        ("axes[1]", [3, 4]),
        ("axes[1][0]", 3),
        ("points[1].x", -1),
        ("points[0]", {"x": 1, "tag": b"ab"}),
        ("tags[1]", b"\0\xff"),
    ],
)
def test_part_of_a_field_has_a_name(path: str, value: object) -> None:
    place = find(LAYOUT.fields, path)
    values = LAYOUT.parse(LAYOUT.build(RECORD))
    assert place.get(values) == value
    changed = parse_value(place.field, value_text(value))
    place.put(values, changed)
    assert LAYOUT.build(values) == LAYOUT.build(RECORD)


@pytest.mark.parametrize(
    ("path", "message"),
    [
        ("sped", "there is no field 'sped'; there are speed, gain"),
        ("", "there is no field ''; there are speed"),
        ("axes[2]", "axes has the indices 0 to 1"),
        ("axes[-1]", "column 5: give \\[INDEX\\] or .FIELD"),
        ("axes[0][0][0]", "axes is not an array"),
        ("speed.x", "speed has no field x"),
        ("points.x", "points has no field x"),
        ("points[0].z", "points has no field z; there are x, tag"),
        ("speed ", "column 6: give"),
    ],
)
def test_name_of_no_part_is_refused(path: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        find(LAYOUT.fields, path)


@pytest.mark.parametrize("text", ["NaN", "Infinity", "-Infinity", "1e300", "7"])
def test_all_floats_have_a_text(text: str) -> None:
    value = LAYOUT.parse(LAYOUT.build({**RECORD, "speed": parse_value(FIELDS["speed"], text)}))
    assert float(value_text(value["speed"])) == pytest.approx(float(text), nan_ok=True)


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("speed", "fast", "speed: 'fast' is not a number"),
        ("mode", "On", "mode: 'On' is none of off, on, NaN"),
        ("mode", "3", "mode: 3 is none of off, on, NaN"),
        ("flags", "run|8", r"flags: 'run\|8' is none of run | fault"),
        ("count", "1.5", "count: 1.5 is not a whole number"),
        ("count", "-1", "count: -1 does not fit u64"),
        ("tag", "xy", "tag: 'xy' is not hexadecimal"),
        ("tag", "1212", "tag: got 2 bytes, need exactly 1"),
        ("axes", "1 2", "axes: '1 2' is not a number"),
        ("axes", "[[1, 2], [3, 4]", r"axes: '\[\[1, 2\], \[3, 4\]' is not a list; give it as"),
        ("axes", "[[1, 2,], [3, 4]]", "is not a list"),
        ("gains", "[[1], 1]", r"gains: \['1'\] is not a number"),
        ("points", "1 2", "points: '1 2' is not JSON"),
        ("modes", "[on, off]", r"modes: '\[on, off\]' is not JSON"),
        ("axes", "[1, 2]", "axes: 1 is not a sequence; give 2 values"),
        ("modes", '["off"]', "modes: 1 values; give 2"),
        ("points", '[1, {"x": 1, "y": 2}]', "points: 1 is not a mapping"),
        ("points", '[{"x": 1, "y": 2}, 1]', "points: no field y; there are x, tag"),
    ],
)
def test_text_of_no_value_is_refused(name: str, text: str, message: str) -> None:
    with pytest.raises((ValueError, TypeError, OverflowError), match=message):
        LAYOUT.build({**RECORD, **parsed({name: text})})
