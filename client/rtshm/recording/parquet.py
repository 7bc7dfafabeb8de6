"""A recording as .parquet: the columns, and in the metadata `rtshm`, the conditions in JSON.

Enums and flags are their numbers, of which the layout has the names; bytes are
binary of a fixed size.
"""

from __future__ import annotations

import json
from contextlib import suppress
from typing import TYPE_CHECKING, Any, BinaryIO

import numpy
import pyarrow
import pyarrow.parquet

from rtshm.recording.columns import columns, dtype_of
from rtshm.recording.conditions import Conditions

if TYPE_CHECKING:
    from pathlib import Path

    from rtshm.recording.columns import Array, Column

KEY = b"rtshm"

# Of a row group, whichever comes first: what is kept in memory until it is written.
_ROWS = 1 << 16
_BYTES = 1 << 24


class Writer:
    def __init__(
        self, file: BinaryIO, _path: Path, conditions: Conditions, _dtype: numpy.dtype[Any]
    ) -> None:
        self._columns = columns(conditions)
        self._schema = pyarrow.schema(
            [pyarrow.field(column.name, _type(column), False) for column in self._columns]
        )
        self._file = pyarrow.parquet.ParquetWriter(file, self._schema)
        self._waiting: list[Array] = []
        self._rows = 0

    def write(self, array: Array) -> None:
        # A copy: the array may be the small part of a large one that something was read into.
        self._waiting.append(array.copy())
        self._rows += len(array)
        if self._rows >= _ROWS or self._rows * array.itemsize >= _BYTES:
            self._flush()

    def end(self, conditions: Conditions) -> None:
        self._flush()
        self._file.add_key_value_metadata({KEY: json.dumps(conditions.asdict())})
        self._file.close()

    def close(self) -> None:
        with suppress(OSError):
            self._file.close()

    def _flush(self) -> None:
        if self._waiting:
            array = numpy.concatenate(self._waiting)
            self._waiting, self._rows = [], 0
            cells = [_cells(column, column.of(array)) for column in self._columns]
            self._file.write_table(pyarrow.table(cells, schema=self._schema))


def read(path: Path) -> tuple[Conditions, Array]:
    with pyarrow.parquet.ParquetFile(path) as file:
        metadata = file.metadata.metadata or {}
        if KEY not in metadata:
            raise ValueError("its metadata has no conditions of rtshm")
        conditions = Conditions.of(json.loads(metadata[KEY]))
        array = numpy.zeros(file.metadata.num_rows, dtype_of(conditions))
        declared = columns(conditions)
        begin = 0
        for index in range(file.num_row_groups):
            table = file.read_row_group(index)
            part = array[begin : begin + len(table)]
            begin += len(table)
            for column in declared:
                column.store(part, _values(column, table[column.name]))
    return conditions, array


def _type(column: Column) -> Any:
    if column.dtype.kind == "V":
        return pyarrow.binary(column.dtype.itemsize)
    return pyarrow.from_numpy_dtype(column.dtype)


def _cells(column: Column, values: Array) -> Any:
    values = numpy.ascontiguousarray(values)
    if column.dtype.kind == "V":
        buffers = [None, pyarrow.py_buffer(values.view(numpy.uint8))]
        return pyarrow.FixedSizeBinaryArray.from_buffers(_type(column), len(values), buffers)
    return pyarrow.array(values)


def _values(column: Column, cells: Any) -> Array:
    if column.dtype.kind == "V":
        array = cells.combine_chunks()
        size = column.dtype.itemsize
        return numpy.frombuffer(array.buffers()[1], column.dtype, len(array), array.offset * size)
    values: Array = cells.to_numpy()
    return values
