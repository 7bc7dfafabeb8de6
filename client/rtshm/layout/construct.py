"""A layout as it is declared, with construct."""

from __future__ import annotations

import ctypes
import keyword
import re
import sys
from enum import IntEnum, IntFlag
from typing import Any

import construct

from rtshm.errors import LayoutError
from rtshm.layout.c import RESERVED
from rtshm.layout.fields import NUMBERS, Q16_ONE, Field, Kind, limits, named

DEPTH_MAX = 8
"""Structs and dimensions of arrays, in one another."""

SIZE_MAX = 2**30 - 8
"""Bytes: what the largest region, RTSHM_SIZE_MAX, has after its first 8."""

_NAME = "[A-Za-z][A-Za-z0-9_]*"
_NAMES = "give a letter, then letters, digits and _, and no word of Python"

_KINDS = {number.code: kind for kind, number in NUMBERS.items() if kind is not Kind.Q16}
_FOREIGN = {"little": ">", "big": "<"}[sys.byteorder]


class FixedPoint(construct.Adapter):  # type: ignore[misc]
    """A number in an Int32sn, with 16 bits behind the point."""

    def _decode(self, stored: int, _context: Any, _path: str) -> float:
        return stored / Q16_ONE

    def _encode(self, value: float, _context: Any, _path: str) -> int:
        return round(value * Q16_ONE)


Q16n = FixedPoint(construct.Int32sn)
"""What q16 is in a text, for a construct.Struct."""


def number(kind: Kind) -> Any:
    """Return a number of this kind, for a construct.Struct."""
    return Q16n if kind is Kind.Q16 else construct.FormatField("=", NUMBERS[kind].code)


_CLASS = "rtshm_class"


def keeping(declared: Any, enum: type[IntEnum | IntFlag]) -> Any:
    """Return an Enum or FlagsEnum of construct that keeps the class of its members."""
    setattr(declared, _CLASS, enum)
    return declared


# By what is wrong with them and the remedy: classes of construct.
_REFUSED = {
    "its length is not fixed; use Bytes(n), or Array(n, ...) for as many as there may be": """
        Compressed FixedSized GreedyBytes GreedyRange LazyArray NullStripped NullTerminated
        Prefixed RepeatUntil VarInt ZigZag""",
    "text has no fixed length; use Bytes(n), and encode in the program": "StringEncoded",
    "it is packed in bits or swapped; use FlagsEnum for bits, or whole native integers": """
        BitsInteger Restreamed Transformed""",
    "no C integer is made so; use Int8un, Int16un, Int32un or Int64un": "BytesInteger",
    "what lies there depends on other data; declare what always lies there": """
        FocusedSeq IfThenElse Lazy LazyBound Peek Pointer Select StopIf Switch Union""",
    "it takes no memory; leave it out, and compute it in the program": """
        Check Computed Error Index Pass Seek Tell Terminated""",
    "memory keeps no such rule; declare what is under it, and apply the rule in the program": """
        Checksum Const Default ExprAdapter ExprValidator Hex HexDump Mapping NamedTuple Rebuild
        Slicing Indexing TimestampAdapter""",
    "declare what is in it, and Padding(n) after it": "Aligned Padded",
    "its fields have no names; use Struct": "Sequence",
}
_REASONS = {name: reason for reason, names in _REFUSED.items() for name in names.split()}
_OTHER = "use numbers, Flag, Bytes, Enum, FlagsEnum, Array, Struct and Padding"


def from_construct(declared: Any, *, padded: bool = False) -> Field:
    """Return the layout as the struct that it is, without a name; `padded` as C pads it."""
    bare = _bare(declared)
    # What compile() makes of one.
    bare = _bare(getattr(bare, "defersubcon", bare))
    if not isinstance(bare, construct.Struct):
        raise LayoutError(f"layout: expected a construct.Struct, got {declared!r}")
    return _struct("", "", 0, bare, 1, padded)


def _struct(
    name: str, path: str, offset: int, declared: construct.Struct, depth: int, padded: bool
) -> Field:
    fields: list[Field] = []
    size = 0
    for index, subcon in enumerate(declared.subcons):
        bare = _bare(subcon)
        inner = f"{path}.{subcon.name or f'[{index}]'}".removeprefix(".")
        if isinstance(bare, construct.Padded) and bare.subcon is construct.Pass:
            size += _padding(inner, subcon.name, bare)
        else:
            _check_name(inner, subcon.name, fields)
            field = _field(subcon.name, inner, offset + size, bare, depth, padded)
            where = f"{inner}: offset {size}", "before it"
            if lacking := _lacking(size, field.alignment, padded, *where):
                size += lacking
                field = _field(subcon.name, inner, offset + size, bare, depth, padded)
            fields.append(field)
            size += field.size
        if size > SIZE_MAX:
            raise LayoutError(f"{inner}: it ends at {size} bytes, and {SIZE_MAX} are the most")
    if not fields:
        raise LayoutError(f"{path or 'layout'}: there is no field in it")
    alignment = max(field.alignment for field in fields)
    where = f"{path or 'layout'}: its size, {size},", "at its end"
    size += _lacking(size, alignment, padded, *where)
    return Field(name, path, offset, Kind.STRUCT, size, alignment, fields=tuple(fields))


def _lacking(size: int, alignment: int, padded: bool, what: str, place: str) -> int:
    """Return the bytes that are missing to a multiple. Raise LayoutError unless C pads it."""
    lacking = -size % alignment
    if lacking and not padded:
        raise LayoutError(
            f"{what} is not a multiple of its alignment, {alignment}; "
            f"put Padding({lacking}), in a text _:x{lacking}, {place}"
        )
    return lacking


def _field(name: str, path: str, offset: int, declared: Any, depth: int, padded: bool) -> Field:
    shape: list[int] = []
    while isinstance(declared, construct.Array):
        shape.append(_count(path, "an array", declared.count))
        declared = _bare(declared.subcon)
    depth += len(shape) + isinstance(declared, construct.Struct)
    if depth > DEPTH_MAX:
        raise LayoutError(
            f"{path}: more than {DEPTH_MAX} structs and dimensions in one another; declare it flat"
        )
    enum: type[IntEnum] | type[IntFlag] | None = None
    fields: tuple[Field, ...] = ()
    match declared:
        case construct.Struct():
            struct = _struct(name, path, offset, declared, depth, padded)
            kind, fields = Kind.STRUCT, struct.fields
            element, alignment = struct.element, struct.alignment
        case construct.Bytes():
            kind, element, alignment = Kind.BYTES, _count(path, "Bytes", declared.length), 1
        case construct.Enum() | construct.FlagsEnum():
            kind, element = _number(path, declared.subcon)
            alignment = element
            flags = isinstance(declared, construct.FlagsEnum)
            mapping = declared.flags if flags else declared.encmapping
            entries = tuple(_entries(path, kind, mapping, flags=flags))
            enum = vars(declared).get(_CLASS) or named(name, entries, flags)
        case _:
            kind, element = _number(path, declared)
            alignment = element
    return Field(name, path, offset, kind, element, alignment, tuple(shape), enum, fields)


def _bare(declared: Any) -> Any:
    """Without the names and comments that are put around it."""
    while isinstance(declared, construct.Renamed):
        declared = declared.subcon
    return declared


def _padding(path: str, name: str | None, declared: construct.Padded) -> int:
    if name:
        raise LayoutError(f"{path}: padding has no name; leave the name out, or declare Bytes(n)")
    if declared.pattern != b"\0":
        raise LayoutError(f"{path}: padding is zeros; leave the pattern out")
    # First of all a number: an expression of construct is equal to whatever one asks.
    if isinstance(declared.length, int) and declared.length == 0:
        return 0
    return _count(path, "padding", declared.length)


def _count(path: str, what: str, count: Any) -> int:
    if not isinstance(count, int) or count < 1:
        raise LayoutError(f"{path}: {what} of {count!r}; give a fixed number over 0")
    return int(count)


def _number(path: str, declared: Any) -> tuple[Kind, int]:
    """Kind and bytes of a number."""
    declared = _bare(declared)
    if declared is construct.Flag:
        return Kind.BOOL, 1
    if isinstance(declared, FixedPoint):
        return Kind.Q16, 4
    if not isinstance(declared, construct.FormatField):
        name = type(declared).__name__
        reason = _REASONS.get(name, _OTHER)
        raise LayoutError(f"{path}: {name} cannot lie in place: {reason}")
    order, code = declared.fmtstr
    if code not in _KINDS:
        raise LayoutError(f"{path}: C has no number as {declared.fmtstr!r}; use Float32n")
    if order == _FOREIGN and declared.length > 1:
        raise LayoutError(f"{path}: foreign byte order; use the native one (Int32sn, Float64n)")
    return _KINDS[code], declared.length


def _check_name(path: str, name: str | None, fields: list[Field]) -> None:
    if not name:
        raise LayoutError(f'{path}: it has no name; declare "name" / ..., or Padding')
    # ctypes structures have from_buffer() and others for themselves.
    reserved = keyword.iskeyword(name) or hasattr(ctypes.Structure, name) or name in RESERVED
    if reserved or not re.fullmatch(_NAME, name):
        raise LayoutError(f"{path}: {name!r} is not a name for a field; {_NAMES}, C or C++")
    if name in (field.name for field in fields):
        raise LayoutError(f"{path}: there are two fields of this name; rename one")


def _entries(
    path: str, kind: Kind, mapping: dict[Any, Any], *, flags: bool
) -> list[tuple[str, int]]:
    if kind in (Kind.F32, Kind.F64, Kind.Q16, Kind.BOOL):
        raise LayoutError(f"{path}: named values are for integers, and {kind} is none")
    low, high = limits(kind)
    if flags and low:
        raise LayoutError(f"{path}: the highest bit of {kind} is a sign; use an unsigned integer")
    entries: dict[int, str] = {}
    for key, value in mapping.items():
        entry = str(key)
        # mro() is of every class.
        reserved = keyword.iskeyword(entry) or entry == "mro"
        if reserved or not re.fullmatch(_NAME, entry):
            raise LayoutError(f"{path}: {entry!r} is not a name for a value; {_NAMES}")
        if not isinstance(value, int) or not low <= value <= high:
            raise LayoutError(
                f"{path}: {entry}={value!r} does not fit {kind}; give {low} to {high}"
            )
        if flags and value.bit_count() != 1:
            raise LayoutError(f"{path}: {entry}={value:d} is not a single bit; give a power of two")
        if value in entries:
            raise LayoutError(
                f"{path}: {entries[value]} and {entry} are both {value:d}; leave one out"
            )
        entries[int(value)] = entry
    if not entries:
        raise LayoutError(f"{path}: it names no values; name some, or declare the integer alone")
    return [(entry, value) for value, entry in entries.items()]
