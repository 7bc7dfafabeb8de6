"""`make demo`: a value typed into the client, seen in the kernel's log."""

from __future__ import annotations

import argparse
import itertools
import re
import sys

from tests.lib import payload
from vm import __main__ as vm
from vm.host import machine

VALUE = re.compile(r"rtshm: default: shared mem=(-?\d+)")
TICKS = re.compile(r"rtshm: unloaded after (\d+) ticks")
EXPECTED = [0, 42, 7]


def run(arguments: argparse.Namespace) -> int:
    """Show the demo; the status is 0 only if the log had what it promises."""
    values: list[int] = []
    ticks: list[int] = []

    def line(text: str) -> None:
        if not text.startswith("rtshm: "):
            return
        print(f"kernel: {text}", flush=True)
        if match := VALUE.fullmatch(text):
            values.append(int(match[1]))
        elif match := TICKS.match(text):
            ticks.append(int(match[1]))

    kernel = payload.TABLE[arguments.kernel]
    outcome = machine.run(
        payload.TABLE,
        kernel,
        payload.of(payload.CHECKOUT, kernel, tasks=False),
        "sh demo/value.sh",
        icount=arguments.icount,
        warm=not arguments.cold,
        deadline=arguments.deadline,
        sinks=machine.Sinks(log_line=line),
    )
    status = machine.report(outcome)
    runs = [(value, len(list(group))) for value, group in itertools.groupby(values)]
    if status == 0 and ([value for value, _ in runs] != EXPECTED or len(ticks) != 1):
        print("demo: the log does not have 0, 42, 7 and the closing line", file=sys.stderr)
        status = 1
    seen = ", ".join(f"{value} ({count} times)" for value, count in runs)
    print()
    print(f"kernel       {outcome.release} under {outcome.accelerator.upper()}")
    print(f"values seen  {seen or 'none'}")
    print(f"ticks        {ticks[0] if ticks else 'unknown'}")
    print(f"time         {outcome.seconds:.1f} s, {outcome.boot_seconds:.1f} s of it the boot")
    print(f"log          {outcome.dmesg}")
    print("next         make demo-task: a control loop; make vm: a shell in this machine")
    return status


if __name__ == "__main__":
    parser = argparse.ArgumentParser(prog="python3 -m demo", description=__doc__)
    vm.add_options(parser)
    words = parser.parse_args()
    sys.exit(vm.guarded(lambda: run(words)))
