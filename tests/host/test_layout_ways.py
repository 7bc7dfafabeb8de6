"""A layout means the same however it is declared, and its records are quick and can be sent on."""

from __future__ import annotations

import copy
import ctypes
import enum
import pickle
import subprocess
import sys
from typing import Annotated, Any

import numpy
import pytest
import rtshm
from rtshm import Layout, LayoutError

from tests.lib.motor import MOTOR, TEXT, Mode, Motor

GRID: Any = [[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]]


class Bits(enum.IntFlag):
    RUN = 1
    FAULT = 2


@rtshm.struct
class Point:
    x: rtshm.i16
    y: rtshm.i16


@rtshm.struct
class Nested:
    flag: rtshm.bool8
    where: Point
    path: Annotated[rtshm.Array[Point], Point, 2]
    grid: Annotated[rtshm.Array[rtshm.Array[float]], rtshm.f64, 2, 3]
    bits: Annotated[Bits, rtshm.u16]
    tags: Annotated[rtshm.Array[bytes], 2, 3]


class Plain(ctypes.Structure):
    _fields_ = (
        ("speed", ctypes.c_double),
        ("mode", ctypes.c_uint8),
        ("axes", ctypes.c_int32 * 3),
        ("tag", ctypes.c_char * 4),
    )


def test_class_construct_and_text_are_one_layout() -> None:
    assert Layout(Motor).text == TEXT
    assert Layout(Motor) == Layout(MOTOR) == Layout(TEXT) == Layout(Layout(Motor))
    assert Layout(TEXT.replace(" _:x3", "")) == Layout(Motor)


def test_dtype_and_ctypes_are_padded_as_they_say() -> None:
    dtype = numpy.dtype(
        [("speed", "f8"), ("mode", "u1"), ("axes", "i4", (3,)), ("tag", "V4")], align=True
    )
    text = "speed:f64 mode:u8 _:x3 axes:i32[3] tag:bytes[4] _:x4"
    assert Layout(dtype).text == Layout(Plain).text == text
    assert Layout(Layout(TEXT).dtype).dtype == Layout(TEXT).dtype
    assert Layout(dtype).size == ctypes.sizeof(Plain) == dtype.itemsize


@pytest.mark.parametrize(
    ("declared", "reason"),
    [
        (numpy.dtype([("a", ">i4")]), "a: foreign byte order"),
        (numpy.dtype([("a", "u1"), ("b", "i4")]), "b: offset 1 is not a multiple"),
        (numpy.dtype([("a", "c16")]), "a: complex128 cannot lie in place"),
        (numpy.dtype("f8"), "layout: float64 has no fields"),
        (type("B", (ctypes.BigEndianStructure,), {"_fields_": []}), "B: foreign byte order"),
        (type("U", (ctypes.Union,), {"_fields_": []}), "layout: U declares none"),
        (type("P", (ctypes.Structure,), {"_fields_": [("a", ctypes.c_void_p)]}), "a: c_void_p can"),
        (type("F", (ctypes.Structure,), {"_fields_": [("a", ctypes.c_int, 3)]}), "a: it is packed"),
        (int, "layout: int declares none; put @rtshm.struct before it"),
    ],
)
def test_layout_that_cannot_lie_in_place_is_refused(declared: Any, reason: str) -> None:
    with pytest.raises(LayoutError) as refused:
        Layout(declared)
    assert str(refused.value).startswith(reason)


def test_class_that_cannot_lie_in_place_is_refused_where_it_is_declared() -> None:
    with pytest.raises(LayoutError, match="name: <class 'str'> does not say how"):

        @rtshm.struct
        class Named:
            name: str

    with pytest.raises(LayoutError, match="data: bytes without a length"):

        @rtshm.struct
        class Data:
            data: Annotated[bytes, rtshm.u8]


def test_class_in_a_function_may_name_what_is_there() -> None:
    class Local(enum.IntEnum):
        A = 3

    @rtshm.struct
    class Inside:
        local: Annotated[Local, rtshm.u8]

    assert Layout(Inside).text == "local:u8{A=3}"


def test_records_are_objects_of_the_class() -> None:
    layout = Layout(Motor)
    motor = Motor(1.5, 0.25, Mode.ON, [1, 2, 3])
    data = layout.build(motor)
    assert data == MOTOR.build({**vars(motor), "mode": 1})
    assert layout.load(data) == motor
    assert layout.load(data).mode is Mode.ON
    assert layout.parse(data) == vars(motor)
    nested = Nested(
        True, Point(1, 2), [Point(3, 4), Point(5, 6)], GRID,
        Bits.RUN | Bits.FAULT, [b"abc", b"def"],
    )  # fmt: skip
    assert Layout(Nested).load(Layout(Nested).build(nested)) == nested
    assert Layout(Nested).text == (
        "flag:bool _:x1 where(x:i16 y:i16) path[2](x:i16 y:i16) _:x2 grid:f64[2][3] "
        "bits:u16<RUN=1,FAULT=2> tags:bytes[3][2]"
    )


@pytest.mark.parametrize(
    ("change", "error", "words"),
    [
        ({"gain": 1e39}, OverflowError, "gain: 1e+39 is too large for f32"),
        ({"speed": numpy.longdouble("1e400")}, OverflowError, "speed: "),
        ({"speed": "fast"}, TypeError, "speed: 'fast' is not a number"),
        ({"mode": 7}, ValueError, "mode: 7 is none of OFF, ON"),
        ({"axes": [1, 2]}, ValueError, "axes: 2 values; give 3"),
        ({"axes": {1, 2, 3}}, TypeError, "axes: "),
        ({"axes": [1, 2, 2**31]}, OverflowError, "axes: 2147483648 does not fit i32"),
        ({"tag": b"abc"}, ValueError, "tag: 3 bytes; give 4"),
    ],
)
def test_object_with_a_value_that_does_not_fit_is_refused(
    change: dict[str, Any], error: type[Exception], words: str
) -> None:
    motor = Motor(1.5, 0.25, Mode.ON, [1, 2, 3])
    for name, value in change.items():
        setattr(motor, name, value)
    with pytest.raises(error) as refused:
        Layout(Motor).build(motor)
    assert str(refused.value).startswith(words)


def test_flags_take_blanks_and_nothing() -> None:
    layout = Layout("bits:u8<run=1,fault=2>")
    assert layout.build({"bits": "run | fault"}) == b"\3"
    assert layout.build({"bits": ""}) == b"\0"


@pytest.mark.parametrize("declared", [TEXT, Motor, "bits:u8<run=1,fault=2> m:i8{a=-1}"])
def test_layout_and_records_go_to_another_process(declared: Any) -> None:
    layout = Layout(declared)
    record = layout.parse(bytes(layout.size))
    again = pickle.loads(pickle.dumps((layout, record)))
    assert again == (layout, record)
    assert copy.deepcopy(record) == record
    if isinstance(declared, str):
        script = "import pickle, sys; print(pickle.load(sys.stdin.buffer)[1])"
        done = subprocess.run(
            [sys.executable, "-c", script],
            input=pickle.dumps((layout, record)),
            capture_output=True,
            check=True,
        )
        assert done.stdout.decode().strip() == str(record)


def test_arrays_compare_and_structs_take_mappings() -> None:
    layout = Layout("axes:i32[2] pos(x:i16 y:i16)")
    view: Any = layout.ctypes.from_buffer(bytearray(layout.size))
    assert view.axes == [0, 0]
    view.pos = {"x": 3, "y": 4}
    assert (view.pos.x, view.pos.y) == (3, 4)
    with pytest.raises(TypeError):
        view.pos = {"x": 3}
    assert repr(view) == "Layout(axes=[0, 0], pos=pos(x=3, y=4))"
    assert dir(view) == ["axes", "pos"]
