"""A recording as .csv, which needs no options to be read, and FILE.json with the conditions.

An enum is its name, flags are names with | between them, a bool is true or
false, bytes are hexadecimal after an x, and a float has the fewest digits that
give the same float again. Where another region than the row's has a column,
the cell is empty.
"""

from __future__ import annotations

import csv
import io
import json
import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy

from rtshm.recording.columns import Rows, headings, names_of, numbers_of, split
from rtshm.recording.conditions import Conditions

if TYPE_CHECKING:
    from rtshm.recording.columns import Array, Column
    from rtshm.recording.sink import Sink

_ROWS = 1 << 14
# For what is known at the end, which then needs no room on the disk that is not there.
_ROOM = 256


def beside(path: Path) -> Path:
    """The file with the conditions."""
    return path.with_name(path.name + ".json")


class Writer:
    def __init__(
        self, sink: Sink, begun: Sequence[Conditions], path: Path | None, force: bool
    ) -> None:
        self._sink = sink
        self._begun = begun
        self._headings = headings(begun)
        self._beside = beside(path) if path else None
        if self._beside:
            self._beside.open("w" if force else "x").close()
            self._note(begun, _ROOM * len(begun))
        names = ["region"] if len(begun) > 1 else []
        self._rows([[*names, *(each.name for each in self._headings)]])

    def write(self, parts: Sequence[tuple[int, Array]]) -> None:
        rows = Rows(parts)
        cells = []
        if len(self._begun) > 1:
            cells.append([self._begun[number].region for number in rows.regions])
        for heading in self._headings:
            values, known = rows.of(heading)
            texts = _texts(heading, values)
            if known is not None:
                texts = [text if has else "" for text, has in zip(texts, known, strict=True)]
            cells.append(texts)
        self._rows(zip(*cells, strict=True))

    def end(self, conditions: Sequence[Conditions], *, whole: bool) -> None:
        if self._beside:
            self._note(conditions, 0)

    def _rows(self, rows: Any) -> None:
        text = io.StringIO()
        csv.writer(text, lineterminator="\n").writerows(rows)
        self._sink.write(text.getvalue().encode())

    def _note(self, conditions: Sequence[Conditions], room: int) -> None:
        assert self._beside
        text = json.dumps([each.asdict() for each in conditions], indent=1)
        with open(self._beside, "r+b", 0) as file:
            # Over what is there, and blanks over what is longer.
            file.write(text.encode().ljust(max(len(text) + room, os.fstat(file.fileno()).st_size)))
            os.fsync(file.fileno())


def read(path: Path) -> Iterator[list[Conditions] | tuple[int, Array]]:
    with open(path, "rb") as file:
        found = [Conditions.of(values) for values in json.loads(beside(path).read_text())]
        lines = (line.decode("utf-8-sig") for line in file)
        # The line that was cut off last is none.
        rows = csv.reader(line for line in lines if line.endswith("\n") and line.strip())
        declared = headings(found)
        several = len(found) > 1
        names = ["region"] if several else []
        if next(rows, None) != [*names, *(each.name for each in declared)]:
            raise ValueError(f"its heading does not have the columns of {beside(path).name}")
        yield found
        regions = {each.region: number for number, each in enumerate(found)}

        def parts(some: list[list[str]]) -> list[tuple[int, Array]]:
            texts = list(zip(*some, strict=True))
            which = [regions[name] for name in texts.pop(0)] if several else [0] * len(some)
            pairs = zip(declared, texts, strict=True)
            values = [(heading, _values(heading, each)) for heading, each in pairs]
            return split(found, numpy.array(which), values)

        some: list[list[str]] = []
        try:
            for row in rows:
                some.append(row)
                if len(some) == _ROWS:
                    yield from parts(some)
                    some = []
            if some:
                yield from parts(some)
        except (ValueError, csv.Error):
            # One after the other, up to the one that is none.
            for row in some:
                yield from parts([row])
            raise
        if found[0].ended:
            yield found


def _texts(column: Column, values: Array) -> list[Any]:
    if column.enum:
        return names_of(column.enum, values)
    match column.dtype.kind:
        case "V":
            return [f"x{value.hex()}" for value in values.tolist()]
        case "b":
            return ["true" if value else "false" for value in values.tolist()]
        case "f":
            # Of an f4 those of its own: as a Python float it has the digits of a double.
            texts = values.astype("U32" if column.dtype.itemsize == 4 else "O").tolist()
            return [text if text == text and text != "nan" else "NaN" for text in texts]
        case _:
            return list(values.tolist())


def _values(column: Column, texts: Sequence[str]) -> Array:
    if column.enum:
        return numpy.array(numbers_of(column.enum, [text or "0" for text in texts]), column.dtype)
    match column.dtype.kind:
        case "V":
            return numpy.array([bytes.fromhex(text[1:]) for text in texts], column.dtype)
        case "b":
            return numpy.array([text == "true" for text in texts])
        case "f":
            return numpy.array([float(text or 0) for text in texts], column.dtype)
        case _:
            return numpy.array([int(text or 0) for text in texts], column.dtype)
