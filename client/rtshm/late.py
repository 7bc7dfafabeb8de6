"""Find who made a tick late: the kernel's own tracing, stopped after the first late tick."""

from __future__ import annotations

import select
import shutil
import subprocess
import time
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING

from rtshm import tracing
from rtshm.culprit import BEFORE_NS, LateTick, late_tick
from rtshm.durations import nanoseconds, seconds
from rtshm.errors import ProgramError, deleted
from rtshm.paths import CLASS

if TYPE_CHECKING:
    import os
    from collections.abc import Callable, Sequence

    from rtshm.durations import Duration, Timeout

TICK = "rtshm/rtshm_tick"
NEEDED = (
    *(TICK, "sched/sched_switch", "irq/irq_handler_entry", "irq/irq_handler_exit"),
    *("irq/softirq_entry", "irq/softirq_exit"),
    *("timer/hrtimer_expire_entry", "timer/hrtimer_expire_exit"),
)
# Some architectures and kernels lack these.
WHERE_THERE = (
    *("irq_vectors", "nmi/nmi_handler", "power/cpu_idle", "sched/sched_waking"),
    *("timer/timer_expire_entry", "timer/timer_expire_exit"),
)
BUFFER_KIB = 1024
_LOOK_SECONDS = 0.05


def blame(
    region: str,
    above: Duration,
    *,
    files: Sequence[str | os.PathLike[str]] = (),
    timeout: Timeout = None,
    stopped: Callable[[], object] = lambda: False,
) -> LateTick | None:
    """Wait for the first tick of a region that is later than `above`; return what made it late.

    ::

        late = rtshm.blame("motor", "20us", timeout=60)

    `files` get the trace of all cpus around the tick: a name that ends in .dat as
    trace-cmd writes it, for KernelShark; any other as the kernel's text, for Perfetto.
    Returns None if `timeout` passed, or `stopped()` returned true, before a tick was
    late. It traces in instances of its own, which it removes. Raises OSError without
    the rights to trace, if the kernel lacks an event, and if the region does not exist
    or is deleted; ProgramError if a file needs trace-cmd and there is none.
    """
    from rtshm.control import Control

    limit, least_ns = seconds(timeout), nanoseconds(above)
    paths = [Path(file) for file in files]
    for path in paths:
        if _for_trace_cmd(path) and not shutil.which("trace-cmd"):
            raise ProgramError(
                f"{path}: there is no trace-cmd to write it: apt-get install trace-cmd; "
                "a name without .dat gets the kernel's text"
            )
        # Or nobody could write it after a day of waiting.
        path.touch()
    with Control() as control:
        info = control.get(region)
    late = f'region == "{info.name}" && lateness_ns > {least_ns}'
    with ExitStack() as stack:
        # The first has late ticks only, with their stacks; the second has all events.
        stacks = stack.enter_context(tracing.instance("stacks"))
        trace = stack.enter_context(tracing.instance("trace"))
        _arm(stacks, trace, late)
        until = None if limit is None else time.monotonic() + limit
        with (stacks / "trace_pipe").open("rb", buffering=0) as pipe:
            while not select.select([pipe], [], [], _LOOK_SECONDS)[0]:
                if stopped() or (until is not None and time.monotonic() >= until):
                    return None
                if not (CLASS / info.name).exists():
                    raise deleted(region, "no tick was that late")
        tracing.put(trace / "tracing_on", "0")
        found = late_tick(
            (stacks / "trace").read_text(),
            lambda cpu: (trace / f"per_cpu/cpu{cpu}/trace").read_text(),
            info.lead_ns,
        )
        # trace-cmd takes the events out of the buffers.
        for path in sorted(paths, key=_for_trace_cmd):
            _save(trace, path)
        return found


def _arm(stacks: Path, trace: Path, late: str) -> None:
    """Record, without triggers: the kernel warns if a module is unloaded under a trigger."""
    for each, kib in ((stacks, 64), (trace, BUFFER_KIB)):
        tracing.put(each / "trace_clock", "mono")
        tracing.put(each / "buffer_size_kb", str(kib))
    for event in NEEDED:
        tracing.enable(trace, event)
    for event in WHERE_THERE:
        if (trace / "events" / event).exists():
            tracing.enable(trace, event)
    for option in ("stacktrace", "sym-offset"):
        tracing.put(stacks / "options" / option, "1")
    tracing.put(stacks / "events" / TICK / "filter", "lateness_ns < 0")
    tracing.enable(stacks, TICK)
    # Enabling events makes ticks late by itself, and the timeline is to be full.
    time.sleep(2 * BEFORE_NS / 1e9)
    tracing.put(stacks / "events" / TICK / "filter", late)


def _for_trace_cmd(path: Path) -> bool:
    return path.suffix == ".dat"


def _save(trace: Path, path: Path) -> None:
    if not _for_trace_cmd(path):
        path.write_text((trace / "trace").read_text())
        return
    command = ["trace-cmd", "extract", "-B", trace.name, "-o", str(path)]
    done = subprocess.run(
        command, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise ProgramError(f"{path}: trace-cmd cannot write it:\n{done.stderr.strip()}")
