"""The bytes of an event: nothing of what the trace buffer held before."""

from __future__ import annotations

import os
from itertools import pairwise
from typing import TYPE_CHECKING

from tests.lib import ftrace
from tests.lib.ftrace import EVENT, TRACEFS
from tests.lib.waiting import wait_until

if TYPE_CHECKING:
    from tests.lib.fixtures import Load

NAME = b"default"
REGION_BYTES = 32
BUFFER_KIB = 64


def field(name: str) -> tuple[int, int]:
    """Offset and size of a field of the event."""
    for line in (EVENT / "format").read_text().splitlines():
        if f" {name};" in line or f" {name}[" in line:
            parts = dict(part.split(":") for part in line.replace("\t", "").split(";")[1:3])
            return int(parts["offset"]), int(parts["size"])
    raise AssertionError(name)


def entries() -> list[bytes]:
    """The events in the buffer of each cpu, from where the name begins to their ends."""
    offset, _ = field("region")
    last, size = field("ready")
    length = last + size - offset
    found = []
    for cpu in sorted(TRACEFS.glob("per_cpu/cpu*")):
        fd = os.open(cpu / "trace_pipe_raw", os.O_RDONLY | os.O_NONBLOCK)
        try:
            while page := os.read(fd, 4096):
                at = page.find(NAME + b"\0")
                while at >= 0:
                    found.append(page[at : at + length])
                    at = page.find(NAME + b"\0", at + length)
        except BlockingIOError:
            pass
        finally:
            os.close(fd)
    return found


def full() -> bool:
    """Whether the buffer of each cpu has lost its oldest events."""
    return all(
        "\noverrun: 0\n" not in stats.read_text() for stats in TRACEFS.glob("per_cpu/cpu*/stats")
    )


def test_event_has_no_bytes_of_older_events(load: Load) -> None:
    load(period_ns=1_000_000, print=0)
    with ftrace.buffers(BUFFER_KIB):
        # Fill the buffers with events of all kinds, then let them be overwritten.
        everything = TRACEFS / "events/enable"
        everything.write_text("1")
        wait_until(full, "events in place of older ones")
        everything.write_text("0")
        (TRACEFS / "trace").write_text("")
        (EVENT / "enable").write_text("1")
        seen: list[bytes] = []

        def more() -> bool:
            seen.extend(entries())
            return len(seen) > 100

        wait_until(more, "100 ticks")
        (EVENT / "enable").write_text("0")
    assert {entry[:REGION_BYTES] for entry in seen} == {NAME.ljust(REGION_BYTES, b"\0")}
    ready, _ = field("ready")
    assert {entry[ready - field("region")[0] :] for entry in seen} == {bytes(4)}


def test_fields_leave_no_gap(load: Load) -> None:
    load(print=0)
    lines = (EVENT / "format").read_text().splitlines()
    sizes = []
    for line in lines:
        if line.strip().startswith("field:"):
            parts = dict(part.split(":", 1) for part in line.replace("\t", "").split(";")[:3])
            sizes.append((int(parts["offset"]), int(parts["size"])))
    for (offset, size), (following, _) in pairwise(sizes):
        assert offset + size == following
    assert sum(sizes[-1]) % 8 == 0, "the end of the entry is padded by the compiler"
