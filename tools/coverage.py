"""Which lines of the module the tests run: `make coverage`.

The module is built with gcov's counters for a kernel that has gcov, all tests run
there in one machine, and gcov of the compiler that built the module says
which lines were not reached. unreached.toml says why each of them is not.
"""

from __future__ import annotations

import base64
import json
import re
import shutil
import subprocess
import tempfile
import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from tests.lib import payload, suites
from tests.lib.payload import TABLE
from vm.host import image, kbuild
from vm.host.errors import HarnessError
from vm.host.progress import say

if TYPE_CHECKING:
    from collections.abc import Iterable

KERNEL = "6.12-gcov"
VARIABLES = ("GCOV_PROFILE=y",)
DEADLINE_SECONDS = 3600.0
UNREACHED = Path(__file__).with_name("unreached.toml")
# Of the lines that are compiled.
AT_LEAST = 0.95

COUNTS = re.compile(r"gcda (\S+) (\S+)")


@dataclass(frozen=True, slots=True)
class Lines:
    """Of one file: how many are compiled, and those not reached, by number."""

    count: int
    unreached: dict[int, str]


def run(source: Path) -> int:
    """Print the share of lines that were reached, and the others; 1 if it is not as promised."""
    kernel = TABLE[KERNEL]
    command = f"{suites.Suite(KERNEL, 'all', more=True).tests}\npython3 -m tests.lib.gcov"
    done = payload.run(
        command, kernel=KERNEL, source=source, variables=VARIABLES, deadline=DEADLINE_SECONDS
    )
    output = (done.stdout + done.stderr).decode(errors="replace")
    counts = {name: base64.b64decode(data) for name, data in COUNTS.findall(output)}
    if not counts:
        raise HarnessError(f"{output}\ncoverage: no counts; the log is {done.outcome.dmesg}")
    files = image.files(TABLE, kernel)
    built = kbuild.directory_of(kernel, payload.tree(source), files, VARIABLES)
    lines = lines_of(gcov(files, built, counts), source)
    faults = [*report(lines), *suites.failed(output)]
    for fault in faults:
        say(fault)
    return 1 if faults else 0


def gcov(files: image.Files, built: Path, counts: dict[str, bytes]) -> list[dict[str, object]]:
    """What gcov says of each object, as its JSON has it (man gcov)."""
    with tempfile.TemporaryDirectory() as name:
        directory = Path(name)
        for stem, data in counts.items():
            (directory / f"{stem}.gcda").write_bytes(data)
            shutil.copy(built / "kmod" / f"{stem}.gcno", directory)
        command = ["gcov", "--json-format", "--stdout", *(f"/build/{stem}" for stem in counts)]
        done = subprocess.run(
            files.command(command, {directory: "/build"}), stdout=subprocess.PIPE, check=True
        )
    return [json.loads(line) for line in done.stdout.splitlines() if line.startswith(b"{")]


def lines_of(found: Iterable[dict[str, object]], source: Path) -> dict[str, Lines]:
    """By the file's name in the checkout. A header's line counts where any object reaches it."""
    counts: dict[str, dict[int, int]] = {}
    for compiled in found:
        for file in compiled["files"]:  # type: ignore[attr-defined]
            name = re.sub(r"^(?:.*/)?build/", "", file["file"])
            if not name.startswith("kmod/"):
                continue
            of_file = counts.setdefault(name, {})
            for line in file["lines"]:
                number = line["line_number"]
                of_file[number] = max(of_file.get(number, 0), line["count"])
    lines = {}
    for name, of_file in sorted(counts.items()):
        text = (source / name).read_text(encoding="utf-8").splitlines()
        unreached = {
            number: text[number - 1].strip()
            for number, count in sorted(of_file.items())
            if count == 0
        }
        lines[name] = Lines(len(of_file), unreached)
    return lines


def reasons(path: Path = UNREACHED) -> dict[str, dict[str, str]]:
    """By file and line, as the source has it."""
    table: dict[str, dict[str, str]] = tomllib.loads(path.read_text(encoding="utf-8"))
    return table


def report(lines: dict[str, Lines], known: dict[str, dict[str, str]] | None = None) -> list[str]:
    """Print each file's share and what was not reached; what is not as it must be."""
    known = reasons() if known is None else known
    faults = []
    for name, of_file in lines.items():
        reached = of_file.count - len(of_file.unreached)
        print(f"{name:28} {reached:4} of {of_file.count:4} lines")
        for number, text in of_file.unreached.items():
            reason = known.get(name, {}).get(text)
            print(f"    {number:4}: {text}    ({reason or 'no reason is given'})")
            if reason is None:
                faults.append(f"{name}:{number} is not reached, and unreached.toml has no reason")
    count = sum(of_file.count for of_file in lines.values())
    reached = count - sum(len(of_file.unreached) for of_file in lines.values())
    print(f"{'in all':28} {reached:4} of {count:4} lines, {100 * reached / count:.1f} %")
    if reached < AT_LEAST * count:
        faults.append(f"{100 * reached / count:.1f} % of the lines; {100 * AT_LEAST:.0f} must be")
    return faults
