"""Samples as columns of plain values, one of each element: for formats without structs.

A field is a column of its name, an element of an array `axes[0]`, of two
dimensions `grid[1][0]`, a field of a struct `pose.x`, and of an array of
structs `points[1].x`. In a recording of several regions the fields have the
region's name before theirs, `motor.speed`, and a column `region` names the
region of each sample.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from enum import IntEnum, IntFlag
from functools import lru_cache
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy

from rtshm.abi import LAYOUT_OFFSET
from rtshm.layout import Layout
from rtshm.layout.fixed import floats
from rtshm.samples import HEADER, HEADER_NAMES, sample_dtype, shown

if TYPE_CHECKING:
    from rtshm.layout import Field
    from rtshm.recording.conditions import Conditions


Array = numpy.ndarray[Any, numpy.dtype[Any]]


@dataclass(frozen=True, slots=True)
class Column:
    """One value of each sample."""

    name: str
    """In a recording of several regions with the region's name before it."""
    field: str
    """The name without that: axes[1]."""
    root: str
    """The field of the array that it is in; the columns of one array field share it."""
    steps: tuple[str | int, ...]
    """The way to the value: names of fields, indices of elements."""
    dtype: numpy.dtype[Any]
    """Of one value."""
    enum: type[IntEnum] | type[IntFlag] | None
    region: int | None = None
    """The number of the region that it is of; None: it is of all."""

    def of(self, array: Array) -> Array:
        """Its values in an array of samples: a view, shape (len(array),)."""
        for step in self.steps:
            array = array[step] if isinstance(step, str) else array[:, step]
        # What is neither 0 nor 1 is not a value of a bool, and may have been stored.
        return array.view(numpy.uint8) != 0 if self.dtype.kind == "b" else array

    def store(self, array: Array, values: Array) -> None:
        """Put the values where of() finds them."""
        for step in self.steps:
            array = array[step] if isinstance(step, str) else array[:, step]
        array[...] = values


@lru_cache
def dtype_of(conditions: Conditions) -> numpy.dtype[numpy.void]:
    """The dtype of the samples of a recording. LayoutError for the text of its layout."""
    whole = floats(memory_dtype(conditions))
    if not conditions.fields:
        return whole
    names = [name for name in whole.names or () if name in (*HEADER_NAMES, *conditions.fields)]
    return numpy.empty(0, whole)[names].dtype


def memory_dtype(conditions: Conditions) -> numpy.dtype[numpy.void]:
    """The dtype of all of a sample as the region has it in memory."""
    record_bytes = conditions.record_bytes
    return sample_dtype(HEADER.size + record_bytes, record_bytes, _layout(conditions))


def joined(dtype: numpy.dtype[Any], arrays: Sequence[Array]) -> Array:
    """One array of this dtype; numpy.concatenate() would drop the padding of a structured one."""
    whole = numpy.zeros(sum(map(len, arrays)), dtype)
    return numpy.concatenate(arrays, out=whole) if arrays else whole


class Counts(NamedTuple):
    """What there is of a region up to a tick."""

    samples: int = 0
    lost: int = 0
    missed: int = 0
    last: int | None = None

    def and_of(self, array: Array) -> Counts:
        if not len(array):
            return self
        tick, missed, last = array["tick"], array["missed"], self.last
        if last is None:
            last, missed = int(tick[0]) - 1, missed[1:]
        return Counts(
            self.samples + len(array),
            self.lost + int(tick[-1]) - last - len(array),
            self.missed + int(missed.sum(dtype="u8")),
            int(tick[-1]),
        )

    def put_into(self, conditions: Conditions, ended: str) -> Conditions:
        samples, lost, missed, _ = self
        return replace(conditions, samples=samples, lost=lost, missed=missed, ended=ended)


def wall_clock(conditions: Conditions, array: Array) -> Array:
    """The CLOCK_REALTIME of each sample, as datetime64[ns]."""
    begin = conditions.started_ns - conditions.started_monotonic_ns
    times: Array = (array["time_ns"] + begin).view("M8[ns]")
    return times


def variables(array: Array, prefix: str = "") -> Iterator[tuple[str, Array]]:
    """Each field with its whole array; the fields of a struct by names with dots."""
    for name in array.dtype.names or ():
        values = array[name]
        if values.dtype.fields:
            yield from variables(values, f"{prefix}{name}.")
        elif values.dtype.kind == "b":
            yield prefix + name, values.view(numpy.uint8) != 0
        else:
            yield prefix + name, values


def headings(begun: Sequence[Conditions]) -> list[Column]:
    """The columns of the samples of several regions, but for `region`, or of one region."""
    common = [column for column in columns(begun[0]) if column.root in HEADER_NAMES]
    return common + [each for each in _of_regions(begun) if each.root not in HEADER_NAMES]


def groups(begun: Sequence[Conditions]) -> dict[str, list[Column]]:
    """The columns that are numbers, by field: the elements of an array are together."""
    found: dict[str, list[Column]] = {}
    for column in _of_regions(begun):
        if column.dtype.kind != "V":
            field = column.root if "." not in column.field else column.field
            name = column.name.removesuffix(column.field) + field
            found.setdefault(name, []).append(column)
    return found


def _of_regions(begun: Sequence[Conditions]) -> Iterator[Column]:
    for number, conditions in enumerate(begun):
        prefix = f"{conditions.region}." if len(begun) > 1 else ""
        for column in columns(conditions):
            yield replace(column, name=prefix + column.name, region=number)


def chosen(begun: Sequence[Conditions], names: Sequence[str]) -> list[list[Column]]:
    """The columns of each name: a field, an element of one, or several with commas between them.

    ValueError unless they are numbers.
    """
    fields = groups(begun)
    known = {each.name: [each] for headings in fields.values() for each in headings} | fields
    several = [name.split(",") for name in names]
    if unknown := [name for each in several for name in each if name not in known]:
        raise ValueError(
            f"there is no field {', '.join(unknown)} to draw; there are {', '.join(fields)}"
        )
    return [[column for name in each for column in known[name]] for each in several]


class Rows:
    """Samples of several regions in the order of their times."""

    def __init__(self, parts: Sequence[tuple[int, Array]]) -> None:
        self._parts = parts
        times = numpy.concatenate([array["time_ns"] for _, array in parts])
        self.order = numpy.argsort(times, kind="stable")
        """Where in all parts together each row is."""
        regions = [numpy.full(len(array), number, "i4") for number, array in parts]
        self.regions = numpy.concatenate(regions)[self.order]
        """Of each row the number of its region."""

    def of(self, column: Column) -> tuple[Array, Array | None]:
        """The values of a column, and where its region has samples, if not everywhere."""
        pieces = [
            column.of(array)
            if column.region in (None, number)
            else numpy.zeros(len(array), column.dtype)
            for number, array in self._parts
        ]
        known = None if column.region is None else self.regions == column.region
        return (
            numpy.concatenate(pieces)[self.order],
            None if known is None or known.all() else known,
        )


def split(
    begun: Sequence[Conditions], regions: Array, values: Iterable[tuple[Column, Array]]
) -> list[tuple[int, Array]]:
    """What Rows was made of: `regions` of the rows, and each column's values."""
    places = [numpy.flatnonzero(regions == number) for number in range(len(begun))]
    arrays = [
        numpy.zeros(len(place), dtype_of(conditions))
        for place, conditions in zip(places, begun, strict=True)
    ]
    for column, whole in values:
        for number, (place, array) in enumerate(zip(places, arrays, strict=True)):
            if column.region in (None, number):
                column.store(array, whole[place])
    return [(number, array) for number, array in enumerate(arrays) if len(array)]


@lru_cache
def columns(conditions: Conditions) -> tuple[Column, ...]:
    """Those of the samples of a recording, in the order of their offsets."""
    dtype = dtype_of(conditions)
    fields = shown(_layout(conditions), conditions.record_bytes)
    assert dtype.fields is not None
    found: list[Column] = []
    for name, (inner, *_) in dtype.fields.items():
        found += _columns(name, name, (name,), inner, fields.get(name))
    return tuple(found)


def _layout(conditions: Conditions) -> Layout | None:
    if not conditions.layout or conditions.record_bytes <= LAYOUT_OFFSET:
        return None
    return Layout(conditions.layout)


def _columns(
    root: str, name: str, steps: tuple[str | int, ...], dtype: numpy.dtype[Any], field: Field | None
) -> Iterator[Column]:
    for indices in numpy.ndindex(*dtype.shape):
        suffix, at = "".join(f"[{index}]" for index in indices), (*steps, *indices)
        if not dtype.base.fields:
            yield Column(
                name + suffix, name + suffix, root, at, dtype.base, field.enum if field else None
            )
            continue
        inner_fields = {inner.name: inner for inner in field.fields} if field else {}
        for inner_name, (inner, *_) in dtype.base.fields.items():
            full = f"{name}{suffix}.{inner_name}"
            within = inner_fields.get(inner_name)
            yield from _columns(root, full, (*at, inner_name), inner, within)


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
