"""The command behind `make bench`: `python3 -m bench [GROUP...]`.

Boots the machines of MACHINES with an image of their own, one after the other,
and has them take the figures: all, or those of the groups named; the loop's and
some of publishing are taken here. Writes results.json, results.md and
performance.svg into bench/build. Exits with 1 if a figure is beyond its limit.
"""

from __future__ import annotations

import argparse
import dataclasses
import io
import json
import platform
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from bench import loop, publish, summary, table
from bench.figures import Figures, Run
from tests.lib import payload
from tests.lib.payload import CHECKOUT
from vm.host import machine, qemu
from vm.host.errors import HarnessError
from vm.host.programs import Program

if TYPE_CHECKING:
    from collections.abc import Sequence

BUILD = CHECKOUT / "bench/build"

# What a guest has here besides what one for tests has.
MODULES = ("bench/modules/bare",)
# As libbpf's own examples: the headers of this architecture are below its triplet.
BPF = (
    *("clang", "-O2", "-g", "-Wall", "-Werror", "-target", "bpf", "-c"),
    *("-I", "/usr/include/x86_64-linux-gnu"),
)
HEADERS = (*payload.UAPI, payload.STREAMS)
PROGRAMS = (
    Program("bench/programs", "mappers", "mappers.c", payload.CC, HEADERS, "libbpf-dev"),
    Program("bench/programs", "wakes", "wakes.c", payload.CC, HEADERS),
    Program("bench/programs", "peer.bpf.o", "peer.bpf.c", BPF, payload.UAPI, "libbpf-dev"),
)

# What rtshm is compared with, and what compiles it: not in the image that is for tests.
PACKAGES = ("clang", "libbpf-dev", "rt-tests", "stress-ng")
# 598 packages and 1.8 GB: an image of its own.
LINUXCNC = tuple(sorted((*PACKAGES, "linuxcnc-uspace")))
DEADLINE_SECONDS = 1800.0


@dataclass(frozen=True, slots=True)
class Machine:
    kernel: str
    groups: tuple[str, ...]
    icount: bool = True
    packages: tuple[str, ...] = PACKAGES
    memory: str = qemu.MEMORY


MACHINES = (
    Machine("6.12", ("publish", "tick", "history", "control")),
    Machine("6.12", ("lateness", "wakes")),
    # The largest region is 1 GiB.
    Machine("6.12", ("growth",), memory="3G"),
    Machine("6.12-rt", ("lateness", "wakes")),
    Machine("6.12", ("linuxcnc",), packages=LINUXCNC),
    Machine("6.12-rt", ("linuxcnc",), packages=LINUXCNC),
    Machine("6.12", ("publish", "lateness"), icount=False),
)

COMMAND = """
set -e
insmod rtshm.ko period_ns=3600000000000 period_min_ns=10000 print=0
insmod tests/probe/rtshm_probe.ko
insmod bench/modules/bare/rtshm_bare.ko
test -d /sys/kernel/tracing/events || mount -t tracefs none /sys/kernel/tracing
exec python3 -m bench.inside """


def take(wanted: Machine, deadline: float) -> Run | None:
    """What a machine finds; None if it was lost, or did not come to its end."""
    found = io.BytesIO()
    packages = (*payload.SPACE.packages, *wanted.packages)
    rows = dataclasses.replace(
        payload.TABLE, space=dataclasses.replace(payload.SPACE, packages=packages)
    )
    kernel = rows[wanted.kernel]
    outcome = machine.run(
        rows,
        kernel,
        payload.of(CHECKOUT, kernel, table=rows, more_modules=MODULES, more_programs=PROGRAMS),
        COMMAND + " ".join(wanted.groups),
        icount=wanted.icount,
        memory=wanted.memory,
        deadline=deadline,
        sinks=machine.Sinks(stdout=found),
    )
    if machine.report(outcome) != 0 or not found.getvalue():
        return None
    return Run.from_json(json.loads(found.getvalue()))


def here() -> Run:
    """What publishing takes this processor."""
    figures = Figures()
    figures.group = "publish"
    publish.measure_here(figures)
    return Run(
        "host", platform.release(), "native", platform.python_version(), tuple(figures.found)
    )


def conditions() -> dict[str, str]:
    """What the machines ran on. The figures that repeat do not depend on it."""
    version = subprocess.run([qemu.QEMU, "--version"], capture_output=True, text=True, check=True)
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    models = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return {
        "date": time.strftime("%Y-%m-%d", time.gmtime()),
        "host": f"Linux {platform.release()}, {len(models)} cpus: {models[0]}",
        "qemu": version.stdout.splitlines()[0],
    }


def write(facts: dict[str, str], runs: Sequence[Run], path: Path = BUILD) -> None:
    """Write results.json, results.md and performance.svg into `path`."""
    results = {"conditions": facts, "runs": [run.to_json() for run in runs]}
    parts = {
        "What it costs": summary.table(runs),
        "Conditions": table.conditions(facts, runs),
        "Limits": table.limits(runs),
    }
    text = "\n\n".join(f"## {title}\n\n{part}" for title, part in parts.items())
    path.mkdir(exist_ok=True)
    (path / "results.json").write_text(json.dumps(results, indent=1) + "\n")
    (path / "results.md").write_text(f"{text}\n\n## Figures\n\n{table.markdown(runs)}\n")
    (path / "performance.svg").write_text(summary.picture(summary.table(runs)))
    print(f"\n{path}: results.json, results.md, performance.svg")


def main() -> int:
    parser = argparse.ArgumentParser(prog="python3 -m bench", description=__doc__)
    parser.add_argument("groups", nargs="*", help=f"of {', '.join(table.TITLES)}; all if none")
    parser.add_argument("--deadline", type=float, default=DEADLINE_SECONDS, metavar="SECONDS")
    arguments = parser.parse_args()
    if unknown := [group for group in arguments.groups if group not in table.TITLES]:
        parser.error(f"no group {unknown[0]!r}; there are {', '.join(table.TITLES)}")
    wanted = set(arguments.groups or table.TITLES)
    runs = []
    for one in MACHINES:
        if groups := tuple(group for group in one.groups if group in wanted):
            found = dataclasses.replace(one, groups=groups)
            run = take(found, arguments.deadline)
            if run is None:
                print(f"bench: {one.kernel}: {', '.join(groups)}: no figures", file=sys.stderr)
                return 1
            runs.append(run)
    if "publish" in wanted:
        runs.append(here())
    if "loop" in wanted:
        runs.append(loop.run(payload.TABLE))
    print(table.markdown(runs))
    write(conditions(), runs)
    failures = [figure for run in runs for figure in run.failures]
    for figure in failures:
        print(f"bench: {figure.name}: {figure.value} is not {figure.limit}", file=sys.stderr)
    return 1 if failures else 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except HarnessError as error:
        sys.exit(f"bench: {error.args[0]}")
