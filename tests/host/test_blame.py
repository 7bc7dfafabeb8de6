"""What the text of a trace is read as, and how a late tick is printed."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest
import rtshm
from rtshm.cli.blame import LINES, page
from rtshm.culprit import late_tick

if TYPE_CHECKING:
    from pathlib import Path

    from rtshm import LateTick

HEAD = "# tracer: nop\n#\n#           TASK-PID     CPU#  |||||  TIMESTAMP  FUNCTION\n"
TICK = "rtshm_tick: region=motor tick=7 value=0 lateness_ns={late} ready=0"


def read(
    events: str, stack: str = "", late: int = 50_000, lead_ns: int = 0, entered: int = 100
) -> LateTick:
    """A tick of motor at 10.000100 s, in this process, after these events: `us name: text`.

    Its interrupt came at `entered` us.
    """

    def line(event: str) -> str:
        us, _, text = event.strip().partition(" ")
        return f"       my prog-2-71      [000] d.h1.    10.{int(us):06}: {text}\n"

    now = "hrtimer_expire_entry: hrtimer=0 function=rtshm_tick [rtshm] now=1"
    own = [line(f"{entered} local_timer_entry: vector=236"), line(f"100 {now}")]
    tick = line(f"103 {TICK.format(late=late)}")
    frames = ["rtshm_tick+0x1/0x2 [rtshm]", "asm_sysvec_apic_timer_interrupt+0x1a/0x20"]
    frames += stack.split("\n") if stack else []
    later = [
        line("150 rtshm_tick: region=motor tick=8 value=0 lateness_ns=60000 ready=0"),
        line("150 <stack trace>"),
        " => asm_sysvec_apic_timer_interrupt+0x1a/0x20\n => wrong+0x1/0x2\n",
    ]
    traced = [line("103 <stack trace>"), *(f" => {frame}\n" for frame in frames)]
    events_ = map(line, filter(str.strip, events.splitlines()))
    stacks = HEAD + "".join([tick, *traced, *later])
    trace = HEAD + "".join([*events_, *own, tick, line("104 local_timer_exit: v=1"), later[0]])
    return late_tick(stacks, lambda cpu: {0: trace}[cpu], lead_ns)


WRITE = """\
_raw_spin_unlock_irqrestore+0x1b/0x40
guilty+0x10/0x40 [my_driver]
ksys_write+0x5/0x60
__x64_sys_pwrite64+0x5/0x60
do_syscall_64+0x5/0x60
entry_SYSCALL_64_after_hwframe+0x5/0x60"""


def test_function_is_the_one_that_kept_interrupts_off_and_its_call_is_named() -> None:
    late = read(
        "0 sched_switch: prev_comm=a prev_pid=1 ==> next_comm=my prog-2 next_pid=71 x=1", WRITE
    )
    assert (late.kind, late.by, late.call) == ("function", "guilty [my_driver]", "pwrite64")
    assert (late.number, late.lateness_ns, late.cpu) == (7, 50_000, 0)
    assert (late.process, late.pid, late.softirq) == ("my prog-2", 71, "")
    assert late.stack == tuple(WRITE.split("\n"))
    process, interrupt = late.timeline[0], late.timeline[1:]
    assert (process.begin_ns, process.end_ns, process.name) == (-100_000, 0, "my prog-2 (71)")
    assert interrupt == ()


def test_function_that_enables_interrupts_for_its_caller_is_not_to_blame() -> None:
    assert read("", "finish_task_switch.isra.0+0x9/0xf\n__schedule+0x4/0xb").by == "__schedule"


def test_function_that_was_only_interrupted_is_not_to_blame() -> None:
    """Most of the delay is after the entry of the interrupt, as exactly as events tell."""
    late = read("", WRITE, late=3_400, entered=98)
    assert (late.kind, late.by, late.call) == ("none", "", "")
    assert late.stack == tuple(WRITE.split("\n"))
    assert page(late)[1] == (
        "by       nobody: the interrupt of the tick came in time, and was most of the delay itself"
    )
    assert read("", WRITE, late=7_000, entered=98).by == "guilty [my_driver]"


def test_page_fault_is_named_and_a_call_around_it_first() -> None:
    fault = "clear_page+0x1/0x2\nexc_page_fault+0x1/0x2\nasm_exc_page_fault+0x1/0x2"
    assert read("", fault).call == "page fault"
    assert read("", f"{fault}\n__x64_sys_read+0x1/0x2").call == "read"


@pytest.mark.parametrize(
    ("events", "kind", "by"),
    [
        (
            "40 irq_handler_entry: irq=24 name=virtio0 input\n95 irq_handler_exit: irq=24 ret=1",
            "interrupt",
            "irq 24 virtio0 input",
        ),
        (
            "40 call_function_entry: vector=252\n95 call_function_exit: vector=252",
            "interrupt",
            "call_function",
        ),
        (
            "40 local_timer_entry: vector=236\n"
            "41 hrtimer_expire_entry: hrtimer=1 function=tick_nohz_handler now=1\n"
            "95 hrtimer_expire_exit: hrtimer=1\n96 local_timer_exit: vector=236",
            "timer",
            "tick_nohz_handler",
        ),
        (
            "40 hrtimer_expire_entry: hrtimer=1 function=rtshm_tick [rtshm] now=1\n"
            "94 rtshm_tick: region=pump tick=3 value=0 lateness_ns=1 ready=0\n"
            "95 hrtimer_expire_exit: hrtimer=1",
            "timer",
            "rtshm_tick of pump",
        ),
        ("9 cpu_idle: state=2 cpu_id=0\n98 cpu_idle: state=4294967295 cpu_id=0", "idle", "state 2"),
        ("9 cpu_idle: state=1 cpu_id=0", "idle", "state 1"),
        # Each took less than half of the delay, or ended before the tick was due.
        ("60 call_function_entry: v=1\n80 call_function_exit: v=1", "unknown", ""),
        ("10 call_function_entry: v=1\n50 call_function_exit: v=1", "unknown", ""),
    ],
)
def test_cause_is_what_used_up_the_delay(events: str, kind: str, by: str) -> None:
    late = read(events)
    assert (late.kind, late.by) == (kind, by)


def test_delay_begins_with_the_lead() -> None:
    events = "0 call_function_entry: v=1\n60 call_function_exit: v=1"
    assert read(events, late=40_000).kind == "unknown"
    assert read(events, late=40_000, lead_ns=60_000).by == "call_function"


def test_softirq_around_the_function_is_named() -> None:
    late = read("10 softirq_entry: vec=1 [action=TIMER]", "expire+0x1/0x2\nrun_timers+0x1/0x2")
    assert (late.kind, late.by, late.softirq) == ("function", "expire", "TIMER")
    assert (
        read("1 softirq_entry: vec=1 [action=TIMER]\n9 softirq_exit: vec=1 [action=TIMER]").softirq
        == ""
    )


def test_ends_without_a_beginning_and_beginnings_without_an_end_do_no_harm() -> None:
    late = read(
        "1 softirq_exit: vec=9 [action=RCU]\n2 cpu_idle: state=4294967295 cpu_id=0\n"
        "3 softirq_entry: vec=1 [action=TIMER]\n"
        "4 sched_switch: prev_comm=a prev_pid=1 ==> next_comm=swapper/0 next_pid=0 x=1"
    )
    assert [(span.kind, span.name, span.end_ns) for span in late.timeline] == [
        ("process", "my prog-2 (71)", -96_000),
        ("softirq", "TIMER", -96_000),
        ("process", "idle", 0),
    ]


def test_page_has_the_facts_and_the_time_line() -> None:
    events = (
        "9 softirq_entry: vec=1 [action=TIMER]\n"
        "40 call_function_entry: v=1\n49 call_function_exit: v=1"
    )
    assert page(read(events, WRITE)) == [
        "motor: tick 7 was 50.0 us late, cpu 0",
        "by       guilty [my_driver], which kept interrupts off",
        "in       pwrite64",
        "softirq  TIMER",
        "process  my prog-2 (71)",
        f"stack    {WRITE}".replace("\n", "\n         "),
        "",
        "US BEFORE      US LONG  WHAT THE CPU DID",
        "       91  to the tick  process my prog-2 (71)",
        "       91  to the tick    softirq TIMER",
        "       60            9      interrupt call_function",
        "       50               the tick was due",
    ]


def test_page_has_the_last_lines_of_a_long_time_line() -> None:
    events = "".join(f"{n} a_entry: v=1\n{n} a_exit: v=1\n" for n in range(90))
    printed = page(read(events))
    assert printed[1] == (
        "by       nothing that the kernel traces: firmware (SMI), a hypervisor, or several in turn"
    )
    assert printed[-1] == f"({92 - LINES} earlier left out: --json and -o have all)"
    assert len(printed) == 1 + 2 + 1 + 1 + LINES + 1


def test_file_for_trace_cmd_is_refused_without_it(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("PATH", "")
    monkeypatch.chdir(tmp_path)
    words = "late.dat: there is no trace-cmd to write it: apt-get install trace-cmd; "
    with pytest.raises(rtshm.ProgramError, match=re.escape(words)):
        rtshm.blame("motor", "20us", files=["late.txt", "late.dat"])
