"""What a history costs: to read it, and to keep up with it.

Runs in the guest with the module loaded, in one interpreter: `make bench`. The
machine counts instructions for time there, so that the figures repeat: a second
is 500,000,000 instructions. Each figure is a ratio of two taken in one run, or a
count of samples lost; the limit stands beside it. Exits with 1 if one is not
kept.

    python3 -m bench.history [SECONDS]      of the runs that may lose nothing; 60
"""

from __future__ import annotations

import os
import select
import sys
import time
from contextlib import ExitStack
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import numpy
import rtshm

from bench.figures import Figures, least

if TYPE_CHECKING:
    from collections.abc import Iterator

RECORD_BYTES = 24
DEPTH = 65_536
NEVER = timedelta(hours=1)
TICK = timedelta(microseconds=100)

SAMPLES_PER_SECOND = 2_000_000
OF_ZERO = 3.0


def reading(control: rtshm.Control, figures: Figures) -> None:
    """A full ring, by read_array; and as many bytes of /dev/zero by read(2)."""
    control.create(
        "full", period=TICK, record_depth=DEPTH, record_bytes=RECORD_BYTES, layout="a:f64 b:f64"
    )
    while control.get("full").counters.ticks < DEPTH:
        time.sleep(0.1)
    control.set("full", period=NEVER)
    time.sleep(0.1)
    with rtshm.Samples("full", oldest=True) as samples, Path("/dev/zero").open("rb", 0) as zero:

        def all_of_it() -> None:
            os.lseek(samples.fileno(), 0, os.SEEK_SET)
            assert len(samples.read_array(DEPTH)) == DEPTH

        def zeros() -> None:
            data = numpy.frombuffer(os.read(zero.fileno(), DEPTH * samples.sample_bytes), "u1")
            assert len(data) == DEPTH * samples.sample_bytes

        bulk, of_zero = least(all_of_it), least(zeros)
    control.delete("full")
    rate = DEPTH / bulk
    figures.line(
        f"read_array of {DEPTH} samples of {samples.sample_bytes} bytes, samples/s",
        f"{rate:.0f}",
        f">= {SAMPLES_PER_SECOND}",
        rate >= SAMPLES_PER_SECOND,
    )
    figures.ratio(
        "  its time, of numpy.frombuffer(os.read()) of /dev/zero", bulk / of_zero, OF_ZERO
    )


def polled(samples: list[rtshm.Samples], most: int) -> Iterator[tuple[rtshm.Samples, int, int]]:
    """Whoever has samples, by read_array: it, its first tick and its last."""
    poll = select.poll()
    readers = {reader.fileno(): reader for reader in samples}
    for fd in readers:
        poll.register(fd, select.POLLIN)
    while True:
        for fd, _ in poll.poll():
            array = readers[fd].read_array(most)
            assert (numpy.diff(array["tick"]) == 1).all()
            yield readers[fd], int(array["tick"][0]), int(array["tick"][-1])


def keeping_up(
    control: rtshm.Control, figures: Figures, seconds: float, period: timedelta, readers: int
) -> None:
    """Readers that lose nothing in that time of the guest."""
    control.create("fast", period=period, record_depth=DEPTH, record_bytes=RECORD_BYTES)
    wanted = round(seconds / period.total_seconds())
    watermark = round(0.1 / period.total_seconds())
    first: dict[rtshm.Samples, int] = {}
    seen: dict[rtshm.Samples, int] = {}
    with ExitStack() as files:
        samples = [
            files.enter_context(rtshm.Samples("fast", watermark=watermark)) for _ in range(readers)
        ]
        begin = time.monotonic()
        for reader, begins, ends in polled(samples, DEPTH):
            first.setdefault(reader, begins)
            seen[reader] = ends - first[reader] + 1
            if len(seen) == readers and min(seen.values()) >= wanted:
                break
        took = time.monotonic() - begin
        lost = sum(reader.lost for reader in samples)
    missed = control.get("fast").counters.missed
    control.delete("fast")
    who = "one reader" if readers == 1 else f"{readers} readers"
    name = f"{1 / period.total_seconds() / 1000:.0f} kHz, {who}, {took:.1f} s"
    figures.line(f"{name}: samples for each", str(min(seen.values())))
    figures.line("  lost", str(lost), "0", lost == 0)
    figures.line("  periods without a tick", str(missed))


def main() -> int:
    seconds = float(sys.argv[1]) if len(sys.argv) > 1 else 60.0
    figures = Figures()
    with rtshm.Control() as control:
        reading(control, figures)
        keeping_up(control, figures, seconds, TICK, 1)
        keeping_up(control, figures, seconds, timedelta(milliseconds=1), 8)
    return 0 if figures.kept else 1


if __name__ == "__main__":
    sys.exit(main())
