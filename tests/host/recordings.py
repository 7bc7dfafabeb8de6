"""Samples made up for tests of what becomes of them, and recordings of them."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy
from rtshm.layout import Layout
from rtshm.recording import Recording
from rtshm.recording.columns import columns, dtype_of
from rtshm.recording.conditions import Conditions
from rtshm.recording.recorder import Recorder

from tests.host.cli import region

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    Array = numpy.ndarray[Any, numpy.dtype[Any]]

TEXT = (
    "speed:f64 gain:f32 mode:u8{off=0,on=1} ok:bool state:u8<run=1,fault=2> _:x1 axes:i32[2] "
    "grid:u8[2][2] pose(x:i16 y:i16) points[2](x:i16 y:i16) id:bytes[4] _:x4 tick:u64 tick_:u64"
)
COLUMNS = [
    "tick", "time_ns", "lateness_ns", "flags", "missed", "some_int", "ready",
    "speed", "gain", "mode", "ok", "state", "axes[0]", "axes[1]",
    "grid[0][0]", "grid[0][1]", "grid[1][0]", "grid[1][1]", "pose.x", "pose.y",
    "points[0].x", "points[0].y", "points[1].x", "points[1].y", "id", "tick__", "tick_",
]  # fmt: skip
PERIOD_NS = 1_000_000


def made(
    text: str, count: int, lost: Sequence[tuple[int, int]] = (), name: str = "motor"
) -> Recording:
    """A tick each PERIOD_NS, less `lost`, each the first and the number of them."""
    record_bytes = 8 + (Layout(text).size if text else 0)
    info = region(name, layout=text, record_bytes=record_bytes, period_ns=PERIOD_NS)
    conditions = Conditions.now(info)
    random = numpy.random.default_rng(count)
    dtype = dtype_of(conditions)
    # Every bit of every field; then what is to be of a kind.
    array = numpy.frombuffer(random.bytes(count * dtype.itemsize), dtype).copy()
    number = numpy.arange(count, dtype="i8")
    array["tick"] = 1 + number
    array["lateness_ns"] = random.lognormal(8, 0.5, count).astype("i8")
    array["time_ns"] = 10**12 + number * PERIOD_NS + array["lateness_ns"]
    array["flags"] %= 2
    array["missed"] = 0
    assert dtype.names
    for name in dtype.names[7:]:
        kind = dtype[name].base.kind
        if kind == "f":
            array[name].T[...] = numpy.sin(number / 100) / 3
        elif kind == "b":
            array[name] = number % 2
        elif name in ("mode", "state"):
            # One value more than there are names of.
            array[name] %= 3 if name == "mode" else 5
    keep = numpy.ones(count, bool)
    for begin, size in lost:
        keep[begin : begin + size] = False
    conditions = replace(
        conditions,
        samples=int(keep.sum()),
        lost=sum(size for _, size in lost),
        ended="all samples are there",
    )
    return Recording.of(conditions, array[keep])


def begun(*recordings: Recording) -> list[Conditions]:
    """The conditions as they were at the beginning."""
    return [replace(each.conditions, samples=0, lost=0, missed=0, ended="") for each in recordings]


def written(recording: Recording, path: Path, parts: int = 3) -> Conditions:
    """Write it as `rtshm record` does, in chunks."""
    with Recorder(path, begun(recording)) as recorder:
        for part in numpy.array_split(recording.array, parts):
            recorder.write(part)
            recorder.flush()
        return recorder.finish(recording.conditions.ended)[0]


def values(conditions: Conditions, array: Any) -> dict[str, list[Any]]:
    return {column.name: column.of(array).tolist() for column in columns(conditions)}


def is_beginning(part: Recording, of: Recording) -> bool:
    """Whether it has the first samples of a recording, and counts what is in them."""
    count = len(part.array)
    whole = Recording.of(of.conditions, of.array[:count])
    return (
        values(part.conditions, part.array) == values(whole.conditions, whole.array)
        and part.conditions.samples == count
    )
