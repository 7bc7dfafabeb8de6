"""How late a periodic task runs: by how much 999 of 1000 ticks are late at most.

rtshm's tick, and one that its cpu waits for, compared with a bare hrtimer that does nothing, BPF on
a timer of its own and on perf's cpu-clock, and cyclictest at priority 90; with nothing else
to do, and with each cpu loaded.
"""

from __future__ import annotations

import errno
import json
import os
import subprocess
import tempfile
import time
from contextlib import contextmanager, suppress
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy
import rtshm

from bench import bare, bpf

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from contextlib import AbstractContextManager

    from bench.figures import Figures

    Lateness = numpy.ndarray[Any, numpy.dtype[Any]]

# Ticks of each, at each period: enough for the last of 1000 to be of several.
TICKS = {1_000_000: 5_000, 100_000: 5_000}
# Left out: what makes a timer, its files and its events, is not its tick's.
FIRST_SECONDS = 0.2
PERCENT = 99.9
PRIORITY = 90

# The load, or what the machine still did after its boot, is as it will stay.
SETTLED = 3.0

# rtshm to a bare hrtimer, by kHz.
OF_BARE = {1: 1.05, 10: 1.25}
# Where nothing else runs, and with a lead. Under load a bare hrtimer, which does nothing,
# comes to 0.4 of cyclictest: most of both is what other code keeps interrupts off for.
OF_CYCLICTEST = 0.33
LEAD = timedelta(microseconds=10)
WAITED = "rtshm with a lead of 10 us"


@contextmanager
def load() -> Iterator[None]:
    """Arithmetic, and system calls with the switches between two processes, for each cpu."""
    cpus = str(os.cpu_count())
    command = ["stress-ng", "--quiet", "--timeout", "3600"]
    # Of integers: an emulated processor takes its time for the others.
    command += ["--cpu", cpus, "--cpu-method", "int64", "--pipe", cpus]
    # Its scratch files go where it runs.
    with tempfile.TemporaryDirectory() as directory:
        process = subprocess.Popen(command, cwd=directory)
        try:
            time.sleep(SETTLED)
            yield
            assert process.poll() is None, "stress-ng ended"
        finally:
            process.terminate()
            process.wait()


def first_ticks(period_ns: int) -> int:
    return int(FIRST_SECONDS * 1e9) // period_ns


def recorded(period_ns: int, ticks: int, lead: timedelta | None = None) -> Lateness:
    """The samples of this many ticks of a region, except the first."""
    first = first_ticks(period_ns)
    with rtshm.Control() as control:
        period = timedelta(microseconds=period_ns // 1000)
        control.create("late", period=period, history=first + ticks, lead=lead)
        try:
            time.sleep((first + ticks) * period_ns / 1e9)
            with rtshm.Samples("late", oldest=True) as samples:
                found: Lateness = samples.read_array(first + ticks)
        finally:
            control.delete("late")
    return found[first:]


def of_rtshm(period_ns: int, ticks: int, lead: timedelta | None = None) -> Lateness:
    return recorded(period_ns, ticks, lead)["lateness_ns"].copy()


def of_bare(period_ns: int, ticks: int) -> Lateness:
    first = first_ticks(period_ns)
    with bare.ticking(period_ns, keep=True):
        time.sleep((first + ticks) * period_ns / 1e9)
    return bare.lateness_ns()[first : first + ticks]


def of_program(
    peer: bpf.Peer,
    ticking: Callable[..., AbstractContextManager[None]],
    counted: Callable[[], int],
    period_ns: int,
    ticks: int,
) -> Lateness:
    """What a program of `peer` keeps while it is `ticking`, as often as was `counted`."""
    first = first_ticks(period_ns)
    with ticking(period_ns, keep=True):
        time.sleep((first + ticks) * period_ns / 1e9)
    found = min(counted(), first + ticks)
    with peer.mapped("lateness_ns", bpf.TICKS * 8) as memory:
        return numpy.frombuffer(memory.read(found * 8), "i8")[first:]


def of_bpf(period_ns: int, ticks: int) -> Lateness:
    with bpf.Peer() as peer:
        return of_program(peer, peer.ticking, peer.ticks, period_ns, ticks)


def of_cpu_clock(period_ns: int, ticks: int) -> Lateness:
    """BPF on perf's cpu-clock, which has no time when it is due: later than its earliest."""
    with bpf.Peer() as peer:
        late = of_program(peer, peer.clocking, peer.clock_ticks, period_ns, ticks)
    earliest: Lateness = late.min()
    return late - earliest


def of_cyclictest(period_ns: int, ticks: int) -> Lateness:
    """Its histogram, with a bin for each nanosecond, as single values; with its first loops."""
    with tempfile.TemporaryDirectory() as directory:
        path = Path(directory, "json")
        command = ["cyclictest", "--mlockall", f"--priority={PRIORITY}", "--quiet", "--nsecs"]
        command += [f"--interval={period_ns // 1000}", f"--loops={ticks}"]
        command += ["--histogram=200000", f"--json={path}"]
        subprocess.run(command, check=True, capture_output=True)
        thread = json.loads(path.read_text())["thread"]["0"]
    bins = {int(ns): count for ns, count in thread["histogram"].items()}
    found: Lateness = numpy.repeat(list(bins), list(bins.values()))
    # What is beyond the last bin is as late as the latest, at most.
    return numpy.append(found, [thread["max"]] * (thread["cycles"] - len(found)))


WAYS: dict[str, Callable[[int, int], Lateness]] = {
    "rtshm": of_rtshm,
    WAITED: partial(of_rtshm, lead=LEAD),
    "bare hrtimer": of_bare,
    "BPF timer": of_bpf,
    "BPF on perf's cpu-clock": of_cpu_clock,
    "cyclictest": of_cyclictest,
}


def at(figures: Figures, period_ns: int, ticks: int, when: str) -> None:
    khz = 1_000_000 // period_ns
    found = {}
    for name, way in WAYS.items():
        try:
            lateness = way(period_ns, ticks)
        except OSError as error:
            # With PREEMPT_RT, the kernel refuses programs with a timer.
            if error.errno != errno.EOPNOTSUPP:
                raise
            figures.absent(f"{khz} kHz, {when}: {name}, p99.9", "the kernel has no such timer")
            continue
        if len(lateness) < 0.8 * ticks:
            why = f"{len(lateness)} ticks came in the time for {ticks}"
            # Where time is the host's, it may be so.
            assert os.environ.get("VM_ACCELERATOR") != "icount", f"{name}: {why}"
            figures.absent(f"{khz} kHz, {when}: {name}, p99.9", why)
            continue
        found[name] = float(numpy.percentile(lateness, PERCENT))
        figures.add(f"{khz} kHz, {when}: {name}, p99.9", found[name], "ns")
        figures.add(f"{khz} kHz, {when}: {name}, latest", float(lateness.max()), "ns")
    limits = {"bare hrtimer": OF_BARE[khz]}
    if when == "idle":
        limits["cyclictest"] = OF_CYCLICTEST
    for name in ("bare hrtimer", "cyclictest", "BPF timer", "BPF on perf's cpu-clock"):
        if {name, "rtshm"} <= found.keys():
            ratio = found["rtshm"] / found[name]
            figures.add(f"{khz} kHz, {when}: rtshm / {name}", ratio, most=limits.get(name))
    if {WAITED, "cyclictest"} <= found.keys():
        ratio = found[WAITED] / found["cyclictest"]
        figures.add(f"{khz} kHz, {when}: {WAITED} / cyclictest", ratio, most=OF_CYCLICTEST)


def measure(figures: Figures) -> None:
    # What they are made of is read from the disk, in interrupts that are long.
    for way in WAYS.values():
        with suppress(OSError):
            way(1_000_000, 50)
    time.sleep(SETTLED)
    for period_ns, ticks in TICKS.items():
        at(figures, period_ns, ticks, "idle")
    with load():
        for period_ns, ticks in TICKS.items():
            at(figures, period_ns, ticks, "loaded")
