"""The tracepoint rtshm:rtshm_tick, read from tracefs."""

from __future__ import annotations

import re
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from tests.lib.waiting import wait_until

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

TRACEFS = Path("/sys/kernel/tracing")
EVENT = TRACEFS / "events/rtshm/rtshm_tick"

_LINE = re.compile(
    r" \[(?P<cpu>\d+)\] .*? (?P<seconds>\d+\.\d+): rtshm_tick: "
    r"region=(?P<region>\S+) tick=(?P<tick>\d+) "
    r"value=(?P<value>-?\d+) lateness_ns=(?P<lateness_ns>-?\d+) ready=(?P<ready>[01])$",
    re.MULTILINE,
)


@dataclass(frozen=True, slots=True)
class Tick:
    region: str
    tick: int
    value: int
    lateness_ns: int
    ready: bool
    cpu: int
    seconds: float
    """CLOCK_MONOTONIC at the event, to the microsecond."""

    @property
    def due_s(self) -> float:
        return self.seconds - self.lateness_ns / 1e9


@contextmanager
def buffers(kib: int) -> Iterator[None]:
    """Empty trace buffers of this size, one a cpu."""
    size = TRACEFS / "buffer_size_kb"
    # "7 (expanded: 1408)" until somebody asks for a size.
    before = size.read_text().split()[0]
    size.write_text(str(kib))
    (TRACEFS / "trace").write_text("")
    try:
        yield
    finally:
        size.write_text(before)


@contextmanager
def tracing(only: str = "") -> Iterator[None]:
    """Record rtshm_tick, all of them or those that the kernel's filter `only` lets through."""
    (TRACEFS / "trace_clock").write_text("mono")
    with buffers(8192):
        (EVENT / "filter").write_text(only or "0")
        (EVENT / "enable").write_text("1")
        try:
            yield
        finally:
            (EVENT / "enable").write_text("0")
            (EVENT / "filter").write_text("0")


def ticks(taken: int | None = None) -> list[Tick]:
    """What was recorded, in the order of time; fails on lost events and on foreign lines.

    A tick takes a value first and is recorded then: with `taken`, wait for the
    record of the tick that took this value.
    """

    def recorded() -> list[Tick]:
        return _parse((TRACEFS / "trace").read_text())

    def with_taken() -> list[Tick]:
        found = recorded()
        return found if any(tick.ready and tick.value == taken for tick in found) else []

    return recorded() if taken is None else wait_until(with_taken, f"a tick that took {taken}")


def at_least(count: int) -> list[Tick]:
    """Wait for this number of ticks; what was recorded by then."""

    def enough() -> list[Tick]:
        found = ticks()
        return found if len(found) >= count else []

    return wait_until(enough, f"{count} ticks")


@contextmanager
def calls(function: str) -> Iterator[Callable[[], int]]:
    """How often a function of the kernel has run since, counted by a probe at its entry."""
    events = TRACEFS / "kprobe_events"
    events.write_text(f"p:rtshm_calls/{function} {function}\n")
    enable = TRACEFS / f"events/rtshm_calls/{function}/enable"

    def hits() -> int:
        # Of the event, and of those that a probe could not see.
        profile = (TRACEFS / "kprobe_profile").read_text()
        (line,) = [line.split() for line in profile.splitlines() if line.split()[0] == function]
        assert line[2] == "0", f"calls of {function} were not counted"
        return int(line[1])

    try:
        enable.write_text("1")
        yield hits
    finally:
        enable.write_text("0")
        # Opened for writing alone, the file forgets its probes.
        events.write_text("")


def _parse(text: str) -> list[Tick]:
    # In overwrite mode the oldest go silently, but for this line.
    written = re.search(r"entries-in-buffer/entries-written: (\d+)/(\d+)", text)
    assert written
    assert written[1] == written[2], "the trace buffer was too small"
    events = [line for line in text.splitlines() if not line.startswith("#")]
    found = [
        Tick(
            match["region"],
            int(match["tick"]),
            int(match["value"]),
            int(match["lateness_ns"]),
            match["ready"] == "1",
            int(match["cpu"]),
            float(match["seconds"]),
        )
        for match in _LINE.finditer(text)
    ]
    foreign = [line for line in events if not _LINE.search(line)]
    assert not foreign, f"events of another text than in tests/lib/ftrace.py: {foreign}"
    assert len(found) == len(events)
    return found
