"""From construct to ctypes: what lies in place, and what is refused and why."""

from __future__ import annotations

import ctypes

import construct as c
import pytest
from rtshm.errors import LayoutError
from rtshm.layout import structure


def test_structure_lies_as_construct_builds_it() -> None:
    layout = c.Struct(
        "a" / c.Int8un,
        c.Padding(1),
        "b" / c.Int16sn,
        "c" / c.Float32n,
        "d" / c.Int64sn,
        "e" / c.Float64n,
        "f" / c.Int32un,
        "g" / c.Int32sl,
    )
    record = {"a": 200, "b": -300, "c": 0.5, "d": -(2**60), "e": 1e300, "f": 2**32 - 1, "g": -9}
    view = structure("Record", layout).from_buffer_copy(layout.build(record))
    assert ctypes.sizeof(view) == layout.sizeof()
    assert {name: getattr(view, name) for name in record} == record
    assert bytes(view) == layout.build(record)


@pytest.mark.parametrize(
    ("layout", "reason"),
    [
        (c.Struct("n" / c.Int32sb), r"R\.n: foreign byte order; use the native one"),
        (c.Struct("n" / c.VarInt), r"R\.n: VarInt cannot be mapped in place"),
        (c.Struct("n" / c.BitStruct("x" / c.BitsInteger(8))), r"R\.n: .* cannot be mapped"),
        (c.Struct("n" / c.Int24un), r"R\.n: BytesInteger cannot be mapped"),
        (c.Struct("n" / c.Float16n), r"R\.n: format '=e' has no ctypes counterpart"),
        (c.Struct("n" / c.Int8un, "n" / c.Int8un), r"R\.n: there are two fields of this name"),
        (c.Struct("_fields_" / c.Int8un), r"R\._fields_: not a name of a field"),
        (c.Struct("a" / c.Int8un, c.Padding(lambda _: 3)), r"R\._pad1: padding of a length"),
        (c.Struct("a" / c.Int64un, "b" / c.Int8un), r"R: 9 bytes .* end it with Padding\(7\)"),
        (
            c.Struct("a" / c.Int8un, "n" / c.Int64un),
            r"R\.n: offset 1 is no multiple of its 8 bytes; put Padding\(7\) before it",
        ),
    ],
)
def test_what_cannot_lie_in_place_is_refused_by_name(layout: c.Struct, reason: str) -> None:
    with pytest.raises(LayoutError, match=reason):
        structure("R", layout)
