"""Values of fields as text, and back."""

from __future__ import annotations

from typing import Any

import pytest
from rtshm.cli.values import parse_value, value_text
from rtshm.layout import Layout

LAYOUT = Layout.from_text(
    "speed:f64 gain:f32 mode:u8{off=0,on=1,NaN=2} flags:u8<run=1,fault=2> ok:bool tag:bytes[1] "
    "axes:i32[2][2] modes:u8{off=0,on=1}[2] tags:bytes[2][2] _:x2 points[2](x:i16 tag:bytes[2]) "
    "count:u64"
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


@pytest.mark.parametrize("text", ["NaN", "Infinity", "-Infinity", "1e300", "7"])
def test_all_floats_have_a_text(text: str) -> None:
    value = LAYOUT.parse(LAYOUT.build({**RECORD, "speed": parse_value(FIELDS["speed"], text)}))
    assert float(value_text(value["speed"])) == pytest.approx(float(text), nan_ok=True)


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("speed", "fast", "speed: 'fast' is no number"),
        ("mode", "On", "mode: 'On' is none of off, on, NaN"),
        ("mode", "3", "mode: 3 is none of off, on, NaN"),
        ("flags", "run|8", r"flags: 'run\|8' is none of run | fault"),
        ("count", "1.5", "count: 1.5 is no whole number"),
        ("count", "-1", "count: -1 is no u64"),
        ("tag", "xy", "tag: 'xy' is not hexadecimal"),
        ("tag", "1212", "tag: 2 bytes; give 1"),
        ("axes", "1 2", "axes: '1 2' is no JSON"),
        ("axes", "[1, 2]", "axes: 1 is no sequence; give 2 values"),
        ("modes", '["off"]', "modes: 1 values; give 2"),
        ("points", '[1, {"x": 1, "y": 2}]', "points: 1 is no mapping"),
        ("points", '[{"x": 1, "y": 2}, 1]', "points: no field y; there are x, tag"),
    ],
)
def test_text_of_no_value_is_refused(name: str, text: str, message: str) -> None:
    with pytest.raises((ValueError, TypeError, OverflowError), match=message):
        LAYOUT.build({**RECORD, **parsed({name: text})})
