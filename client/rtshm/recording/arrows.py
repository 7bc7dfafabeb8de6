"""A recording as .arrows: a stream of Arrow's, whose schema has the conditions as `rtshm`, in JSON.

A record batch is a chunk. Enums and flags are their numbers; the layout
has the names; bytes are binary of a fixed size. The conditions as they
are at the end are metadata of the last batch, which has no rows.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy
import pyarrow

from rtshm.recording.columns import Rows, dtype_of, headings, names_of, split, wall_clock
from rtshm.recording.conditions import Conditions
from rtshm.recording.sink import Sink

if TYPE_CHECKING:
    from rtshm.recording.columns import Array, Column

KEY = b"rtshm"


class Writer:
    def __init__(
        self, sink: Sink, begun: Sequence[Conditions], _path: Path | None, _force: bool
    ) -> None:
        self._sink = sink
        self._begun = begun
        self._schema = _schema(begun).with_metadata({KEY: _text(begun)})
        none = [(number, numpy.zeros(0, dtype_of(each))) for number, each in enumerate(begun)]
        self._empty = pyarrow.record_batch(_cells(begun, none), schema=self._schema)
        self._stream = self._begin(sink)

    def write(self, parts: Sequence[tuple[int, Array]]) -> None:
        cells = _cells(self._begun, parts)
        self._stream.write_batch(pyarrow.record_batch(cells, schema=self._schema))

    def end(self, conditions: Sequence[Conditions], *, whole: bool) -> None:
        # In a stream of its own, for there may be no room for it, and then there is another.
        last = Sink()
        stream = self._begin(last)
        last.take()
        stream.write_batch(self._empty, custom_metadata={KEY: _text(conditions)})
        stream.close()
        self._sink.write(last.take())

    def _begin(self, sink: Sink) -> Any:
        stream = pyarrow.ipc.new_stream(sink, self._schema)
        # It writes the schema before the first batch.
        stream.write_batch(self._empty)
        return stream


def read(path: Path) -> Iterator[list[Conditions] | tuple[int, Array]]:
    # Not mapped: a file that a recorder cuts where it was mapped ends the process by SIGBUS.
    with open(path, "rb") as file, pyarrow.ipc.open_stream(file) as stream:
        begun = _conditions((stream.schema.metadata or {})[KEY])
        declared = headings(begun)
        yield begun
        while True:
            try:
                batch, metadata = stream.read_next_batch_with_custom_metadata()
            except StopIteration:
                return
            if metadata and KEY in metadata:
                yield _conditions(metadata[KEY])
                return
            regions = (
                batch["region"].indices.to_numpy()
                if len(begun) > 1
                else numpy.zeros(len(batch), "i4")
            )
            values = [(each, _values(each, batch[each.name])) for each in declared]
            yield from split(begun, regions, values)


def table(content: Sequence[tuple[Conditions, Array]]) -> pyarrow.Table:
    """All samples with `time` before them; enums are dictionaries of the names."""
    begun = [conditions for conditions, _ in content]
    parts = [(number, array) for number, (_, array) in enumerate(content)]
    # One clock for all: of each region the two clocks were read at another moment.
    times = [wall_clock(begun[0], array) for _, array in content]
    order = numpy.argsort(
        numpy.concatenate([array["time_ns"] for _, array in parts]), kind="stable"
    )
    time = pyarrow.array(numpy.concatenate(times)[order], pyarrow.timestamp("ns", "UTC"))
    schema = _schema(begun, names=True)
    whole = pyarrow.table(_cells(begun, parts, names=True), schema=schema)
    return whole.add_column(0, "time", time)


def _text(conditions: Sequence[Conditions]) -> str:
    return json.dumps([each.asdict() for each in conditions])


def _conditions(text: bytes) -> list[Conditions]:
    return [Conditions.of(values) for values in json.loads(text)]


_NAMES = pyarrow.dictionary(pyarrow.int32(), pyarrow.utf8())


def _schema(begun: Sequence[Conditions], *, names: bool = False) -> Any:
    fields = [pyarrow.field("region", _NAMES, False)] if len(begun) > 1 else []
    for heading in headings(begun):
        kind = _NAMES if names and heading.enum else _type(heading)
        missing = heading.region is not None and len(begun) > 1
        fields.append(pyarrow.field(heading.name, kind, missing))
    return pyarrow.schema(fields)


def _cells(
    begun: Sequence[Conditions], parts: Sequence[tuple[int, Array]], *, names: bool = False
) -> list[Any]:
    rows = Rows(parts)
    cells = []
    if len(begun) > 1:
        regions = [conditions.region for conditions in begun]
        cells.append(pyarrow.DictionaryArray.from_arrays(rows.regions, regions))
    for heading in headings(begun):
        values, known = rows.of(heading)
        missing = None if known is None else ~known
        if names and (enum := heading.enum):
            numbers, which = numpy.unique(values, return_inverse=True)
            indices = pyarrow.array(which.astype("i4"), mask=missing)
            cells.append(pyarrow.DictionaryArray.from_arrays(indices, names_of(enum, numbers)))
        elif heading.dtype.kind == "V":
            size = heading.dtype.itemsize
            found = numpy.ascontiguousarray(values).view(f"V{size}").astype(object)
            cells.append(pyarrow.array(found, pyarrow.binary(size), mask=missing))
        else:
            cells.append(pyarrow.array(numpy.ascontiguousarray(values), mask=missing))
    return cells


def _type(column: Column) -> Any:
    if column.dtype.kind == "V":
        return pyarrow.binary(column.dtype.itemsize)
    return pyarrow.from_numpy_dtype(column.dtype)


def _values(column: Column, cells: Any) -> Array:
    if column.dtype.kind == "V":
        size = column.dtype.itemsize
        return numpy.frombuffer(cells.buffers()[1], column.dtype, len(cells), cells.offset * size)
    if cells.null_count:
        cells = cells.fill_null(False if column.dtype.kind == "b" else 0)
    values: Array = cells.to_numpy(zero_copy_only=False)
    return values
