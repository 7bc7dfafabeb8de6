"""The value of a field as text: a number, a name, or JSON for what has several.

An enum is the name of its value, flags are names with | between them (0 for
none), bytes are in hexadecimal; arrays and structs are JSON of these. In an
array of numbers each is taken as a single one: [.5, 0x10, inf]. A part of a field
is named as axes[1], pos.x or points[0].x.
"""

from __future__ import annotations

import dataclasses
import json
import math
import re
from collections.abc import Callable, Sequence
from contextlib import suppress
from decimal import Decimal, InvalidOperation
from enum import IntEnum, IntFlag
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple

from rtshm.layout import Kind

if TYPE_CHECKING:
    from rtshm.layout import Field

_STEP = re.compile(r"\[([0-9]{1,10})\]|\.([A-Za-z]\w*)", re.ASCII)

_ELEMENT = re.compile(r"[^\[\],\s][^\[\],]*")


class Place(NamedTuple):
    """A field, or a part of one."""

    field: Field
    """What lies there; without the dimensions that an index was given for."""
    name: str
    """Of the field of the layout that it is in."""
    steps: tuple[int | str, ...]
    """The way from the value of that field to the part."""

    def get(self, values: Any) -> Any:
        """Return its value in what Region.read() gave."""
        value = values[self.name]
        for step in self.steps:
            value = value[step]
        return value

    def put(self, values: dict[str, Any], value: Any) -> None:
        """Store its value there."""
        *way, last = (self.name, *self.steps)
        inside: Any = values
        for step in way:
            inside = inside[step]
        inside[last] = value


def find(fields: Sequence[Field], text: str) -> Place:
    """Return the place of axes[1] and the like. Raise ValueError that names what there is."""
    name = re.match(r"\w*", text)
    assert name
    known = {field.name: field for field in fields}
    if name[0] not in known:
        raise ValueError(f"there is no field {text!r}; there are {', '.join(known)}")
    field, at = known[name[0]], name.end()
    steps: list[int | str] = []
    while at < len(text):
        step = _STEP.match(text, at)
        if not step:
            raise ValueError(f"{text!r}: column {at + 1}: give [INDEX] or .FIELD")
        at = step.end()
        if step[1] is not None:
            if not field.shape:
                raise ValueError(f"{text!r}: {field.path} is not an array")
            if int(step[1]) >= field.shape[0]:
                raise ValueError(
                    f"{text!r}: {field.path} has the indices 0 to {field.shape[0] - 1}"
                )
            field = dataclasses.replace(field, shape=field.shape[1:])
            steps.append(int(step[1]))
        else:
            inner = {} if field.shape else {each.name: each for each in field.fields}
            if step[2] not in inner:
                there = f"; there are {', '.join(inner)}" if inner else ""
                raise ValueError(f"{text!r}: {field.path} has no field {step[2]}{there}")
            field = inner[step[2]]
            steps.append(step[2])
    return Place(field, name[0], tuple(steps))


def value_text(value: Any) -> str:
    """The text of a value as Region.read() gives it."""
    plain = plain_value(value)
    return plain if isinstance(plain, str) else json.dumps(plain)


def parse_value(field: Field, text: str) -> Any:
    """The value for Region.update(). Raises ValueError that says what is wrong."""
    if field.shape and not (field.fields or field.enum or field.kind is Kind.BYTES):
        return _numbers(field, text)
    if field.shape or field.fields:
        try:
            plain = json.loads(text, parse_float=lambda number: _float(field, number))
        except json.JSONDecodeError:
            raise ValueError(f"{field.path}: {text!r} is not JSON") from None
        return _value(field, plain)
    text = text.strip()
    if field.enum:
        return _int(field, text) if re.match("[+-]?[0-9]", text) else text
    match field.kind:
        case Kind.BYTES:
            return _bytes(field, text)
        case Kind.BOOL:
            words = {"true": True, "1": True, "false": False, "0": False}
            if text.lower() not in words:
                raise ValueError(f"{field.path}: {text!r} is not a bool; give true or false")
            return words[text.lower()]
        case Kind.F32 | Kind.F64 | Kind.Q16:
            return _float(field, text)
        case _:
            return _int(field, text)


def _numbers(field: Field, text: str) -> Any:
    """The value of an array of numbers: each is quoted, and the rest is JSON."""
    one = dataclasses.replace(field, shape=())
    try:
        plain = json.loads(_ELEMENT.sub(lambda found: json.dumps(found[0]), text))
    except json.JSONDecodeError:
        raise ValueError(f"{field.path}: {text!r} is not a list; give it as [1, 2]") from None
    return _each(
        len(field.shape), lambda each: parse_value(one, each) if type(each) is str else each, plain
    )


def _float(field: Field, text: str) -> float:
    number = _number(field, text, float, _int_of)
    if math.isinf(number) and "inf" not in text.lower():
        raise ValueError(f"{field.path}: {text!r} is too large; an infinity is inf")
    return float(number)


def _int(field: Field, text: str) -> int:
    number = _number(field, text, _int_of, Decimal)
    if isinstance(number, Decimal):
        if not number.is_finite() or abs(number.adjusted()) >= 40 or number % 1:
            raise ValueError(f"{field.path}: {text} is not a whole number")
    return int(number)


_int_of = partial(int, base=0)


def _number(field: Field, text: str, *parsers: Callable[[str], Any]) -> Any:
    """Return a number as Python and C write it, in ASCII and without underscores."""
    if text.isascii() and "_" not in text:
        for parse in parsers:
            with suppress(ValueError, InvalidOperation):
                return parse(text)
    raise ValueError(f"{field.path}: {text!r} is not a number")


def plain_value(value: Any) -> Any:
    """What JSON has for a value."""
    match value:
        case IntFlag():
            names = [member.name or "" for member in type(value) if member in value]
            known = sum(member for member in type(value) if member in value)
            return "|".join(names) if value and known == value else int(value)
        case IntEnum():
            return value.name
        case bytes():
            return value.hex()
        case list():
            return [plain_value(one) for one in value]
        case dict():
            return {name: plain_value(one) for name, one in value.items()}
        case _:
            return value


def _value(field: Field, plain: Any) -> Any:
    """What a field takes for what JSON has; what it does not take is left for it to refuse."""

    def struct(plain: Any) -> Any:
        inner = {one.name: one for one in field.fields}
        if not isinstance(plain, dict):
            return plain
        return {
            name: _value(inner[name], one) if name in inner else one for name, one in plain.items()
        }

    def element(plain: Any) -> Any:
        if field.fields:
            return struct(plain)
        if field.kind is Kind.BYTES and isinstance(plain, str):
            return _bytes(field, plain)
        if isinstance(plain, bool) and field.kind is not Kind.BOOL:
            raise ValueError(f"{field.path}: {str(plain).lower()} is not a number")
        return plain

    return _each(len(field.shape), element, plain)


def _each(depth: int, act: Callable[[Any], Any], plain: Any) -> Any:
    if depth and isinstance(plain, list):
        return [_each(depth - 1, act, one) for one in plain]
    return act(plain)


def _bytes(field: Field, text: str) -> bytes:
    try:
        data = bytes.fromhex(text.removeprefix("0x"))
    except ValueError:
        raise ValueError(f"{field.path}: {text!r} is not hexadecimal") from None
    if len(data) != field.element:
        raise ValueError(
            f"{field.path}: got {len(data)} bytes, need exactly {field.element} "
            "(values are hexadecimal, for example 61626364)"
        )
    return data
