"""A recording as .mcap: a channel for each region, a message in JSON for each sample.

The log time of a message is CLOCK_REALTIME. Metadata records `rtshm` at the
beginning and at the end have the conditions, a region's as JSON by its name.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy
from mcap.data_stream import RecordBuilder
from mcap.records import Channel, Message, Metadata
from mcap.stream_reader import StreamReader
from mcap.writer import Writer as Library

from rtshm.recording.columns import Rows, dtype_of
from rtshm.recording.conditions import Conditions
from rtshm.recording.rows import objects, schema, store

if TYPE_CHECKING:
    from rtshm.recording.columns import Array
    from rtshm.recording.sink import Sink

NAME = "rtshm"
# Of a record: a greater length comes from a cut or from a failing disk.
_MOST_BYTES = 1 << 28
_ROWS = 1 << 12


class Writer:
    def __init__(
        self, sink: Sink, begun: Sequence[Conditions], _path: Path | None, _force: bool
    ) -> None:
        self._sink = sink
        self._begun = begun
        # A chunk is what one write() has.
        self._library = Library(sink, chunk_size=1 << 40)
        self._library.start(library=f"rtshm {begun[0].version}")
        self._library.add_metadata(NAME, _texts(begun))
        self._channels = []
        for each in begun:
            text = json.dumps(schema(dtype_of(each))).encode()
            number = self._library.register_schema(each.region, "jsonschema", text)
            self._channels.append(self._library.register_channel(each.region, "json", number))

    def write(self, parts: Sequence[tuple[int, Array]]) -> None:
        rows = Rows(parts)
        found = [each for _, array in parts for each in objects(array)]
        # One clock for all: of each region the two clocks were read at another moment.
        begun = self._begun[0]
        for at, region in zip(rows.order.tolist(), rows.regions.tolist(), strict=True):
            sample = found[at]
            time_ns = begun.started_ns + sample["time_ns"] - begun.started_monotonic_ns
            data = json.dumps(sample, separators=(",", ":")).encode()
            self._library.add_message(
                self._channels[region], time_ns, data, time_ns, sample["tick"] & 0xFFFF_FFFF
            )
        self._library.flush()

    def end(self, conditions: Sequence[Conditions], *, whole: bool) -> None:
        if whole:
            self._library.add_metadata(NAME, _texts(conditions))
            self._library.finish()
        else:
            # The indices that finish() writes would not be those of the file.
            builder = RecordBuilder()
            Metadata(NAME, _texts(conditions)).write(builder)
            self._sink.write(builder.end())


def read(path: Path) -> Iterator[list[Conditions] | tuple[int, Array]]:
    with open(path, "rb") as file:
        reader = StreamReader(file, validate_crcs=True, record_size_limit=_MOST_BYTES)
        begun: list[Conditions] = []
        channels: dict[int, int] = {}
        waiting: list[list[dict[str, object]]] = []

        def parts() -> Iterator[tuple[int, Array]]:
            for number, found in enumerate(waiting):
                if found:
                    array = numpy.zeros(len(found), dtype_of(begun[number]))
                    store(array, found)
                    found.clear()
                    yield number, array

        try:
            for record in reader.records:
                if isinstance(record, Metadata) and record.name == NAME:
                    found = [Conditions.of(json.loads(text)) for text in record.metadata.values()]
                    if begun:
                        yield from parts()
                        yield found
                        return
                    begun = found
                    waiting = [[] for _ in begun]
                    yield begun
                elif not begun and not isinstance(record, Channel):
                    continue
                elif isinstance(record, Channel):
                    names = [each.region for each in begun]
                    channels[record.id] = names.index(record.topic)
                elif isinstance(record, Message):
                    region = channels[record.channel_id]
                    waiting[region].append(json.loads(record.data))
                    if len(waiting[region]) >= _ROWS:
                        yield from parts()
        except (Exception, MemoryError):
            if not begun:
                raise
        if not begun:
            raise ValueError("it has no metadata of rtshm")
        yield from parts()


def _texts(conditions: Sequence[Conditions]) -> dict[str, str]:
    return {each.region: json.dumps(each.asdict()) for each in conditions}
