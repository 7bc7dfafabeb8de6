"""Under which conditions something was recorded: what a figure is worth without them is little."""

from __future__ import annotations

import dataclasses
import os
import re
import time
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from rtshm._version import __version__
from rtshm.kernel_files import file_text

if TYPE_CHECKING:
    from rtshm.control import RegionInfo


@dataclasses.dataclass(frozen=True, slots=True)
class Machine:
    """What of a machine makes ticks and their readers late; see Conditions."""

    preemption: str
    clocksource: str
    virtualization: str
    governor: str

    @classmethod
    def now(cls, root: Path = Path("/")) -> Self:
        """Look at the machine whose /proc and /sys are in `root`."""
        devices = root / "sys/devices/system"
        clocksource = file_text(devices / "clocksource/clocksource0/current_clocksource")
        return cls(
            preemption=preemption(
                file_text(root / "sys/kernel/realtime"),
                file_text(root / "sys/kernel/debug/sched/preempt"),
                os.uname().version,
            ),
            clocksource=clocksource or "unknown",
            virtualization=virtualization(
                file_text(root / "proc/cpuinfo"),
                file_text(root / "sys/class/dmi/id/sys_vendor"),
                file_text(root / "sys/class/dmi/id/product_name"),
            ),
            governor=_governor(devices / "cpu"),
        )


@dataclasses.dataclass(frozen=True, slots=True)
class Conditions:
    """Where and when a recording was made, and how it ended."""

    region: str
    """Name of the region."""
    layout: str
    """The text stored with the region; "" for none."""
    record_bytes: int
    """Bytes from the region's beginning in a sample."""
    period_ns: int
    """Period at the beginning, in ns."""
    started_ns: int
    """CLOCK_REALTIME right before the first sample, in ns since 1970."""
    started_monotonic_ns: int
    """CLOCK_MONOTONIC at the same time, in ns: the samples have this clock."""
    kernel: str
    """Release of the kernel, from uname(2)."""
    preemption: str
    """PREEMPT_RT as /sys/kernel/realtime has it, or the model that /sys/kernel/debug/sched/preempt
    marks; where neither can be read, what the kernel's version (uname -v) says it was built for."""
    clocksource: str
    """Clock source, from /sys/devices/system/clocksource/clocksource0/current_clocksource."""
    virtualization: str
    """"none", or the machine's vendor and product of /sys/class/dmi/id if a cpu of /proc/cpuinfo
    has the flag `hypervisor` or the vendor is QEMU; "yes" if they have no name, "unknown" if
    neither can be read."""
    governor: str
    """Governor of all cpus, from /sys/devices/system/cpu/cpu*/cpufreq/scaling_governor; "none"
    where the kernel does not set the frequency, "unknown" if that cannot be read."""
    version: str
    """Version of this package."""
    fields: tuple[str, ...] = ()
    """The fields of the layout that were recorded; () for all."""
    samples: int = 0
    """Number of samples in the recording."""
    lost: int = 0
    """Samples that were overwritten before they were read: the gaps in the ticks."""
    missed: int = 0
    """Periods without a tick of their own, after the first sample."""
    edge_tick: int | None = None
    """Tick of the edge, for a sweep of the scope."""
    ended: str = ""
    """Reason for the end; "cut off" if the program was killed."""

    @classmethod
    def now(cls, region: RegionInfo, fields: Sequence[str] = ()) -> Self:
        """Return the conditions of a recording of this region that starts now."""
        return cls(
            region=region.name,
            layout=region.layout,
            record_bytes=region.record_bytes,
            period_ns=region.period_ns,
            started_ns=time.time_ns(),
            started_monotonic_ns=monotonic_ns(),
            kernel=os.uname().release,
            version=__version__,
            fields=tuple(fields),
            **dataclasses.asdict(Machine.now()),
        )

    @classmethod
    def of(cls, values: Mapping[str, Any]) -> Self:
        """Make conditions from those of asdict(); ignore keys that a later version added.

        Raises TypeError if one is missing."""
        known = {field.name for field in dataclasses.fields(cls)}
        known_values = {name: value for name, value in values.items() if name in known}
        return cls(**{**known_values, "fields": tuple(values.get("fields", ()))})

    def asdict(self) -> dict[str, Any]:
        """Return the conditions as a dict by name, for of() and for JSON."""
        return {**dataclasses.asdict(self), "fields": list(self.fields)}


def monotonic_ns() -> int:
    """CLOCK_MONOTONIC as the kernel has it and samples, in a time namespace too; in ns."""
    return time.monotonic_ns() - _timens_offset_ns()


@cache
def _timens_offset_ns() -> int:
    match = re.search(r"^monotonic\s+(-?\d+)\s+(\d+)", file_text("/proc/self/timens_offsets"), re.M)
    return int(match[1]) * 10**9 + int(match[2]) if match else 0


def preemption(realtime: str, debug: str, version: str) -> str:
    """The preemption model by the texts of these files, "" for one that cannot be read."""
    if realtime == "1":
        return "PREEMPT_RT"
    # none voluntary (full) lazy
    if marked := re.search(r"\((\w+)\)", debug):
        return marked[1]
    built = re.search(r"\bPREEMPT(_\w+)?\b", version)
    return built[0] if built else "none or voluntary"


def virtualization(cpuinfo: str, vendor: str, product: str) -> str:
    """The virtual machine by the texts of these files, "" for one that cannot be read."""
    flags = re.search(r"^flags\s*:(.*)$", cpuinfo, re.MULTILINE)
    if (flags and "hypervisor" in flags[1].split()) or vendor == "QEMU":
        return " ".join(filter(None, (vendor, product))) or "yes"
    return "none" if flags or vendor else "unknown"


def _governor(cpus: Path) -> str:
    if not cpus.is_dir():
        return "unknown"
    files = [*cpus.glob("cpu[0-9]*/cpufreq/scaling_governor")]
    found = {file_text(file) for file in files}
    return "unknown" if "" in found else ", ".join(sorted(found)) or "none"
