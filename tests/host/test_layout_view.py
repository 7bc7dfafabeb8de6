"""The live view: what is stored, what is read, and what is refused with nothing stored."""

from __future__ import annotations

import ctypes
import enum
import math
from fractions import Fraction
from typing import TYPE_CHECKING, Any

import numpy
import pytest
from rtshm.layout import Layout

if TYPE_CHECKING:
    from collections.abc import Callable

LAYOUT = Layout(
    "speed:f64 gain:f32 mode:u8{off=0,on=1} level:i8 _:x2 axes:i32[3] modes:u8{off=0,on=1}[2] "
    "tag:bytes[2] tags:bytes[2][2] m:i16[2][2] ok:bool bits:u8<run=1,fault=2> _:x2 "
    "pos(x:i16 y:i16) points[2](x:i16 y:i16)"
    " _:x4"
)
FULL = {
    "speed": 0.5,
    "gain": 0.25,
    "mode": 1,
    "level": -1,
    "axes": [1, 2, 3],
    "modes": [1, 1],
    "tag": b"ab",
    "tags": [b"cd", b"ef"],
    "m": [[1, 2], [3, 4]],
    "ok": True,
    "bits": 3,
    "pos": {"x": 5, "y": 6},
    "points": [{"x": 7, "y": 8}, {"x": 9, "y": 10}],
}


@pytest.fixture
def memory() -> bytearray:
    return bytearray(LAYOUT.build(FULL))


@pytest.fixture
def view(memory: bytearray) -> Any:
    return LAYOUT.ctypes.from_buffer(memory)


def test_view_is_the_memory(view: Any, memory: bytearray) -> None:
    assert isinstance(view, ctypes.Structure)
    view.level = 127
    assert LAYOUT.parse(memory) == {**FULL, "level": 127}
    memory[:8] = b"\0" * 8
    assert view.speed == 0.0


def test_enum_is_stored_by_member_name_or_number(view: Any) -> None:
    on = view.mode
    assert (on, on.name) == (1, "on")
    assert isinstance(on, enum.IntEnum)
    for value in ("off", 0, type(view.mode).off):
        view.mode = "on"
        view.mode = value
        assert view.mode.name == "off"


def test_flags_are_stored_by_members_names_or_number(view: Any) -> None:
    flags = type(view.bits)
    for value, stored in (
        ("run", 1),
        ("run|fault", 3),
        ("run|run", 1),
        (flags.run | flags.fault, 3),
        (flags.fault, 2),
        (0, 0),
    ):
        view.bits = value
        assert view.bits == stored
        assert isinstance(view.bits, enum.IntFlag)
    view.bits = 3
    assert flags.fault in view.bits


def test_stored_value_outside_its_enum_is_read_as_it_is(view: Any, memory: bytearray) -> None:
    memory[LAYOUT.fields[2].offset] = 9
    assert view.mode == 9
    assert not isinstance(view.mode, enum.Enum)
    bits = next(field for field in LAYOUT.fields if field.name == "bits")
    memory[bits.offset] = 0x81
    assert view.bits == 0x81


def test_arrays_and_structs_are_live(view: Any, memory: bytearray) -> None:
    axes, modes, m, pos, points = view.axes, view.modes, view.m, view.pos, view.points
    axes[0] = -7
    axes[1:3] = [8, 9]
    modes[0] = "off"
    m[1][0] = -3
    pos.x = -5
    points[1].y = -10
    assert LAYOUT.parse(memory) == {
        **FULL,
        "axes": [-7, 8, 9],
        "modes": [0, 1],
        "m": [[1, 2], [-3, 4]],
        "pos": {"x": -5, "y": 6},
        "points": [{"x": 7, "y": 8}, {"x": 9, "y": -10}],
    }
    assert list(axes) == axes[:] == [-7, 8, 9]
    assert [mode.name for mode in modes] == [mode.name for mode in modes[:]] == ["off", "on"]
    assert view.tags[:] == list(view.tags) == [b"cd", b"ef"]


def test_whole_fields_are_stored_at_once(view: Any) -> None:
    view.axes = [4, 5, 6]
    view.m = ((1, 1), numpy.array([2, 2]))
    view.modes = ["off", "on"]
    view.tags = (b"12", bytearray(b"34"))
    view.pos = type(view.pos)(x=9, y=-9)
    view.points[0] = view.points[1]
    assert list(view.axes) == [4, 5, 6]
    assert [list(row) for row in view.m] == [[1, 1], [2, 2]]
    assert list(view.modes) == [0, 1]
    assert list(view.tags) == [b"12", b"34"]
    assert (view.pos.y, view.points[0].y) == (-9, 10)
    view.axes = view.axes
    view.speed, view.gain = math.inf, -math.inf
    assert (view.speed, view.gain) == (math.inf, -math.inf)
    view.speed, view.ok = numpy.float32(1.5), numpy.True_
    assert (view.speed, view.ok) == (1.5, True)


def refusals() -> dict[str, tuple[Callable[[Any], None], type[Exception], str]]:
    def store(name: str, value: Any) -> Callable[[Any], None]:
        return lambda view: setattr(view, name, value)

    def at(name: str, index: Any, value: Any) -> Callable[[Any], None]:
        return lambda view: getattr(view, name).__setitem__(index, value)

    pair = LAYOUT.ctypes().tags
    return {
        "integer over": (
            store("level", 128),
            OverflowError,
            "level: 128 does not fit i8; give -128 to",
        ),
        "integer under": (store("level", -129), OverflowError, "level: -129 does not fit i8"),
        "no integer": (store("level", 1.0), TypeError, "level: 1.0 is not a whole number"),
        "fraction": (
            store("level", Fraction(3)),
            TypeError,
            "level: Fraction(3, 1) is not a whole",
        ),
        "several": (
            store("level", numpy.arange(2)),
            TypeError,
            "level: array([0, 1]) is not a whole",
        ),
        "text for one": (store("level", "1"), TypeError, "level: '1' is not a whole number"),
        "no float": (store("speed", "1"), TypeError, "speed: '1' is not a number"),
        "float over": (store("gain", 1e39), OverflowError, "gain: 1e+39 is too large for f32"),
        "int over": (store("speed", 10**400), OverflowError, "speed: 1000"),
        "no bool": (store("ok", 2), ValueError, "ok: 2 is not a bool; give True or False"),
        "no member": (store("mode", 2), ValueError, "mode: 2 is none of off, on"),
        "no name": (store("mode", "of"), ValueError, "mode: 'of' is none of off, on"),
        "two names": (store("mode", "off|on"), ValueError, "mode: 'off|on' is none of off, on"),
        "enum over": (store("mode", 257), ValueError, "mode: 257 is none of off, on"),
        "no enum": (store("mode", None), TypeError, "mode: None is not a whole number"),
        "no flag": (store("bits", 4), ValueError, "bits: 4 is none of run | fault"),
        "flags over": (store("bits", 257), ValueError, "bits: 257 is none of run | fault"),
        "negative flags": (store("bits", -1), ValueError, "bits: -1 is none of run | fault"),
        "no flag name": (store("bits", "run|x"), ValueError, "bits: 'run|x' is none of run |"),
        "bytes too few": (store("tag", b"a"), ValueError, "tag: 1 bytes; give 2, as .ljust(2, b"),
        "bytes too many": (store("tag", b"abc"), ValueError, "tag: 3 bytes; give 2"),
        "no bytes": (store("tag", "ab"), TypeError, "tag: 'ab' is not bytes"),
        "element": (at("axes", 1, 2**31), OverflowError, "axes: 2147483648 does not fit i32"),
        "slice": (at("axes", slice(0, 3), [9, 9, 2**31]), OverflowError, "axes: 2147483648 does"),
        "short slice": (at("axes", slice(0, 3), [9]), ValueError, "Can only assign sequence"),
        "enum element": (at("modes", 0, 7), ValueError, "modes: 7 is none of off, on"),
        "bytes element": (at("tags", 0, b"a"), ValueError, "tags: 1 bytes; give 2"),
        "index": (at("axes", 3, 1), IndexError, "invalid index"),
        "array": (store("axes", [9, 9, 2**31]), OverflowError, "axes: 2147483648 does not fit i32"),
        "short array": (store("axes", [9, 9]), ValueError, "axes: 2 values; give 3"),
        "long array": (store("axes", [9] * 4), ValueError, "axes: 4 values; give 3"),
        "no array": (store("axes", 9), TypeError, "axes: 9 is not a sequence; give 3 values"),
        "other array": (store("axes", pair), ValueError, "axes: 2 values; give 3"),
        "row": (store("m", [[9, 9], [9]]), ValueError, "m: 1 values; give 2"),
        "last of all": (
            store("m", [[9, 9], [9, 2**15]]),
            OverflowError,
            "m: 32768 does not fit i16",
        ),
        "struct": (
            store("pos", (1, 2)),
            TypeError,
            "pos: (1, 2) is not a mapping of names to values",
        ),
        "struct element": (at("points", 0, {"x": 1}), ValueError, "points: no value for y"),
        "in a struct": (
            lambda view: setattr(view.points[1], "x", 2**15),
            OverflowError,
            "points.x: 32768 does not fit i16",
        ),
        "no field": (store("sped", 1), AttributeError, "'Layout' object has no attribute 'sped'"),
        "no field in a struct": (
            lambda view: setattr(view.pos, "z", 1),
            AttributeError,
            "'pos' object has no attribute 'z'",
        ),
    }


@pytest.mark.parametrize("name", refusals())
def test_refused_store_leaves_the_memory_as_it_was(name: str, view: Any, memory: bytearray) -> None:
    store, error, words = refusals()[name]
    before = bytes(memory)
    with pytest.raises(error) as refused:
        store(view)
    assert str(refused.value).startswith(words)
    assert memory == before


def test_made_with_values_is_checked_too() -> None:
    view: Any = LAYOUT.ctypes(level=-3, mode="on")
    assert (view.level, view.mode) == (-3, 1)
    with pytest.raises(OverflowError, match="level: 128 does not fit i8"):
        LAYOUT.ctypes(level=128)
    with pytest.raises(OverflowError, match=r"gain: 1e\+39 is too large"):
        LAYOUT.ctypes(1.0, 1e39)


def test_numpy_sees_the_same_memory(view: Any, memory: bytearray) -> None:
    record = numpy.frombuffer(memory, LAYOUT.dtype)[0]
    view.axes[2] = -77
    view.points[1].x = 3
    assert record["axes"].tolist() == [1, 2, -77]
    assert record["points"]["x"].tolist() == [7, 3]
    assert record["tag"].tobytes() == b"ab"
    assert record["modes"].tolist() == [1, 1]
    assert LAYOUT.dtype.itemsize == LAYOUT.size
    assert set(LAYOUT.dtype.names or ()) == FULL.keys()
