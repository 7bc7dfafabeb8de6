"""What a history costs: to read it, and to keep up with it."""

from __future__ import annotations

import os
import select
import time
from contextlib import ExitStack
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy
import rtshm

from bench import bpf, tracing
from bench.figures import seconds

if TYPE_CHECKING:
    from collections.abc import Iterator

    from bench.figures import Figures

RECORD_BYTES = 24
DEPTH = 65_536
NEVER = timedelta(hours=1)
TICK = timedelta(microseconds=100)
# Of the guest, of each of the runs that may lose nothing.
SECONDS = 60.0

SAMPLES_PER_SECOND = 2_000_000
OF_ZERO = 3.0
OF_BPF = 20.0
BY_BPF = 10_000


def reading(control: rtshm.Control, figures: Figures) -> float:
    """A full ring, by read_array; and as many bytes of /dev/zero by read(2). Samples a second."""
    control.create(
        "full", period=TICK, history=DEPTH, record_bytes=RECORD_BYTES, layout="a:f64 b:f64"
    )
    while control.get("full").counters.ticks < DEPTH:
        time.sleep(0.1)
    control.set("full", period=NEVER)
    time.sleep(0.1)
    with rtshm.Samples("full", oldest=True) as samples, Path("/dev/zero").open("rb", 0) as zero:
        assert samples.sample_bytes == bpf.SAMPLE_BYTES

        def all_of_it() -> None:
            os.lseek(samples.fileno(), 0, os.SEEK_SET)
            assert len(samples.read_array(DEPTH)) == DEPTH

        def zeros() -> None:
            data = numpy.frombuffer(os.read(zero.fileno(), DEPTH * samples.sample_bytes), "u1")
            assert len(data) == DEPTH * samples.sample_bytes

        bulk, of_zero = seconds(all_of_it), seconds(zeros)
    control.delete("full")
    rate = DEPTH / bulk
    figures.add("samples of 56 bytes into numpy", rate, "1/s", least=SAMPLES_PER_SECOND)
    figures.add("  time / as many bytes of /dev/zero", bulk / of_zero, most=OF_ZERO)
    return rate


def by_bpf(figures: Figures, rate: float) -> None:
    """Samples as large, through a BPF ring buffer: by libbpf, which calls back for each."""
    with bpf.Peer() as peer:
        into = bytearray(BY_BPF * bpf.SAMPLE_BYTES)
        consume, end = peer.consumer(into)

        def by_libbpf() -> numpy.ndarray[Any, numpy.dtype[Any]]:
            assert consume() == BY_BPF
            return numpy.frombuffer(into, "u8").reshape(BY_BPF, -1)

        drain = peer.drainer()
        found = []
        for take in (by_libbpf, drain):
            times = []
            for _ in range(3):
                peer.call("fill", BY_BPF)
                begin = time.perf_counter()
                array = take()
                times.append(time.perf_counter() - begin)
                assert (array[:, 0] == numpy.arange(BY_BPF)).all()
            found.append(BY_BPF / min(times))
        end()
    figures.add("samples from a BPF ring buffer, by libbpf", found[0], "1/s")
    figures.add("read_array / BPF ring buffer by libbpf, samples/s", rate / found[0], least=OF_BPF)
    figures.add("samples from a BPF ring buffer, mapped and read by hand", found[1], "1/s")
    figures.add("read_array / BPF ring buffer by hand, samples/s", rate / found[1])


def by_tracing(control: rtshm.Control, figures: Figures, rate: float) -> None:
    """The ticks of a region by its tracepoint, which has the value and no record."""
    period_ns = round(TICK.total_seconds() * 1e9)
    control.create("traced", period=period_ns)
    found = tracing.rate(BY_BPF, period_ns)
    control.delete("traced")
    figures.add("ticks from trace_pipe_raw, decoded by hand", found, "1/s")
    figures.add("read_array / trace_pipe_raw, samples/s", rate / found)


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


def keeping_up(control: rtshm.Control, figures: Figures, period: timedelta, readers: int) -> None:
    """Readers that lose nothing in that time of the guest."""
    control.create("fast", period=period, history=DEPTH, record_bytes=RECORD_BYTES)
    wanted = round(SECONDS / period.total_seconds())
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
    name = f"{1 / period.total_seconds() / 1000:.0f} kHz, {who}"
    figures.add(f"{name}: samples for each", min(seen.values()))
    figures.add(f"{name}: time", took, "s")
    figures.add(f"{name}: lost by all", lost, most=0)
    figures.add(f"{name}: periods without a tick", missed)


def measure(figures: Figures) -> None:
    with rtshm.Control() as control:
        rate = reading(control, figures)
        by_bpf(figures, rate)
        by_tracing(control, figures, rate)
        keeping_up(control, figures, TICK, 1)
        keeping_up(control, figures, timedelta(milliseconds=1), 8)
