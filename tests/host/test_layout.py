"""A layout is declared once, with construct; what cannot lie in place is refused and why."""

from __future__ import annotations

import enum
from typing import Any

import construct as c
import pytest
from rtshm.errors import LayoutError
from rtshm.layout import Kind, Layout

from tests.lib.motor import Mode

MOTOR = c.Struct(
    "speed" / c.Float64n * "turns a second",
    "gain" / c.Float32n,
    "mode" / c.Enum(c.Int8un, off=0, on=1),
    c.Padding(3),
    "axes" / c.Array(3, c.Int32sn),
    "tag" / c.Bytes(5),
    "ok" / c.Flag,
    "bits" / c.FlagsEnum(c.Int8un, run=1, fault=128),
    c.Padding(5),
    "points" / c.Struct("x" / c.Int16sn, "y" / c.Int16sn)[2],
)
RECORD = {
    "speed": 1.5,
    "gain": -0.25,
    "mode": "on",
    "axes": [1, -2, 3],
    "tag": b"a\0b\0\0",
    "ok": True,
    "bits": "run|fault",
    "points": [{"x": 1, "y": -1}, {"x": 2, "y": -2}],
}


def test_text_says_all_that_was_declared() -> None:
    assert Layout(MOTOR).text == (
        "speed:f64 gain:f32 mode:u8{off=0,on=1} _:x3 axes:i32[3] tag:bytes[5] ok:bool "
        "bits:u8<run=1,fault=128> _:x5 points[2](x:i16 y:i16)"
    )


def test_fields_have_path_place_and_kind() -> None:
    layout = Layout(MOTOR)
    assert [(field.path, field.offset, field.kind, field.shape) for field in layout.fields] == [
        ("speed", 0, Kind.F64, ()),
        ("gain", 8, Kind.F32, ()),
        ("mode", 12, Kind.U8, ()),
        ("axes", 16, Kind.I32, (3,)),
        ("tag", 28, Kind.BYTES, ()),
        ("ok", 33, Kind.BOOL, ()),
        ("bits", 34, Kind.U8, ()),
        ("points", 40, Kind.STRUCT, (2,)),
    ]
    assert layout.size == MOTOR.sizeof() == 48
    mode, bits, points = layout.fields[2], layout.fields[6], layout.fields[7]
    assert mode.enum
    assert {member.name: member.value for member in mode.enum} == {"off": 0, "on": 1}
    assert bits.enum
    assert issubclass(bits.enum, enum.IntFlag)
    assert [(field.path, field.offset) for field in points.fields] == [
        ("points.x", 40),
        ("points.y", 42),
    ]
    assert (points.count, points.element, points.size) == (2, 4, 8)


def test_record_is_the_bytes_that_construct_builds() -> None:
    layout = Layout(MOTOR)
    data = layout.build(RECORD)
    assert data == MOTOR.build(RECORD)
    record = layout.parse(data)
    assert record == {**RECORD, "mode": 1, "bits": 129}
    assert record["mode"].name == "on"
    assert layout.build(record) == data


def test_parse_takes_the_first_bytes_of_more() -> None:
    layout = Layout(MOTOR)
    data = layout.build(RECORD)
    assert layout.parse(memoryview(bytearray(data + b"more"))) == layout.parse(data)
    with pytest.raises(ValueError, match=r"^there are 47 bytes, and the layout has 48$"):
        layout.parse(data[:-1])


def test_parse_keeps_what_no_enum_has() -> None:
    layout = Layout("mode:u8{off=0} bits:u8<run=1>")
    record = layout.parse(b"\7\7")
    assert record == {"mode": 7, "bits": 7}
    assert not isinstance(record["mode"], enum.Enum)


@pytest.mark.parametrize(
    ("change", "error", "words"),
    [
        ({"mode": 2}, ValueError, "mode: 2 is none of off, on"),
        (
            {"axes": [0, 0, 2**31]},
            OverflowError,
            "axes: 2147483648 does not fit i32; give -2147483648",
        ),
        ({"axes": [0, 0]}, ValueError, "axes: 2 values; give 3"),
        ({"tag": b""}, ValueError, "tag: 0 bytes; give 5"),
        ({"points": [{"x": 1, "y": 2}, 3]}, TypeError, "points: 3 is not a mapping of names"),
        ({"points": [{"x": 1}] * 2}, ValueError, "points: no value for y"),
        ({"sped": 1}, ValueError, "layout: no field sped"),
    ],
)
def test_record_out_of_range_is_not_built(
    change: dict[str, Any], error: type[Exception], words: str
) -> None:
    with pytest.raises(error) as refused:
        Layout(MOTOR).build({**RECORD, **change})
    assert str(refused.value).startswith(words)


def test_layouts_of_one_text_are_equal() -> None:
    other = Layout(c.Struct("a" / c.Int32sl, "b" / c.Int8ub, c.Padding(1), c.Padding(2)))
    assert other == Layout("a:i32 b:u8 _:x3")
    assert hash(other) == hash(Layout("a:i32 b:u8 _:x3"))
    assert other != Layout("a:i32 b:u8 _:x2 c:u8")


def test_enum_class_is_taken_as_its_entries() -> None:
    assert Layout(c.Struct("mode" / c.Enum(c.Int8un, Mode))).text == "mode:u8{OFF=0,ON=1}"


# What cannot lie in place.

BYTE = c.Int8un
NOT_FIXED = "its length is not fixed; use Bytes(n)"
TEXT = "text has no fixed length; use Bytes(n)"
PACKED = "it is packed in bits or swapped; use FlagsEnum"
CHOSEN = "what lies there depends on other data; declare what always lies there"
NO_MEMORY = "it takes no memory; leave it out"
RULE = "memory keeps no such rule; declare what is under it"


@pytest.mark.parametrize(
    ("declared", "reason"),
    [
        (c.GreedyBytes, f"GreedyBytes cannot lie in place: {NOT_FIXED}"),
        (c.GreedyRange(BYTE), f"GreedyRange cannot lie in place: {NOT_FIXED}"),
        (c.Prefixed(BYTE, c.GreedyBytes), f"Prefixed cannot lie in place: {NOT_FIXED}"),
        (c.VarInt, f"VarInt cannot lie in place: {NOT_FIXED}"),
        (c.ZigZag, f"ZigZag cannot lie in place: {NOT_FIXED}"),
        (c.Enum(c.VarInt, a=1), f"VarInt cannot lie in place: {NOT_FIXED}"),
        (c.RepeatUntil(lambda *_: True, BYTE), f"RepeatUntil cannot lie in place: {NOT_FIXED}"),
        (c.CString("ascii"), f"StringEncoded cannot lie in place: {TEXT}"),
        (c.PascalString(BYTE, "ascii"), f"StringEncoded cannot lie in place: {TEXT}"),
        (c.PaddedString(8, "ascii"), f"StringEncoded cannot lie in place: {TEXT}"),
        (c.PrefixedArray(BYTE, BYTE), f"FocusedSeq cannot lie in place: {CHOSEN}"),
        (c.Switch(c.this.x, {}), f"Switch cannot lie in place: {CHOSEN}"),
        (c.Optional(BYTE), f"Select cannot lie in place: {CHOSEN}"),
        (c.If(c.this.x, BYTE), f"IfThenElse cannot lie in place: {CHOSEN}"),
        (c.Union(0, "x" / BYTE), f"Union cannot lie in place: {CHOSEN}"),
        (c.Pointer(0, BYTE), f"Pointer cannot lie in place: {CHOSEN}"),
        (c.LazyBound(lambda: BYTE), f"LazyBound cannot lie in place: {CHOSEN}"),
        (c.BitStruct("x" / c.BitsInteger(8)), f"Transformed cannot lie in place: {PACKED}"),
        (c.Bitwise(c.GreedyRange(c.Bit)), f"Restreamed cannot lie in place: {PACKED}"),
        (c.ByteSwapped(c.Int32ul), f"Transformed cannot lie in place: {PACKED}"),
        (c.Computed(1), f"Computed cannot lie in place: {NO_MEMORY}"),
        (c.Pass, f"Pass cannot lie in place: {NO_MEMORY}"),
        (c.Tell, f"Tell cannot lie in place: {NO_MEMORY}"),
        (c.Const(b"ab"), f"Const cannot lie in place: {RULE}"),
        (c.Default(BYTE, 1), f"Default cannot lie in place: {RULE}"),
        (c.Rebuild(BYTE, 1), f"Rebuild cannot lie in place: {RULE}"),
        (c.OneOf(BYTE, [1]), f"ExprValidator cannot lie in place: {RULE}"),
        (c.Hex(BYTE), f"Hex cannot lie in place: {RULE}"),
        (c.Int24un, "BytesInteger cannot lie in place: no C integer is made so; use Int8un"),
        (c.Aligned(4, BYTE), "Aligned cannot lie in place: declare what is in it, and Padding(n)"),
        (c.Padded(4, BYTE), "Padded cannot lie in place: declare what is in it, and Padding(n)"),
        (c.Sequence(BYTE), "Sequence cannot lie in place: its fields have no names; use Struct"),
        (c.RawCopy(BYTE), "RawCopy cannot lie in place: use numbers, Flag, Bytes, Enum,"),
        (c.Struct("x" / BYTE).compile(), "Compiled cannot lie in place: use numbers, Flag"),
        (c.Int32sb, "foreign byte order; use the native one (Int32sn, Float64n)"),
        (c.Enum(c.Int16ub, a=1), "foreign byte order; use the native one"),
        (c.Float16n, "C has no number as '=e'; use Float32n"),
        (c.Bytes(c.this.n), "Bytes of this['n']; give a fixed number over 0"),
        (c.Bytes(0), "Bytes of 0; give a fixed number over 0"),
        (c.Array(0, BYTE), "an array of 0; give a fixed number over 0"),
        (c.Array(c.this.n, BYTE), "an array of this['n']; give a fixed number over 0"),
        (c.Padding(3), "padding has no name; leave the name out, or declare Bytes(n)"),
        (c.Struct(), "there is no field in it"),
        (c.Struct(c.Padding(4)), "there is no field in it"),
        (c.Enum(c.Float32n, a=1), "named values are for integers, and f32 is none"),
        (c.Enum(BYTE), "it names no values; name some, or declare the integer alone"),
        (c.Enum(BYTE, a=256), "a=256 does not fit u8; give 0 to 255"),
        (c.Enum(c.Int8sn, a=-129), "a=-129 does not fit i8; give -128 to 127"),
        (c.Enum(BYTE, a="1"), "a='1' does not fit u8; give 0 to 255"),
        (c.Enum(BYTE, a=1, b=1), "a and b are both 1; leave one out"),
        (c.Enum(BYTE, _a=1), "'_a' is not a name for a value; give a letter, then"),
        (c.Enum(BYTE, mro=1), "'mro' is not a name for a value"),
        (c.Enum(BYTE, **{"None": 1}), "'None' is not a name for a value"),
        (c.FlagsEnum(BYTE, a=3), "a=3 is not a single bit; give a power of two"),
        (c.FlagsEnum(BYTE, a=0), "a=0 is not a single bit; give a power of two"),
        (c.FlagsEnum(c.Int8sn, a=1), "the highest bit of i8 is a sign; use an unsigned integer"),
    ],
)
def test_layout_that_cannot_lie_in_place_is_refused_with_its_path(
    declared: Any, reason: str
) -> None:
    for struct, path in (
        (c.Struct("n" / declared), "n"),
        (c.Struct("inner" / c.Array(2, c.Struct("n" / declared))), "inner.n"),
    ):
        with pytest.raises(LayoutError) as refused:
            Layout(struct)
        assert str(refused.value).startswith(f"{path}: {reason}")


def nested(depth: int) -> Any:
    """A struct with this many structs, one inside the other."""
    declared = c.Struct("a" / BYTE)
    for _ in range(depth):
        declared = c.Struct("a" / declared)
    return declared


@pytest.mark.parametrize(
    ("declared", "reason"),
    [
        (c.Struct("a" / BYTE, "a" / BYTE), "a: there are two fields of this name; rename one"),
        (c.Struct(BYTE), '[0]: it has no name; declare "name" / ..., or Padding'),
        (
            c.Struct("a" / BYTE, "n" / c.Int64un),
            "n: offset 1 is not a multiple of its alignment, 8; "
            "put Padding(7), in a text _:x7, before it",
        ),
        (
            c.Struct("a" / c.Int32un, "n" / c.Struct("d" / c.Float64n)),
            "n: offset 4 is not a multiple of its alignment, 8; put Padding(4)",
        ),
        (
            c.Struct("a" / c.Int64un, "b" / BYTE),
            "layout: its size, 9, is not a multiple of its alignment, 8; "
            "put Padding(7), in a text _:x7, at its end",
        ),
        (
            c.Struct("n" / c.Array(2, c.Struct("a" / c.Int16un, "b" / BYTE))),
            "n: its size, 3, is not a multiple of its alignment, 2; put Padding(1)",
        ),
        (c.Struct("a" / BYTE, c.Padding(2, b"x")), "[1]: padding is zeros; leave the pattern out"),
        (
            c.Struct("a" / BYTE, c.Padding(c.this.a)),
            "[1]: padding of this['a']; give a fixed number over 0",
        ),
        (
            c.Struct("a" / BYTE, c.Padding(2**30)),
            "[1]: it ends at 1073741825 bytes, and 1073741816",
        ),
        (c.Struct("a" / c.Bytes(2**30)), "a: it ends at 1073741824 bytes, and 1073741816 are"),
        (c.Struct("a" / BYTE[1][1][1][1][1][1][1][1]), "a: more than 8 structs and dimensions in"),
        (
            nested(8),
            "a.a.a.a.a.a.a.a: more than 8 structs and dimensions in one another; declare it flat",
        ),
        (c.Int8un, "layout: expected a construct.Struct, got <FormatField>"),
        (
            c.Struct("a" / c.Enum(BYTE, x=1, X=2)),
            "layout: in C, 2 of its enums, structs or their values would have the name A_X;",
        ),
        (
            c.Struct("a_b" / c.Struct("n" / BYTE), "a" / c.Struct("b" / c.Enum(BYTE, x=1))),
            "layout: in C, 2 of its enums, structs or their values would have the name a_b;",
        ),
    ],
)
def test_attributes_that_do_not_fit_together_are_refused(declared: Any, reason: str) -> None:
    with pytest.raises(LayoutError) as refused:
        Layout(declared)
    assert str(refused.value).startswith(reason)


@pytest.mark.parametrize(
    "name",
    [
        "_a",
        "__init__",
        "from_buffer",
        "a-b",
        "1a",
        "a b",
        "a.b",
        "\xe4",
        "a\n",
        "class",
        "None",
        "int",
        "linux",
    ],
)
def test_name_that_python_or_c_has_for_itself_is_refused(name: str) -> None:
    with pytest.raises(LayoutError) as refused:
        Layout(c.Struct(name / BYTE))
    assert str(refused.value).startswith(
        f"{name}: {name!r} is not a name for a field; give a letter"
    )


@pytest.mark.parametrize("name", ["type", "match", "current", "Mode", "x_", "keys", "size", "self"])
def test_name_that_is_only_a_word_is_taken(name: str) -> None:
    layout = Layout(c.Struct(name / BYTE))
    view = layout.ctypes()
    setattr(view, name, 7)
    assert layout.parse(bytes(view)) == {name: 7}
    assert layout.build({name: 7}) == b"\7"


def test_eight_structs_in_one_another_are_taken() -> None:
    assert Layout(nested(7)).text == "a(a(a(a(a(a(a(a:u8)))))))"


def test_text_over_the_limit_is_refused() -> None:
    assert len(Layout(c.Struct("a" * 1020 / BYTE)).text) == 1023
    with pytest.raises(LayoutError, match=r"its text has 1024 characters and may have 1023; give"):
        Layout(c.Struct("a" * 1021 / BYTE))
