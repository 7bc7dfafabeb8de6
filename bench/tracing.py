"""The tracepoint rtshm:rtshm_tick as a way for history: trace_pipe_raw, decoded into numpy.

The kernel's Documentation/trace/ring-buffer-map.rst and its events/header_page and
events/header_event say how a page is laid out.
"""

from __future__ import annotations

import os
import re
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import numpy

from bench.figures import seconds
from tests.lib.ftrace import EVENT, TRACEFS

if TYPE_CHECKING:
    from collections.abc import Iterator

    Array = numpy.ndarray[Any, numpy.dtype[Any]]

PAGE = os.sysconf("SC_PAGE_SIZE")
HEAD = 16
KILOBYTES = 8192

# Of an event's first word: how many words follow, and the time since the event before.
LENGTH_BITS = 5
TIME_EXTEND = 30
FIELD = re.compile(r"field:.*?(?P<name>\w+)(?:\[\d+\])?;\toffset:(?P<at>\d+);\tsize:(?P<size>\d+);")


@contextmanager
def on() -> Iterator[None]:
    """All ticks into rings of KILOBYTES a cpu."""
    (TRACEFS / "buffer_size_kb").write_text(str(KILOBYTES))
    (TRACEFS / "trace").write_text("")
    (EVENT / "enable").write_text("1")
    try:
        yield
    finally:
        (EVENT / "enable").write_text("0")


def fields() -> tuple[dict[str, int], int]:
    """Where each field of an event begins, and how long an event is with its first word."""
    found = {
        match["name"]: (int(match["at"]), int(match["size"]))
        for match in FIELD.finditer((EVENT / "format").read_text())
    }
    end = max(at + size for at, size in found.values())
    return {name: at for name, (at, _) in found.items()}, 4 + (end + 3) // 4 * 4


def decoded(fd: int, dtype: numpy.dtype[Any]) -> list[Array]:
    """All pages of a cpu, each an array of its events: one read(2) a page."""
    found: list[Array] = []
    while True:
        try:
            page = os.read(fd, PAGE)
        except BlockingIOError:
            return found
        if not page:
            return found
        # Its upper bits are flags.
        length = int.from_bytes(page[8:16], "little") & 0xF_FFFF
        begin = HEAD
        if page[begin] & (1 << LENGTH_BITS) - 1 == TIME_EXTEND:
            begin += 8
        found.append(numpy.frombuffer(page[begin : HEAD + length], dtype))


def rate(samples: int, period_ns: int) -> float:
    """Samples a second into numpy, of the ring of cpu 0, where all ticks are."""
    at, stride = fields()
    dtype = numpy.dtype(
        {
            "names": ["head", "tick", "lateness_ns", "value"],
            "formats": ["u4", "u8", "i8", "i4"],
            "offsets": [0, *(4 + at[name] for name in ("tick", "lateness_ns", "value"))],
            "itemsize": stride,
        }
    )
    with on():
        time.sleep(samples * period_ns / 1e9)
    fd = os.open(TRACEFS / "per_cpu/cpu0/trace_pipe_raw", os.O_RDONLY | os.O_NONBLOCK)
    arrays: list[Array] = []
    try:
        taken = seconds(lambda: arrays.append(numpy.concatenate(decoded(fd, dtype))), rounds=1)
    finally:
        os.close(fd)
    (events,) = arrays
    assert len(events) >= samples // 2
    assert (numpy.diff(events["tick"]) == 1).all()
    return len(events) / taken
