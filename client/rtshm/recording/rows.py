"""Samples as JSON objects: an array is a list, a struct an object, bytes are base64."""

from __future__ import annotations

import base64
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import numpy

if TYPE_CHECKING:
    from rtshm.recording.columns import Array

_TYPES = {"b": "boolean", "i": "integer", "u": "integer", "f": "number", "V": "string"}


def as_text(number: float) -> str:
    """NaN, Infinity or -Infinity, which JSON has no numbers for, as ProtoJSON writes them."""
    return {"inf": "Infinity", "-inf": "-Infinity"}.get(str(number), "NaN")


def objects(array: Array, special: Callable[[float], Any] = as_text) -> list[dict[str, Any]]:
    """An object for each sample or struct; `special` of a number that JSON does not have."""
    names = array.dtype.names or ()
    values = [_values(array[name], special) for name in names]
    return [dict(zip(names, row, strict=True)) for row in zip(*values, strict=True)]


def _values(array: Array, special: Callable[[float], Any]) -> list[Any]:
    kind = array.dtype.kind
    flat = array.reshape(-1)
    if array.dtype.fields:
        found: list[Any] = objects(flat, special)
    elif kind == "V":
        found = [base64.b64encode(value).decode() for value in flat.tolist()]
    elif kind == "b":
        found = (numpy.ascontiguousarray(flat).view(numpy.uint8) != 0).tolist()
    else:
        found = flat.tolist()
    if kind == "f":
        for index in numpy.flatnonzero(~numpy.isfinite(flat)).tolist():
            found[index] = special(found[index])
    for size in reversed(array.shape[1:]):
        found = [found[at : at + size] for at in range(0, len(found), size)]
    return found


def store(array: Array, found: Sequence[dict[str, Any]]) -> None:
    """Put into an array what objects() made of one."""
    for name in array.dtype.names or ():
        _store(array[name], [row[name] for row in found])


def _store(array: Array, values: list[Any]) -> None:
    for _ in array.shape[1:]:
        values = [inner for value in values for inner in value]
    if array.dtype.fields:
        flat = numpy.zeros(len(values), array.dtype)
        store(flat, values)
        array[...] = flat.reshape(array.shape)
    elif array.dtype.kind == "V":
        flat = numpy.array([base64.b64decode(value) for value in values], array.dtype)
        array[...] = flat.reshape(array.shape)
    elif array.dtype.kind == "f":
        array[...] = numpy.array([float(value) for value in values]).reshape(array.shape)
    else:
        array[...] = numpy.array(values, array.dtype).reshape(array.shape)


def schema(dtype: numpy.dtype[Any]) -> dict[str, Any]:
    """The JSON schema of objects() of an array of this dtype."""
    if dtype.shape:
        kind = schema(dtype.base)
        for _ in dtype.shape:
            kind = {"type": "array", "items": kind}
        return kind
    if dtype.fields:
        inner = {name: schema(field[0]) for name, field in dtype.fields.items()}
        return {"type": "object", "properties": inner}
    if dtype.kind == "V":
        return {"type": "string", "contentEncoding": "base64"}
    return {"type": _TYPES[dtype.kind]}
