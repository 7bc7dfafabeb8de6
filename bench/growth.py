"""What grows with the number of regions, of processes that map one, of bytes.

A tick and a publish should not: at most 1.1 times from the first to the last.
"""

from __future__ import annotations

import ctypes
import os
import subprocess
import timeit
from contextlib import contextmanager
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import rtshm

from bench import tick
from bench.figures import INSTRUCTION_NS, seconds

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from bench.figures import Figures

REGIONS = (2, 10, 100, 256)
MAPPERS = (1, 10, 100, 1000)
MIB = 1 << 20
SIZES = (4096, MIB, 64 * MIB, 1024 * MIB)
NEVER = timedelta(hours=1)
CALLS = 2000
ROUNDS = 3
FLAT = 1.1

MODULE = Path(__file__).parents[1] / "rtshm.ko"
PROGRAM = Path(__file__).with_name("programs") / "mappers"
# Modules that use it.
BESIDE = ("rtshm_probe",)
PARAMETERS = b"period_ns=3600000000000 print=0"
SYS_FINIT_MODULE, SYS_DELETE_MODULE = 313, 176


class Costs:
    """Of a tick and of a publish of one region, as something else grows."""

    def __init__(self, control: rtshm.Control, figures: Figures) -> None:
        self._control = control
        self._figures = figures
        self._ticks: list[float] = []
        self._publishes: list[float] = []

    def take(self, what: str, *, size: int = 4096, processes: int = 0) -> None:
        """Of a region of that size, which so many processes map."""

        @contextmanager
        def region(period: timedelta) -> Iterator[Callable[[], int]]:
            self._control.create("grown", period=period, size=size)
            with mapping("grown", processes):
                yield lambda: self._control.get("grown").counters.ticks
            self._control.delete("grown")

        found = tick.instructions(lambda: region(tick.TICK), ROUNDS)
        self._figures.add(f"{what}: a tick", found, "instructions")
        self._ticks.append(found)
        with region(NEVER), rtshm.open("grown") as mapped:
            timer = timeit.Timer("publish(42)", globals={"publish": mapped.publish})
            found = min(timer.repeat(5, CALLS)) / CALLS * 1e9 / INSTRUCTION_NS
        self._figures.add(f"{what}: publish", found, "instructions")
        self._publishes.append(found)

    def flat(self, what: str) -> None:
        for name, found in (("a tick", self._ticks), ("publish", self._publishes)):
            self._figures.add(f"{what}: {name}, last / first", found[-1] / found[0], most=FLAT)


@contextmanager
def mapping(name: str, count: int) -> Iterator[None]:
    """So many processes that map a region."""
    if not count:
        yield
        return
    command = [str(PROGRAM), f"/dev/rtshm/{name}", str(count)]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert process.stdin and process.stdout
    with process:
        assert process.stdout.readline() == b"mapped\n"
        yield
        process.stdin.close()


def regions(control: rtshm.Control, figures: Figures) -> None:
    costs = Costs(control, figures)
    there = 1
    for wanted in REGIONS:
        # The default region is there, and the one that is looked at will be.
        for number in range(there, wanted - 1):
            control.create(f"r{number}", period=NEVER)
        there = max(there, wanted - 1)
        costs.take(f"{wanted} regions")
        listed = seconds(lambda: list(control.list()), rounds=1)
        figures.add(f"{wanted} regions: list, every item looked at", listed * 1e6, "us")
    costs.flat("regions")
    for number in range(1, there):
        control.delete(f"r{number}")


def mappers(control: rtshm.Control, figures: Figures) -> None:
    costs = Costs(control, figures)
    for count in MAPPERS:
        costs.take(f"{count} processes", processes=count)
    costs.flat("processes")


def sizes(control: rtshm.Control, figures: Figures) -> None:
    costs = Costs(control, figures)
    for size in SIZES:
        what = f"{size >> 10} KiB" if size < MIB else f"{size >> 20} MiB"
        create = partial(control.create, "grown", period=NEVER, size=size)
        figures.add(f"{what}: create", timeit.timeit(create, number=1) * 1e6, "us")
        control.delete("grown")
        costs.take(what, size=size)
    costs.flat("size")


def loading(figures: Figures) -> None:
    """By the system calls: what insmod and rmmod do besides is left out."""
    libc = ctypes.CDLL(None, use_errno=True)

    def call(*arguments: object) -> None:
        if libc.syscall(*arguments) != 0:
            raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))

    loads, unloads = [], []
    subprocess.run(["rmmod", *BESIDE], check=True)
    with MODULE.open("rb") as file:
        load = partial(call, SYS_FINIT_MODULE, file.fileno(), PARAMETERS, 0)
        unload = partial(call, SYS_DELETE_MODULE, b"rtshm", 0)
        unload()
        for _ in range(ROUNDS):
            loads.append(timeit.timeit(load, number=1))
            unloads.append(timeit.timeit(unload, number=1))
        load()
    figures.add("load the module", min(loads) * 1e3, "ms")
    figures.add("unload it", min(unloads) * 1e3, "ms")


def measure(figures: Figures) -> None:
    tick.warm()
    with rtshm.Control() as control:
        regions(control, figures)
        mappers(control, figures)
        sizes(control, figures)
    # The last: the other regions are gone.
    loading(figures)
