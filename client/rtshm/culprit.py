"""What a trace says of a late tick: what the cpu did before, and who was in the way."""

from __future__ import annotations

import re
from dataclasses import dataclass, field, replace
from itertools import dropwhile, takewhile
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

BEFORE_NS = 10_000_000
"""What a timeline has of the time before the tick was due."""

_EVENT = re.compile(r"\s*(.+)-(\d+) +\[(\d+)\] +\S+ +(\d+)\.(\d{6}): (\w+): (.*)")
_FRAME = re.compile(r"([^+ ]+)\S*( \[\w+\])?")
# What the interrupt of the tick was entered by: what it interrupted follows in a stack.
_ENTRY = re.compile(r"asm_\w+|el[01][ht]_64_irq(?!_)|handle_exception")
# Functions that enable interrupts for their callers.
_ENABLES = re.compile(
    r"_raw_(?:spin|read|write)_unlock\w*|rt_spin_unlock|__local_bh_enable_ip|finish_task_switch\S*"
)
_CALL = re.compile(r"(?:__(?:x64|ia32|arm64|riscv)_(?:compat_)?|__do_|__se_|k)sys_(\w+)")
_FAULT = re.compile(r"(?:asm_)?exc_page_fault|do_page_fault|do_mem_abort")
# Of the times of events.
_RESOLUTION_NS = 1000
# The state of a cpu that has left its idle state.
_AWAKE = "4294967295"


@dataclass(frozen=True, slots=True)
class Span:
    """What a cpu did for a time. Times are in ns, with the tick at 0, so `begin_ns` is negative."""

    begin_ns: int
    end_ns: int
    """0 if it went on when the tick came."""
    kind: str
    """process, idle, softirq, interrupt or timer."""
    name: str
    depth: int
    """Number of spans around it."""


@dataclass(frozen=True, slots=True)
class LateTick:
    """A late tick, and what delayed its interrupt."""

    region: str
    number: int
    lateness_ns: int
    cpu: int
    kind: str
    """What `by` is: function, interrupt, timer or idle; none if the interrupt of the tick came in
    time, and unknown."""
    by: str
    """Function with module, interrupt, timer function or idle state; "" for none and unknown."""
    call: str
    """The system call that the function ran in, or "page fault"; "" outside of both."""
    softirq: str
    """The softirq that the function ran in; "" outside of one."""
    process: str
    """The process that was on the cpu."""
    pid: int
    """Its number; 0 is the idle process."""
    stack: tuple[str, ...] = field(repr=False)
    """The functions that the interrupt of the tick interrupted, the innermost first."""
    timeline: tuple[Span, ...] = field(repr=False)
    """What the cpu did, from 10 ms before the tick was due, in the order of the beginning."""


class _Event(NamedTuple):
    process: str
    pid: int
    cpu: int
    time_ns: int
    name: str
    text: str

    def word(self, key: str) -> str:
        """The value of a field; behind the name of a function is that of its module."""
        match = re.search(rf"\b{key}=(\S+(?: \[\w+\])?)", self.text)
        return match[1] if match else ""

    @property
    def span(self) -> tuple[str, str]:
        """Kind and name of what it is the entry of."""
        match self.name:
            case "irq_handler_entry":
                return "interrupt", self.text.replace("irq=", "irq ").replace("name=", "")
            case "softirq_entry":
                return "softirq", self.word("action").rstrip("]")
            case "hrtimer_expire_entry" | "timer_expire_entry":
                return "timer", self.word("function")
            case _:
                return "interrupt", self.name.removesuffix("_entry")

    @property
    def next_process(self) -> str:
        """The process that is on the cpu after it."""
        switch = re.search(r"next_comm=(.*) next_pid=(\d+)", self.text)
        process, pid = switch.groups() if switch else (self.process, self.pid)
        return f"{process} ({pid})" if int(pid) else "idle"


def _backwards(text: str) -> Iterator[_Event]:
    """The events of a trace, the last first."""
    for match in filter(None, map(_EVENT.match, reversed(text.splitlines()))):
        process, pid, cpu, whole, micro, name, rest = match.groups()
        yield _Event(process, int(pid), int(cpu), int(whole + micro) * 1000, name, rest)


def late_tick(stacks: str, trace: Callable[[int], str], lead_ns: int) -> LateTick:
    """Read the kernel's text of two traces, the second by the number of a cpu.

    The first has late ticks with their stacks, the second all events around the first of them.
    """
    *_, tick = _backwards(stacks)
    late_ns = int(tick.word("lateness_ns"))
    since_ns = tick.time_ns - late_ns - lead_ns - BEFORE_NS
    events = dropwhile(lambda event: event.text != tick.text, _backwards(trace(tick.cpu)))
    before = [*takewhile(lambda event: event.time_ns > since_ns, events)][:0:-1]
    timeline = _timeline(before, tick.time_ns)
    _, _, after = stacks.partition("<stack trace>\n")
    frames = takewhile(lambda line: line.startswith(" => "), after.splitlines())
    entered = dropwhile(lambda frame: not _ENTRY.match(frame), (frame[4:] for frame in frames))
    stack = [*entered][1:]
    kind, by = _who(timeline, stack, late_ns + lead_ns)
    return LateTick(
        region=tick.word("region"),
        number=int(tick.word("tick")),
        lateness_ns=late_ns,
        cpu=tick.cpu,
        kind=kind,
        by=by,
        call="" if kind == "none" else _call(stack),
        softirq=next((s.name for s in timeline if s.kind == "softirq" and not s.end_ns), ""),
        process=tick.process,
        pid=tick.pid,
        stack=tuple(stack),
        timeline=tuple(timeline),
    )


def _who(timeline: Sequence[Span], stack: Sequence[str], blocked_ns: int) -> tuple[str, str]:
    """Kind and name of who was in the way for the better half of the time before the tick."""
    for kinds in (("interrupt", "timer"), ("idle",)):
        for span in sorted(timeline, key=lambda span: -span.depth):
            over_ns = span.end_ns - max(span.begin_ns, -blocked_ns)
            # The interrupt that goes on is the tick's own.
            if span.kind in kinds and 2 * over_ns > blocked_ns and (span.end_ns or "idle" in kinds):
                return span.kind, span.name
    own_ns = max(
        (-s.begin_ns for s in timeline if s.kind == "interrupt" and not s.end_ns), default=0
    )
    # Interrupts were on when it came, so what it interrupted kept it off for a moment at most.
    if 2 * (blocked_ns - own_ns - _RESOLUTION_NS) <= blocked_ns:
        return "none", ""
    for frame in filter(None, map(_FRAME.match, stack)):
        if not _ENABLES.fullmatch(frame[1]):
            return "function", frame[1] + (frame[2] or "")
    return "unknown", ""


def _call(stack: Sequence[str]) -> str:
    for frame in reversed(stack):
        if match := _CALL.match(frame):
            return match[1]
        if _FAULT.match(frame):
            return "page fault"
    return ""


def _timeline(events: Iterable[_Event], tick_ns: int) -> list[Span]:
    """The spans of a cpu in the time before a tick; `events` end within the timer of the tick."""
    going: list[tuple[str, int, str, str]] = []
    done: list[Span] = []

    def end(key: str, time_ns: int) -> None:
        """End what goes on and has this key, and all that is within it."""
        while any(each == key for each, *_ in going):
            ended, begin_ns, kind, name = going.pop()
            done.append(Span(begin_ns, time_ns, kind, name, len(going)))
            if ended == key:
                break

    for event in events:
        if not going or event.name == "sched_switch":
            end("process", event.time_ns)
            going.append(("process", event.time_ns, "process", event.next_process))
        if event.name == "cpu_idle" and event.word("state") != _AWAKE:
            going.append(("idle", event.time_ns, "idle", f"state {event.word('state')}"))
        elif event.name == "cpu_idle":
            end("idle", event.time_ns)
        elif event.name == "rtshm_tick" and going[-1][2] == "timer":
            going[-1] = (*going[-1][:3], f"rtshm_tick of {event.word('region')}")
        elif event.name.endswith("_entry"):
            going.append((event.name[:-6], event.time_ns, *event.span))
        elif event.name.endswith("_exit"):
            end(event.name[:-5], event.time_ns)
    zero_ns = going.pop()[1] if going and going[-1][2] == "timer" else tick_ns
    end("process", zero_ns)
    return [
        replace(span, begin_ns=span.begin_ns - zero_ns, end_ns=span.end_ns - zero_ns)
        for span in sorted(done, key=lambda span: (span.begin_ns, span.depth))
        if span.begin_ns < zero_ns
    ]
