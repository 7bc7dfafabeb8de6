"""Samples as columns of plain values, one of each element: for formats that know no structs.

A field is a column of its name, an element of an array `axes[0]`, of two
dimensions `grid[1][0]`, a field of a struct `pose.x`, and of an array of
structs `points[1].x`.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntFlag
from typing import TYPE_CHECKING, Any

import numpy

from rtshm.abi import LAYOUT_OFFSET
from rtshm.layout import Layout
from rtshm.samples import HEADER, sample_dtype

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from enum import IntEnum

    from rtshm.layout import Field
    from rtshm.recording.conditions import Conditions

    Array = numpy.ndarray[Any, numpy.dtype[Any]]

HEADER_NAMES = ("tick", "time_ns", "lateness_ns", "flags", "missed", "some_int", "ready")
"""The columns that samples of all regions have; the fields of the layout follow."""


@dataclass(frozen=True, slots=True)
class Column:
    """One value of each sample."""

    name: str
    root: str
    """The field of the array that it is in; the columns of one array field share it."""
    steps: tuple[str | int, ...]
    """The way to the value: names of fields, indices of elements."""
    dtype: numpy.dtype[Any]
    """Of one value."""
    enum: type[IntEnum] | type[IntFlag] | None

    def of(self, array: Array) -> Array:
        """Its values in an array of samples: a view, shape (len(array),)."""
        for step in self.steps:
            array = array[step] if isinstance(step, str) else array[:, step]
        # What is neither 0 nor 1 is no value of a bool, and may have been stored.
        return array.view(numpy.uint8) != 0 if self.dtype.kind == "b" else array

    def store(self, array: Array, values: Array) -> None:
        """Put the values where of() finds them."""
        for step in self.steps[:-1]:
            array = array[step] if isinstance(step, str) else array[:, step]
        last = self.steps[-1]
        if isinstance(last, str):
            array[last] = values
        else:
            array[:, last] = values


def dtype_of(conditions: Conditions) -> numpy.dtype[numpy.void]:
    """Of the samples of a recording: what Samples.read_array() gave. LayoutError for its text."""
    record_bytes = conditions.record_bytes
    return sample_dtype(HEADER.size + record_bytes, record_bytes, _layout(conditions))


def columns(conditions: Conditions) -> list[Column]:
    """Those of the samples of a recording, in the order of their offsets."""
    dtype = dtype_of(conditions)
    layout = _layout(conditions)
    by_offset = {field.offset: field for field in layout.fields} if layout else {}
    begin = HEADER.size + LAYOUT_OFFSET
    assert dtype.fields is not None
    found: list[Column] = []
    for name, (inner, offset, *_) in dtype.fields.items():
        field = None if name in HEADER_NAMES else by_offset[offset - begin]
        found += _columns(name, name, (name,), inner, field)
    return found


def _layout(conditions: Conditions) -> Layout | None:
    if not conditions.layout or conditions.record_bytes <= LAYOUT_OFFSET:
        return None
    return Layout.from_text(conditions.layout)


def _columns(
    root: str, name: str, steps: tuple[str | int, ...], dtype: numpy.dtype[Any], field: Field | None
) -> Iterator[Column]:
    for suffix, indices in _elements(dtype.shape):
        at = (*steps, *indices)
        if not dtype.base.fields:
            yield Column(name + suffix, root, at, dtype.base, field.enum if field else None)
            continue
        inner_fields = {inner.name: inner for inner in field.fields} if field else {}
        for inner_name, (inner, *_) in dtype.base.fields.items():
            yield from _columns(
                root,
                f"{name}{suffix}.{inner_name}",
                (*at, inner_name),
                inner,
                inner_fields.get(inner_name),
            )


def _elements(shape: Iterable[int]) -> Iterator[tuple[str, tuple[int, ...]]]:
    for indices in numpy.ndindex(*shape):
        yield "".join(f"[{index}]" for index in indices), indices


def names_of(enum: type[IntEnum] | type[IntFlag], numbers: Array) -> list[str]:
    """The names of values, flags with | between them; a number where there is no name."""
    known, which = numpy.unique(numbers, return_inverse=True)
    texts = numpy.array([_name(enum, int(number)) for number in known], dtype=object)
    return list(texts[which])


def numbers_of(enum: type[IntEnum] | type[IntFlag], names: Iterable[str]) -> list[int]:
    """What names_of() was given."""
    members = {name: int(value) for name, value in enum.__members__.items()}
    known: dict[str, int] = {}
    numbers = []
    for name in names:
        if name not in known:
            parts = name.split("|")
            known[name] = sum(members[part] if part in members else int(part) for part in parts)
        numbers.append(known[name])
    return numbers


def _name(enum: type[IntEnum] | type[IntFlag], number: int) -> str:
    members = {name: int(value) for name, value in enum.__members__.items()}
    if issubclass(enum, IntFlag):
        names = [name for name, value in members.items() if number & value]
        return (
            "|".join(names) if names and number & sum(members.values()) == number else str(number)
        )
    return next((name for name, value in members.items() if value == number), str(number))
