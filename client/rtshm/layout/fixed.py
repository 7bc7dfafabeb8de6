"""Fixed point in arrays: a q16 is an i4 in the memory of a region, and an f8 for who reads it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy

from rtshm.layout.fields import Q16_ONE

if TYPE_CHECKING:
    Array = numpy.ndarray[Any, numpy.dtype[Any]]

Q16 = numpy.dtype("i4", metadata={"rtshm": "q16"})
"""Of a q16 in memory: an i4 that says what it is."""


def floats(dtype: numpy.dtype[Any]) -> numpy.dtype[Any]:
    """Return the dtype with an f8 for each q16: the same one, if there is none in it."""
    if _is_q16(dtype):
        return numpy.dtype(("f8", dtype.shape))
    fields = dtype.base.fields
    if fields is None:
        return dtype
    inner = {name: floats(field[0]) for name, field in fields.items()}
    if all(inner[name] is field[0] for name, field in fields.items()):
        return dtype
    return numpy.dtype((numpy.dtype([*inner.items()]), dtype.shape))


def to_floats(array: Array, dtype: numpy.dtype[Any]) -> Array:
    """Return samples as of memory as those of dtype, which floats() gave."""
    made = numpy.empty(array.shape, dtype)
    _copy(array, made, array.dtype, 1 / Q16_ONE)
    return made


def to_memory(array: Array, dtype: numpy.dtype[Any]) -> Array:
    """Return what to_floats() was given, with the dtype that it had."""
    if array.dtype == dtype:
        return array
    made = numpy.zeros(array.shape, dtype)
    _copy(array, made, dtype, Q16_ONE)
    return made


def _copy(source: Array, to: Array, memory: numpy.dtype[Any], factor: float) -> None:
    for name, field in (memory.base.fields or {}).items():
        if _is_q16(field[0]):
            to[name] = source[name] * factor
        elif field[0].base.fields:
            _copy(source[name], to[name], field[0], factor)
        else:
            to[name] = source[name]


def _is_q16(dtype: numpy.dtype[Any]) -> bool:
    return dtype.base.metadata == Q16.metadata
