"""What makes the ticks of a machine late, or their readers, and what helps."""

from __future__ import annotations

import enum
import struct
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from rtshm.kernel_files import file_text

if TYPE_CHECKING:
    from rtshm.recording.conditions import Machine

CPUS = Path("sys/devices/system/cpu")
# A read of others is a call into hardware, or as coarse as the scheduler's tick.
GOOD_CLOCKS = {"tsc", "kvm-clock", "hyperv_clocksource_tsc_page", "arch_sys_counter"}
LATE_MODELS = {"none", "voluntary", "none or voluntary"}
# PREEMPT_DYNAMIC says what can be set, and not what is.
GOOD_MODELS = {"full", "lazy", "PREEMPT", "PREEMPT_RT"}
# Microseconds that a cpu may take to wake up.
WAKE_MAX_US = 10


class Level(enum.StrEnum):
    """How bad it is."""

    OK = "ok"
    UNKNOWN = "-"
    """Cannot be told, by this user or before something else is right."""
    WARNING = "warning"
    """Works, but not for all, not after the next kernel, or later than it could."""
    ERROR = "error"
    """Does not work."""


@dataclass(frozen=True, slots=True)
class Finding:
    """What was found of one piece, and what to do about it; "" if there is nothing to do."""

    check: str
    level: Level
    text: str
    remedy: str


OK, UNKNOWN, WARNING, ERROR = Level
Verdict = tuple[Level, str, str]
"""Level, text and remedy of a Finding."""


def timing(machine: Machine, root: Path = Path("/")) -> list[Finding]:
    """What makes ticks, or their readers, late: of a machine with its /proc and /sys in `root`."""
    isolated = _isolated(root)
    verdicts = {
        "preemption": _preemption(machine.preemption),
        "clocksource": _judged(
            machine.clocksource,
            machine.clocksource in GOOD_CLOCKS,
            "slow to read, or coarse",
            "sudo dmesg | grep -i clocksource says why it is not tsc",
        ),
        "governor": _judged(
            machine.governor,
            machine.governor in ("none", "performance"),
            "a cpu that slowed down is late at first",
            "sudo cpupower frequency-set -g performance",
        ),
        "virtualised": _judged(
            machine.virtualization,
            machine.virtualization == "none",
            "ticks are as late as the host lets them be",
            "measure on the machine itself",
        ),
        "isolcpus": _isolation(root, isolated),
        "nohz_full": _scheduler_tick(root),
        "interrupts": _interrupts(root, isolated),
        "c-states": _sleep(root),
    }
    return [Finding(check, *verdict) for check, verdict in verdicts.items()]


def _preemption(model: str) -> Verdict:
    if model not in LATE_MODELS | GOOD_MODELS | {"unknown"}:
        # Neither good nor bad, because it cannot be told which it is.
        text = f"{model}: only root can read which model is set (/sys/kernel/debug/sched/preempt)"
        return UNKNOWN, text, "sudo rtshm doctor"
    return _judged(
        model,
        model in GOOD_MODELS,
        "ticks are on time, but programs that wait for them may wake milliseconds late",
        "boot with preempt=full, or a kernel with PREEMPT_RT",
    )


def _judged(value: str, good: bool, why: str, remedy: str) -> Verdict:
    if good or value == "unknown":
        return OK if good else UNKNOWN, value, ""
    return WARNING, f"{value}: {why}", remedy


def cpus_of(text: str) -> set[int]:
    """Return the cpus of a list such as 0-2,5."""
    found: set[int] = set()
    for part in text.split(","):
        first, _, last = part.strip().partition("-")
        if first.isdigit():
            found.update(range(int(first), int(last or first) + 1))
    return found


def _isolated(root: Path) -> set[int] | None:
    """The cpus that isolcpus= keeps free of tasks; None if that cannot be read."""
    try:
        return cpus_of((root / CPUS / "isolated").read_text())
    except OSError:
        return None


def _isolation(root: Path, isolated: set[int] | None) -> Verdict:
    if isolated is None:
        return UNKNOWN, f"/{CPUS}/isolated cannot be read", ""
    if isolated:
        text = f"{_listed(isolated)}: no other task keeps readers there from running at once"
        return OK, text, ""
    if len(cpus_of(file_text(root / CPUS / "online"))) == 1:
        text = "this machine has one cpu: a reader there may wait until another task gives way"
        return WARNING, text, ""
    text = "no cpu is isolated: other tasks share each, and a reader may wait until one gives way"
    return WARNING, text, "boot with isolcpus=managed_irq,domain,N, and make regions with --cpu N"


def _scheduler_tick(root: Path) -> Verdict:
    if not (root / CPUS).is_dir():
        return UNKNOWN, f"/{CPUS} cannot be read", ""
    late = "the scheduler ticks up to 1000 times a second, and a tick due then waits some us"
    try:
        free = cpus_of((root / CPUS / "nohz_full").read_text())
    except FileNotFoundError:
        remedy = "use a kernel with CONFIG_NO_HZ_FULL, as Debian's"
        return WARNING, f"not in this kernel: {late}", remedy
    except OSError as error:
        return UNKNOWN, f"/{CPUS}/nohz_full: {error.strerror}", ""
    if free:
        text = f"{_listed(free)}: no tick of the scheduler is in the way while one task runs there"
        return OK, text, ""
    return WARNING, f"no cpu: {late}", "boot with nohz_full=N, the isolated cpus"


def _interrupts(root: Path, isolated: set[int] | None) -> Verdict:
    """Where interrupts of devices may run."""
    try:
        numbers = [path for path in (root / "proc/irq").iterdir() if path.name.isdigit()]
        # A folder in it is named after the device that has the interrupt.
        used = [path for path in numbers if any(entry.is_dir() for entry in path.iterdir())]
        where = {}
        for irq in used:
            effective = irq / "effective_affinity_list"
            file = effective if effective.exists() else irq / "smp_affinity_list"
            where[int(irq.name)] = cpus_of(file.read_text())
    except OSError as error:
        return UNKNOWN, f"/proc/irq cannot be read: {error.strerror}", ""
    if isolated is None:
        return UNKNOWN, "it is not known which cpus are isolated", ""
    if not isolated:
        text = (
            f"no cpu is kept free of the {len(where)} interrupts of devices: "
            "a tick waits for a handler that runs on its cpu"
        )
        return WARNING, text, "boot with isolcpus=managed_irq,domain,N"
    if there := sorted(number for number, cpus in where.items() if cpus & isolated):
        text = (
            f"interrupts {', '.join(map(str, there))} may come on an isolated cpu: "
            "a tick there waits for their handlers"
        )
        others = "the numbers of the other cpus"
        remedy = f"as root: echo LIST >/proc/irq/{there[0]}/smp_affinity_list, with {others}"
        return WARNING, text, remedy
    return OK, f"none of a device comes on {_listed(isolated)}", ""


def _sleep(root: Path) -> Verdict:
    """How long the deepest sleep of a cpu takes to end."""
    if not (root / CPUS).is_dir():
        return UNKNOWN, f"/{CPUS} cannot be read", ""
    states = [*(root / CPUS).glob("cpu[0-9]*/cpuidle/state*")]
    if not states:
        driver = file_text(root / CPUS / "cpuidle/current_driver")
        if driver == "none":
            text = "the kernel puts no cpu to sleep; what a host or firmware does is not seen"
            return OK, text, ""
        return UNKNOWN, "the kernel does not say how deep its cpus sleep", ""
    latest, name = 0, ""
    for state in states:
        try:
            latency = int((state / "latency").read_text())
            if int((state / "disable").read_text()):
                continue
        except (OSError, ValueError):
            return UNKNOWN, f"{state.name} of cpuidle cannot be read", ""
        if latency > latest:
            latest, name = latency, file_text(state / "name") or state.name
    limit = _wake_limit(root)
    if latest <= WAKE_MAX_US or (limit is not None and limit <= WAKE_MAX_US):
        held = "" if latest <= WAKE_MAX_US else f", since /dev/cpu_dma_latency is held at {limit}"
        return OK, f"a cpu wakes up within {WAKE_MAX_US} us{held}", ""
    text = f"a cpu that sleeps in {name} takes {latest} us to wake up, and its tick is that late"
    return WARNING, text, f"sudo cpupower idle-set -D {WAKE_MAX_US}, or give regions a --lead"


def _wake_limit(root: Path) -> int | None:
    """The us that a program allows cpus to take to wake up; None if that cannot be read."""
    try:
        return int(struct.unpack("=i", (root / "dev/cpu_dma_latency").read_bytes()[:4])[0])
    except (OSError, struct.error):
        return None


def _listed(cpus: set[int]) -> str:
    return f"cpu {', '.join(map(str, sorted(cpus)))}"
