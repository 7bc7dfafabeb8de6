"""LinuxCNC, to compare: a pin of its hal, its servo thread, its sampler.

Its thread tells by how much each period was longer or shorter than it should be, and
not how late it began; so rtshm's ticks are taken by that here, too.
"""

from __future__ import annotations

import os
import subprocess
import tempfile
import time
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy
import rtshm

from bench.figures import INSTRUCTION_NS
from bench.lateness import LEAD, WAITED, first_ticks, load, recorded
from bench.publish import VALUE, taken

if TYPE_CHECKING:
    from collections.abc import Iterator

    from bench.figures import Figures

PERIOD_NS = 1_000_000
TICKS = 5_000
# Left out of each, as by lateness.
FIRST = first_ticks(PERIOD_NS)
PERCENT = 99.9
# By the lead. Without one, what other code keeps interrupts off for is in both; and a
# thread that is late by as much in every period has no error of a period.
OF_SERVO = {None: 1.0, LEAD: 0.33}
OF_PIN = 1.0
HAL = f"""\
loadrt threads name1=servo period1={PERIOD_NS}
loadrt timedelta
loadrt sampler depth={2 * TICKS} cfg=s
addf timedelta.0 servo
addf sampler.0 servo
net error timedelta.0.current-error sampler.0.pin.0
"""
NEVER = timedelta(hours=1)


@contextmanager
def realtime() -> Iterator[None]:
    """The thread, not yet started, as SCHED_FIFO whatever the kernel."""
    with tempfile.TemporaryDirectory() as directory:
        # Its daemon is another user most of the time, and must be told which.
        os.chmod(directory, 0o777)
        os.environ.update(
            RTAPI_UID="65534",
            RTAPI_FIFO_PATH=f"{directory}/fifo",
            LINUXCNC_FORCE_REALTIME="1",
            HOME=directory,
        )
        script = Path(directory, "hal")
        script.write_text(HAL)
        # Not by a pipe: the daemon would keep it open.
        with Path(directory, "log").open("w+") as log:
            done = subprocess.run(["halcmd", "-f", script], stdout=log, stderr=log, check=False)
            assert done.returncode == 0, Path(log.name).read_text()
            try:
                yield
            finally:
                subprocess.run(["rtapi_app", "exit"], stdout=log, stderr=log, check=False)


def halcmd(*words: str) -> None:
    subprocess.run(["halcmd", *words], check=True, stdout=subprocess.DEVNULL)


def sampled(stream: Any) -> tuple[numpy.ndarray[Any, numpy.dtype[Any]], float]:
    """The errors of `TICKS` periods in ns, and how many samples a second were read."""
    halcmd("start")
    time.sleep((FIRST + TICKS + 100) * PERIOD_NS / 1e9)
    halcmd("stop")
    begin = time.perf_counter()
    errors = numpy.array([stream.read()[0] for _ in range(FIRST + TICKS)])
    return errors[FIRST:], (FIRST + TICKS) / (time.perf_counter() - begin)


def of_rtshm(lead: timedelta | None) -> numpy.ndarray[Any, numpy.dtype[Any]]:
    """The errors of as many periods: the difference of one tick more."""
    times = recorded(PERIOD_NS, TICKS + 1, lead)["time_ns"]
    return numpy.diff(times) - PERIOD_NS


def p999(errors: numpy.ndarray[Any, numpy.dtype[Any]]) -> float:
    return float(numpy.percentile(abs(errors), PERCENT))


def periods(stream: Any, figures: Figures, when: str) -> None:
    """How far off the periods are of a servo thread, of a region, and of one with a lead."""
    errors, rate = sampled(stream)
    theirs = p999(errors)
    figures.add(f"1 kHz, {when}: servo thread, error of a period, p99.9", theirs, "ns")
    for name, lead in (("rtshm", None), (WAITED, LEAD)):
        ours = p999(of_rtshm(lead))
        figures.add(f"1 kHz, {when}: {name}, error of a period, p99.9", ours, "ns")
        figures.add(
            f"1 kHz, {when}: {name} / servo thread",
            ours / theirs,
            most=OF_SERVO[lead],
        )
    figures.add(f"{when}: samples from its sampler, by hal.stream", rate, "1/s")


def measure(figures: Figures) -> None:
    # Only where LinuxCNC is.
    import hal

    with realtime(), rtshm.Control() as control:
        component = hal.component("bench")
        component.newpin("value", hal.HAL_S32, hal.HAL_OUT)
        stream = hal.stream(component, hal.sampler_base, "s")
        component.ready()

        def pin(value: int) -> None:
            component["value"] = value

        control.create("values", period=NEVER)
        with rtshm.open("values") as region:
            found = taken({"publish": (region.publish, VALUE), "pin": (pin, VALUE)})
        for name in ("pin", "publish"):
            called = {"pin": "a pin of LinuxCNC's hal", "publish": "publish next to it"}[name]
            figures.add(called, found[name] * 1e9 / INSTRUCTION_NS, "instructions")
        figures.add("publish / a hal pin", found["publish"] / found["pin"], most=OF_PIN)
        periods(stream, figures, "idle")
        with load():
            periods(stream, figures, "loaded")
