"""A recording as .csv: lines `# name: value` with the conditions, in JSON, then the columns.

What is known at the end alone is in such lines at the end. An enum is its name,
flags are names with | between them, a bool is 0 or 1, bytes are hexadecimal,
and a float has the fewest digits that give the same float again.
"""

from __future__ import annotations

import csv
import dataclasses
import io
import itertools
import json
from contextlib import suppress
from typing import TYPE_CHECKING, Any, BinaryIO

import numpy

from rtshm.recording.columns import columns, dtype_of, names_of, numbers_of
from rtshm.recording.conditions import ENDING, Conditions

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

    from rtshm.recording.columns import Array, Column

_ROWS = 1 << 14


class Writer:
    def __init__(
        self, file: BinaryIO, _path: Path, conditions: Conditions, _dtype: numpy.dtype[Any]
    ) -> None:
        self._columns = columns(conditions)
        self._text = io.TextIOWrapper(file, encoding="utf-8", newline="")
        self._csv = csv.writer(self._text, lineterminator="\n")
        self._note(conditions, (name for name in conditions.asdict() if name not in ENDING))
        self._csv.writerow(column.name for column in self._columns)

    def write(self, array: Array) -> None:
        for begin in range(0, len(array), _ROWS):
            part = array[begin : begin + _ROWS]
            cells = [_texts(column, column.of(part)) for column in self._columns]
            self._csv.writerows(zip(*cells, strict=True))

    def end(self, conditions: Conditions) -> None:
        self._note(conditions, ENDING)
        self._text.flush()

    def close(self) -> None:
        # What is left in it is of no use any more: its file may be one that takes no more.
        with suppress(OSError):
            self._text.detach()

    def _note(self, conditions: Conditions, names: Iterable[str]) -> None:
        for name in names:
            self._text.write(f"# {name}: {json.dumps(getattr(conditions, name))}\n")


def read(path: Path) -> tuple[Conditions, Array]:
    values: dict[str, Any] = {}

    def data(lines: Iterable[str]) -> Iterator[str]:
        for line in lines:
            if line.startswith("# "):
                name, _, text = line[2:].partition(": ")
                values[name] = json.loads(text)
            else:
                yield line

    with open(path, encoding="utf-8", newline="") as file:
        rows = csv.reader(data(file))
        heading = next(rows, [])
        conditions = Conditions.of(values)
        dtype, declared = dtype_of(conditions), columns(conditions)
        if heading != [column.name for column in declared]:
            raise ValueError("its heading has other columns than its layout")
        parts: list[Array] = []
        while some := list(itertools.islice(rows, _ROWS)):
            part = numpy.zeros(len(some), dtype)
            for column, texts in zip(declared, zip(*some, strict=True), strict=True):
                column.store(part, _values(column, texts))
            parts.append(part)
    # Those at the end are there by now.
    conditions = dataclasses.replace(conditions, **{n: values[n] for n in ENDING if n in values})
    array = numpy.zeros(sum(map(len, parts)), dtype)
    # Into an array of the dtype: concatenate() makes one without its padding.
    return conditions, numpy.concatenate(parts, out=array) if parts else array


def _texts(column: Column, values: Array) -> list[Any]:
    if column.enum:
        return names_of(column.enum, values)
    match column.dtype.kind:
        case "V":
            return [value.hex() for value in values.tolist()]
        case "b":
            return list(values.view(numpy.uint8).tolist())
        case "f" if column.dtype.itemsize == 4:
            # As a Python float it would have the digits of a double.
            return list(values.astype("U32").tolist())
        case _:
            return list(values.tolist())


def _values(column: Column, texts: Iterable[str]) -> Array:
    if column.enum:
        return numpy.array(numbers_of(column.enum, texts), column.dtype)
    match column.dtype.kind:
        case "V":
            return numpy.array([bytes.fromhex(text) for text in texts], column.dtype)
        case "f":
            return numpy.array([float(text) for text in texts], column.dtype)
        case _:
            return numpy.array([int(text) for text in texts], column.dtype)
