"""The suites that run in guests: which on which kernel, and what each comes to."""

from __future__ import annotations

import functools
import io
import json
import os
import re
import shlex
import time
import tomllib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

from tests.lib import deb, payload, rewritten
from tests.lib.payload import CHECKOUT, TABLE
from vm.host import machine
from vm.host.errors import HarnessError

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path


SUITES = CHECKOUT / "tests/suites.toml"
CHOSEN = os.environ.get("KERNEL", "")
# The stress on KASAN takes half an hour of a processor, which others have, too.
DEADLINE_SECONDS = 5400.0

PYTEST = ("warm", "pytest", "-p", "no:cacheprovider", "--color=no", "--durations=10")

# The suite that has a disk of its own, with what the packages are installed by.
INSTALL = "install"
# The suite that has the package of another processor than the host's.
FOREIGN = "foreign"

# pytest's closing line: "= 41 passed in 12.34s =".
SUMMARY = re.compile(r"=+ (.*) in [\d.]+s.* =+")


class OfKernel(Protocol):
    @property
    def kernel(self) -> str: ...


T = TypeVar("T", bound=OfKernel)


def of_kernel(things: Iterable[T]) -> list[T]:
    """Those of the kernel of $KERNEL, or all."""
    return [thing for thing in things if CHOSEN in ("", thing.kernel)]


@dataclass(frozen=True, slots=True)
class Suite:
    kernel: str
    name: str
    more: bool
    """Whether it is in `make test-all` only."""

    def __str__(self) -> str:
        return f"{self.kernel}-{self.name}"

    @property
    def tests(self) -> str:
        return shlex.join([*PYTEST, *table().arguments[self.name]])

    @property
    def command(self) -> str:
        closing = "python3 -m tests.lib.closing"
        return f"{closing} before || exit\n{self.tests}\nstatus=$?\n{closing} || exit\nexit $status"


@dataclass(frozen=True, slots=True)
class Result:
    """What a suite came to; `faults` is empty for one that is well."""

    suite: Suite
    output: str
    faults: list[str]
    seconds: float
    release: str = ""


@dataclass(frozen=True, slots=True)
class Table:
    """suites.toml."""

    arguments: dict[str, tuple[str, ...]]
    """pytest's, by the name of a suite."""
    test: dict[str, tuple[str, ...]]
    """The suites of `make test`, by kernel."""
    more: dict[str, tuple[str, ...]]
    """Those that `make test-all` adds."""

    def quick(self) -> list[str]:
        """Names of the kernels that `make test` is about."""
        return [*self.test]

    def kernels(self) -> list[str]:
        """Names of the kernels that have suites."""
        return [*dict.fromkeys([*self.test, *self.more])]


@functools.cache
def table(path: Path = SUITES) -> Table:
    raw = tomllib.loads(path.read_text(encoding="utf-8"))
    known = {name: tuple(arguments) for name, arguments in raw["suites"].items()}
    rows: dict[str, dict[str, tuple[str, ...]]] = {"test": {}, "more": {}}
    for kernel, row in raw["kernels"].items():
        if kernel not in TABLE.kernels:
            raise HarnessError(f"{path}: no kernel {kernel!r} in kernels.toml")
        for when, names in row.items():
            if unknown := [name for name in names if name not in known]:
                raise HarnessError(f"{path}: kernel {kernel!r}: no suite {unknown[0]!r}")
            rows[when][kernel] = tuple(names)
    return Table(known, rows["test"], rows["more"])


def all_suites() -> list[Suite]:
    """All suites of the table, the longest first: of kernels to be built, of another processor."""
    ours = table()
    suites = [
        Suite(kernel, name, more)
        for more, rows in ((False, ours.test), (True, ours.more))
        for kernel, names in rows.items()
        for name in names
        if (CHECKOUT / ours.arguments[name][-1]).is_dir()
    ]

    def longest_first(suite: Suite) -> int:
        kernel = TABLE[suite.kernel]
        return 0 if kernel.own else 1 if kernel.processor.foreign else 2

    return sorted(of_kernel(suites), key=longest_first)


def counts(output: str) -> dict[str, int]:
    """What the last closing line of pytest in `output` counts: {"passed": 41}."""
    closing = [match[1] for line in output.splitlines() if (match := SUMMARY.fullmatch(line))]
    if not closing:
        return {}
    return {word: int(number) for number, word in re.findall(r"(\d+) ([a-z]+)", closing[-1])}


def faults(outcome: machine.Outcome, output: str) -> list[str]:
    """Everything that makes a run red, most telling first."""
    found = []
    if outcome.lost is not None:
        found.append(f"machine lost: {outcome.lost}")
    found += [f"splat: {line}" for line in outcome.splats()]
    found += failed(output)
    if not found and outcome.status != 0:
        found.append(f"status {outcome.status}; see the end of the output")
    return found


def failed(output: str) -> list[str]:
    """What pytest's closing line has that is not as it should be."""
    seen = counts(output)
    # A skip would be a promise about this kernel that nobody kept.
    if set(seen) - {"passed", "deselected"} or not seen.get("passed"):
        return [f"tests: {seen or 'no summary'}"]
    return []


def run(suite: Suite) -> Result:
    begin = time.monotonic()
    sink = io.BytesIO()
    own: dict[str, Any] = {}
    extra = rewritten.bytecode(CHECKOUT, table().arguments[suite.name][-1])
    if suite.name == INSTALL:
        own["disk"] = deb.install_image()
        extra |= deb.for_guest(CHECKOUT)
    kernel = TABLE[suite.kernel]
    if suite.name == FOREIGN:
        extra |= deb.for_foreign_guest(CHECKOUT, kernel)
    outcome = machine.run(
        TABLE,
        kernel,
        payload.of(CHECKOUT, kernel, extra=extra),
        suite.command,
        # Few kernels are in the quick tests: their snapshots stay in the cache.
        warm=not suite.more,
        deadline=DEADLINE_SECONDS,
        sinks=machine.Sinks(stdout=sink, stderr=sink),
        **own,
    )
    output = sink.getvalue().decode(errors="replace")
    if outcome.lost is not None:
        output += "\n".join(outcome.log()[-machine.LOST_LINES :]) + "\n"
    output += f"dmesg: {outcome.dmesg}\n"
    seconds = time.monotonic() - begin
    return Result(suite, output, faults(outcome, output), seconds, outcome.release)


if __name__ == "__main__":
    # The kernels that have tests, for a matrix of jobs.
    print(json.dumps(table().kernels()))
