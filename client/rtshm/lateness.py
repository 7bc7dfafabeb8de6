"""What makes the ticks of a machine late, or their readers, and what helps."""

from __future__ import annotations

import struct
from pathlib import Path
from typing import TYPE_CHECKING

from rtshm.findings import Finding, Level
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


def timing(machine: Machine, root: Path = Path("/")) -> list[Finding]:
    """What makes ticks, or their readers, late: of a machine with its /proc and /sys in `root`."""
    isolated = _isolated(root)
    return [
        _preemption(machine.preemption)
        or _judged(
            "preemption",
            machine.preemption,
            machine.preemption not in LATE_MODELS,
            "ticks are on time, but programs that wait for them may wake milliseconds late",
            "boot with preempt=full, or a kernel with PREEMPT_RT",
        ),
        _judged(
            "clocksource",
            machine.clocksource,
            machine.clocksource in GOOD_CLOCKS,
            "slow to read, or coarse",
            "sudo dmesg | grep -i clocksource says why it is not tsc",
        ),
        _judged(
            "governor",
            machine.governor,
            machine.governor in ("none", "performance"),
            "a cpu that slowed down is late at first",
            "sudo cpupower frequency-set -g performance",
        ),
        _judged(
            "virtualised",
            machine.virtualization,
            machine.virtualization == "none",
            "ticks are as late as the host lets them be",
            "measure on the machine itself",
        ),
        _isolation(root, isolated),
        _scheduler_tick(root),
        _interrupts(root, isolated),
        _sleep(root),
    ]


def _preemption(model: str) -> Finding | None:
    """A model that is neither good nor bad, because it cannot be told which it is."""
    if model in LATE_MODELS | GOOD_MODELS | {"unknown"}:
        return None
    text = f"{model}: only root can read which model is set (/sys/kernel/debug/sched/preempt)"
    return Finding("preemption", Level.UNKNOWN, text, "sudo rtshm doctor")


def _judged(check: str, value: str, good: bool, why: str, remedy: str) -> Finding:
    if good or value == "unknown":
        return Finding(check, Level.OK if good else Level.UNKNOWN, value)
    return Finding(check, Level.WARNING, f"{value}: {why}", remedy)


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


def _isolation(root: Path, isolated: set[int] | None) -> Finding:
    if isolated is None:
        return Finding("isolcpus", Level.UNKNOWN, f"/{CPUS}/isolated cannot be read")
    if isolated:
        text = f"{_listed(isolated)}: no other task keeps readers there from running at once"
        return Finding("isolcpus", Level.OK, text)
    if len(cpus_of(file_text(root / CPUS / "online"))) == 1:
        text = "this machine has one cpu: a reader there may wait until another task gives way"
        return Finding("isolcpus", Level.WARNING, text)
    text = "no cpu is isolated: other tasks share each, and a reader may wait until one gives way"
    remedy = "boot with isolcpus=managed_irq,domain,N, and make regions with --cpu N"
    return Finding("isolcpus", Level.WARNING, text, remedy)


def _scheduler_tick(root: Path) -> Finding:
    if not (root / CPUS).is_dir():
        return Finding("nohz_full", Level.UNKNOWN, f"/{CPUS} cannot be read")
    late = "the scheduler ticks up to 1000 times a second, and a tick due then waits some us"
    try:
        free = cpus_of((root / CPUS / "nohz_full").read_text())
    except FileNotFoundError:
        remedy = "use a kernel with CONFIG_NO_HZ_FULL, as Debian's"
        return Finding("nohz_full", Level.WARNING, f"not in this kernel: {late}", remedy)
    except OSError as error:
        return Finding("nohz_full", Level.UNKNOWN, f"/{CPUS}/nohz_full: {error.strerror}")
    if free:
        text = f"{_listed(free)}: no tick of the scheduler is in the way while one task runs there"
        return Finding("nohz_full", Level.OK, text)
    remedy = "boot with nohz_full=N, the isolated cpus"
    return Finding("nohz_full", Level.WARNING, f"no cpu: {late}", remedy)


def _interrupts(root: Path, isolated: set[int] | None) -> Finding:
    """Where interrupts of devices may run."""
    check = "interrupts"
    try:
        numbers = [path for path in (root / "proc/irq").iterdir() if path.name.isdigit()]
        # A folder in it is named after the device that has the interrupt.
        used = [path for path in numbers if any(entry.is_dir() for entry in path.iterdir())]
        where = {int(path.name): cpus_of(_affinity(path)) for path in used}
    except OSError as error:
        return Finding(check, Level.UNKNOWN, f"/proc/irq cannot be read: {error.strerror}")
    if isolated is None:
        return Finding(check, Level.UNKNOWN, "it is not known which cpus are isolated")
    if not isolated:
        text = (
            f"no cpu is kept free of the {len(where)} interrupts of devices: "
            "a tick waits for a handler that runs on its cpu"
        )
        return Finding(check, Level.WARNING, text, "boot with isolcpus=managed_irq,domain,N")
    if there := sorted(number for number, cpus in where.items() if cpus & isolated):
        text = (
            f"interrupts {', '.join(map(str, there))} may come on an isolated cpu: "
            "a tick there waits for their handlers"
        )
        others = "the numbers of the other cpus"
        remedy = f"as root: echo LIST >/proc/irq/{there[0]}/smp_affinity_list, with {others}"
        return Finding(check, Level.WARNING, text, remedy)
    return Finding(check, Level.OK, f"none of a device comes on {_listed(isolated)}")


def _affinity(irq: Path) -> str:
    effective = irq / "effective_affinity_list"
    return (effective if effective.exists() else irq / "smp_affinity_list").read_text()


def _sleep(root: Path) -> Finding:
    """How long the deepest sleep of a cpu takes to end."""
    check = "c-states"
    if not (root / CPUS).is_dir():
        return Finding(check, Level.UNKNOWN, f"/{CPUS} cannot be read")
    states = [*(root / CPUS).glob("cpu[0-9]*/cpuidle/state*")]
    if not states:
        driver = file_text(root / CPUS / "cpuidle/current_driver")
        if driver == "none":
            text = "the kernel puts no cpu to sleep; what a host or firmware does is not seen"
            return Finding(check, Level.OK, text)
        return Finding(check, Level.UNKNOWN, "the kernel does not say how deep its cpus sleep")
    latest, name = 0, ""
    for state in states:
        try:
            latency = int((state / "latency").read_text())
            if int((state / "disable").read_text()):
                continue
        except (OSError, ValueError):
            return Finding(check, Level.UNKNOWN, f"{state.name} of cpuidle cannot be read")
        if latency > latest:
            latest, name = latency, file_text(state / "name") or state.name
    limit = _wake_limit(root)
    if latest <= WAKE_MAX_US or (limit is not None and limit <= WAKE_MAX_US):
        held = "" if latest <= WAKE_MAX_US else f", since /dev/cpu_dma_latency is held at {limit}"
        return Finding(check, Level.OK, f"a cpu wakes up within {WAKE_MAX_US} us{held}")
    text = f"a cpu that sleeps in {name} takes {latest} us to wake up, and its tick is that late"
    remedy = f"sudo cpupower idle-set -D {WAKE_MAX_US}, or give regions a --lead"
    return Finding(check, Level.WARNING, text, remedy)


def _wake_limit(root: Path) -> int | None:
    """The us that a program allows cpus to take to wake up; None if that cannot be read."""
    try:
        return int(struct.unpack("=i", (root / "dev/cpu_dma_latency").read_bytes()[:4])[0])
    except (OSError, struct.error):
        return None


def _listed(cpus: set[int]) -> str:
    return f"cpu {', '.join(map(str, sorted(cpus)))}"
