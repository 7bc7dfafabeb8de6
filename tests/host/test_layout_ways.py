"""A layout means the same however it is declared, and its records are quick and can be sent on."""

from __future__ import annotations

import copy
import ctypes
import dataclasses
import enum
import pickle
import subprocess
import sys
from typing import Annotated, Any
from unittest import mock

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


class Plain8(enum.Enum):
    ON = 1


class Gap(enum.IntFlag):
    RUN = 1
    BOTH = 6


@pytest.mark.parametrize(
    ("annotation", "reason"),
    [
        (Annotated[float, rtshm.u8], "a: declared as float, but the values of u8 are int"),
        (Annotated[int, rtshm.q16], "a: declared as int, but the values of q16 are float"),
        (Annotated[str, rtshm.u8], "a: declared as str, but"),
        (Annotated[Plain8, rtshm.u8], "a: declared as Plain8, but .* an IntEnum or an IntFlag"),
        (Annotated[rtshm.Array[float], rtshm.i32, 2], "a: declared as float, but"),
        (Annotated[rtshm.Array[Nested], Point, 2], "a: declared as Nested, but"),
        (Annotated[int, rtshm.u8, 3], "a: .* give a length for each Array"),
        (Annotated[rtshm.Array[int], rtshm.u8], "a: .* give a length for each Array"),
        (Annotated[bytes, 4, 5], "a: .* give a length for each Array"),
        (Annotated[Gap, rtshm.u8], "a: BOTH: give each bit a name of its own"),
    ],
)
def test_declaration_of_other_values_than_there_will_be_is_refused(
    annotation: Any, reason: str
) -> None:
    with pytest.raises(LayoutError, match=reason):
        rtshm.struct(type("Wrong", (), {"__annotations__": {"a": annotation}}))


def test_fields_with_defaults_by_keyword_only_are_read() -> None:
    @rtshm.struct
    class Motor:
        speed: rtshm.f64 = 1.0
        gain: rtshm.f64 = dataclasses.field(default=2.0, kw_only=True)

    layout = Layout(Motor)
    assert layout.load(layout.build(Motor())) == Motor(1.0, gain=2.0)

    class Without:
        speed: rtshm.f64
        gain: rtshm.f64 = dataclasses.field(init=False, default=2.0)

    with pytest.raises(LayoutError, match="gain: init=False"):
        rtshm.struct(Without)


def test_further_names_of_values_are_taken_and_not_in_the_text() -> None:
    class Mode(enum.IntEnum):
        OFF = 0
        STOPPED = 0
        ON = 1

    class Bits(enum.IntFlag):
        NONE = 0
        RUN = 1
        FAULT = 2
        ALL = 3

    @rtshm.struct
    class Motor:
        mode: Annotated[Mode, rtshm.u8]
        bits: Annotated[Bits, rtshm.u8]

    layout = Layout(Motor)
    assert layout.text == "mode:u8{OFF=0,ON=1} bits:u8<RUN=1,FAULT=2>"
    assert Layout(layout.text) == layout
    for bits in (*Bits, Bits.NONE, Bits.ALL):
        motor = Motor(Mode.STOPPED, bits)
        assert layout.load(layout.build(motor)) == motor
    assert layout.build({"mode": "STOPPED", "bits": "ALL|RUN"}) == b"\0\3"


def test_ctypes_structure_has_the_fields_that_it_inherits() -> None:
    class Base(ctypes.Structure):
        _fields_ = (("speed", ctypes.c_double),)

    derived = type("Derived", (Base,), {"_fields_": [("mode", ctypes.c_uint8)]})
    assert Layout(derived).text == "speed:f64 mode:u8 _:x7"
    with pytest.raises(LayoutError, match="there is no field in it"):
        Layout(type("Bare", (ctypes.Structure,), {}))


def test_view_takes_what_its_types_say_and_what_it_gives() -> None:
    layout = Layout(Nested)
    view: Any = layout.ctypes.from_buffer(bytearray(layout.size))
    view.where = Point(1, 2)
    view.path = [Point(3, 4), view.where]
    view.path[0] = view.path[1]
    view.where = {"x": 5, "y": 6}
    assert (view.where.x, view.path[0].x, view.path[1].y) == (5, 1, 2)
    assert view.path == view.path
    assert view.path[0] == view.path[1] != view.where == {"x": 5, "y": 6}
    assert view.where == Point(5, 6) != Point(5, 7)
    assert view.where == mock.ANY
    assert view.where != 5
    record = layout.load(layout.build(view))
    assert record.where == Point(5, 6)
    assert layout.build(dataclasses.replace(record, where=view.where)) == layout.build(view)
    for kept in (view, view.where):
        with pytest.raises(TypeError, match=r"live memory.* use read\(\)"):
            copy.copy(kept)
    with pytest.raises(TypeError, match=r"where: .* is not a mapping"):
        layout.build(dataclasses.replace(record, where=view))


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
    with pytest.raises(ValueError, match="pos: no value for y"):
        view.pos = {"x": 3}
    assert repr(view) == "Layout(axes=[0, 0], pos=pos(x=3, y=4))"
    assert dir(view) == ["axes", "pos"]
