"""The value of a field as text: a number, a name, or JSON for what has several.

An enum is the name of its value, flags are names with | between them (0 for
none), bytes are in hexadecimal; arrays and structs are JSON of these.
"""

from __future__ import annotations

import json
from enum import IntEnum, IntFlag
from typing import TYPE_CHECKING, Any

from rtshm.layout import Kind

if TYPE_CHECKING:
    from collections.abc import Callable

    from rtshm.layout import Field


def value_text(value: Any) -> str:
    """The text of a value as Region.read() gives it."""
    plain = _plain(value)
    return plain if isinstance(plain, str) else json.dumps(plain)


def parse_value(field: Field, text: str) -> Any:
    """The value for Region.update(). Raises ValueError that says what is wrong."""
    try:
        value = json.loads(text)
    except ValueError:
        # Names are typed without quotes. Of an array or a struct, it can only be a mistake.
        if field.shape or field.fields:
            raise ValueError(f"{field.path}: {text!r} is no JSON") from None
        value = text
    # Digits alone are JSON, too, and so are some names.
    if not field.shape and (field.kind is Kind.BYTES or _names(field, text)):
        value = text
    return _value(field, value)


def _names(field: Field, text: str) -> bool:
    return bool(field.enum and text in field.enum.__members__)


def _plain(value: Any) -> Any:
    """What JSON has for it."""
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
            return [_plain(one) for one in value]
        case dict():
            return {name: _plain(one) for name, one in value.items()}
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
        return plain

    return _each(len(field.shape), element, plain)


def _each(depth: int, act: Callable[[Any], Any], plain: Any) -> Any:
    if depth and isinstance(plain, list):
        return [_each(depth - 1, act, one) for one in plain]
    return act(plain)


def _bytes(field: Field, text: str) -> bytes:
    try:
        return bytes.fromhex(text)
    except ValueError:
        raise ValueError(f"{field.path}: {text!r} is not hexadecimal") from None
