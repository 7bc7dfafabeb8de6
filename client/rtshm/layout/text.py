"""A layout as a text of one line, as the kernel stores it with a region.

::

    speed:f64 gain:f32 mode:u8{off=0,on=1} _:x3 axes:i32[3] points[2](x:i16 y:i16)

The grammar, in which ... is zero or more of what is before it::

    layout  = field (" " field)...
    field   = "_:x" count                                    bytes of padding
            | name ":" type ("[" count "]")...               as many dimensions, as in C
            | name ("[" count "]")... "(" layout ")"         a struct, or an array of it
    type    = integer | "f32" | "f64" | "q16" | "bool"
            | "bytes[" count "]"
            | integer "{" entry ("," entry)... "}"           one of these values
            | integer "<" entry ("," entry)... ">"           any of these bits
    integer = "i8" | "u8" | "i16" | "u16" | "i32" | "u32" | "i64" | "u64"
    entry   = name "=" ["-"] number

A number is decimal without leading zeros, a count a number over 0, a name a
letter and then letters, digits and `_`. All is in the machine's byte order.
More blanks than one are read, around a layout too, and not written.
"""

from __future__ import annotations

import re
from enum import IntFlag
from typing import Any, NamedTuple, NoReturn

import construct

from rtshm.errors import LayoutError
from rtshm.layout.construct import DEPTH_MAX, number
from rtshm.layout.fields import Field, Kind, with_padding

TEXT_MAX = 1023
"""Characters; RTSHM_LAYOUT_MAX of <linux/rtshm_netlink.h>."""

_TYPES = [kind for kind in Kind if kind is not Kind.STRUCT]


class _Entry(NamedTuple):
    """What construct takes from an enum class."""

    name: str
    value: int


def to_text(struct: Field) -> str:
    """The one text of a layout."""
    words = []
    for padding, field in with_padding(struct):
        if padding:
            words.append(f"_:x{padding}")
        if field:
            counts = "".join(f"[{count}]" for count in field.shape)
            if field.fields:
                words.append(f"{field.name}{counts}({to_text(field)})")
            else:
                words.append(f"{field.name}:{_type_text(field)}{counts}")
    return " ".join(words)


def _type_text(field: Field) -> str:
    if field.kind is Kind.BYTES:
        return f"bytes[{field.element}]"
    if field.enum:
        opening, closing = "<>" if issubclass(field.enum, IntFlag) else "{}"
        entries = ",".join(f"{member.name}={member:d}" for member in field.enum)
        return f"{field.kind}{opening}{entries}{closing}"
    return str(field.kind)


def from_text(text: str) -> construct.Struct:
    """The layout that a text describes, as one would declare it with construct."""
    reader = _Reader(text)
    declared = construct.Struct(*_fields(reader, "", 1))
    reader.expect(r"\Z", "a blank and a field, or the end,")
    return declared


def check_length(text: str) -> None:
    if len(text) > TEXT_MAX:
        raise LayoutError(
            f"layout: its text has {len(text)} characters and may have {TEXT_MAX}; "
            "give shorter names, or make one Bytes(n) of what others need not see"
        )


class _Reader:
    """A text, how far it is read, and the path of the field that was begun last."""

    def __init__(self, text: str) -> None:
        check_length(text)
        self.text = text
        self.at = 0
        self.path = ""

    def take(self, pattern: str) -> str | None:
        """What matches here, None if nothing does."""
        match = re.compile(pattern).match(self.text, self.at)
        if not match:
            return None
        self.at = match.end()
        return match[0]

    def expect(self, pattern: str, what: str) -> str:
        at = self.at
        found = self.take(pattern)
        if found is None:
            rest = self.text[at : at + 12]
            self.refuse(f"{what} is missing " + (f"before {rest!r}" if rest else "at the end"), at)
        return found

    def count(self) -> int:
        return int(self.expect("[1-9][0-9]*", "a count, a number over 0,"))

    def counts(self) -> list[int]:
        """Dimensions, the outermost first."""
        counts = []
        while self.take(r"\["):
            counts.append(self.count())
            self.expect(r"\]", "']'")
        return counts

    def refuse(self, why: str, at: int) -> NoReturn:
        raise LayoutError(f"{self.path or 'layout'}: column {at + 1}: {why}")


def _fields(reader: _Reader, path: str, depth: int) -> list[Any]:
    # What calls itself must not follow a text as deep as it goes.
    if depth > DEPTH_MAX:
        reader.refuse(f"more than {DEPTH_MAX} structs in one another", reader.at)
    reader.take(" *")
    fields = [_field(reader, path, depth)]
    while reader.take(" +(?=[^ )])"):
        fields.append(_field(reader, path, depth))
    reader.take(" *")
    return fields


def _field(reader: _Reader, path: str, depth: int) -> Any:
    name = reader.expect("[A-Za-z_][A-Za-z0-9_]*", "the name of a field")
    reader.path = f"{path}.{name}" if path else name
    counts = reader.counts()
    if counts or reader.take(r"(?=\()") is not None:
        reader.expect(r"\(", "'(' and fields")
        declared = construct.Struct(*_fields(reader, reader.path, depth + 1))
        reader.expect(r"\)", "')', or a blank and a field,")
    else:
        reader.expect(":", "':' and a type, or '(' and fields,")
        if name == "_":
            reader.expect("x", "padding, x and a count as in _:x3,")
            return construct.Padding(reader.count())
        declared = _type(reader)
        counts = reader.counts()
    for count in reversed(counts):
        declared = construct.Array(count, declared)
    return name / declared


def _type(reader: _Reader) -> Any:
    at = reader.at
    name = reader.expect("[A-Za-z0-9_]+", "a type")
    if name not in _TYPES:
        reader.refuse(f"there is no type {name!r}; give one of {', '.join(_TYPES)}", at)
    kind = Kind(name)
    if kind is Kind.BYTES:
        reader.expect(r"\[", "'[', as in bytes[16],")
        declared = construct.Bytes(reader.count())
        reader.expect(r"\]", "']'")
        return declared
    if reader.take("{"):
        return construct.Enum(number(kind), _entries(reader, "}"))
    if reader.take("<"):
        return construct.FlagsEnum(number(kind), _entries(reader, ">"))
    return number(kind)


def _entries(reader: _Reader, closing: str) -> list[_Entry]:
    entries: list[_Entry] = []
    while not entries or reader.take(","):
        at = reader.at
        name = reader.expect("[A-Za-z_][A-Za-z0-9_]*", "the name of a value")
        # construct would keep the last.
        if name in (entry.name for entry in entries):
            reader.refuse(f"there are two values of the name {name}", at)
        reader.expect("=", "'='")
        entries.append(_Entry(name, int(reader.expect("-?(0|[1-9][0-9]*)", "a number"))))
    reader.expect(closing, f"',' or {closing!r}")
    return entries
