"""Litmus files against the kernel's memory model, by herd7.

A file in `tests/litmus` is a protocol as the module has it, and says which outcome it
expects (`Result: Never`). A line that ends with `// without NAME: OTHER` is a barrier of
it; with OTHER in its place, in all lines of that name, the outcome must be possible.
"""

from __future__ import annotations

import re
import subprocess
import tempfile
from dataclasses import dataclass

from vm.host import linux_source, unpacked
from vm.host.errors import HarnessError

# A stable release may lack it, or have one that is too old.
HERD = unpacked.Program("herdtools7", "sid", "herd7", ("./usr/share/herdtools7",))

WITHOUT = re.compile(r"^(?P<indent>\s*).*// without (?P<name>[\w-]+):[ ]?(?P<other>.*)$", re.M)
RESULT = re.compile(r"^ \* Result: (Never|Sometimes|Always)$", re.MULTILINE)
OBSERVATION = re.compile(r"^Observation \S+ (Never|Sometimes|Always) (\d+) (\d+)$", re.MULTILINE)
FLAG = re.compile(r"^Flag (\S+)$", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Verdict:
    """What herd7 says of the outcome, and whether the model flags more than that."""

    outcome: str
    flags: tuple[str, ...] = ()


def declared(text: str) -> Verdict:
    """What a file says it expects. A flag, such as a data race, is never expected."""
    found = RESULT.findall(text)
    if len(found) != 1:
        raise HarnessError(f"a litmus file has one line ` * Result: ...`, not {len(found)}")
    return Verdict(found[0])


def barriers(text: str) -> list[str]:
    """The names of the barriers that can be taken out of a file."""
    return sorted({match["name"] for match in WITHOUT.finditer(text)})


def without(text: str, name: str) -> str:
    """The text of a file with one of its barriers taken out."""

    def other(match: re.Match[str]) -> str:
        return match["indent"] + match["other"] if match["name"] == name else match[0]

    return WITHOUT.sub(other, text)


def verdict(text: str) -> Verdict:
    """What the kernel's memory model says of a litmus file."""
    library = unpacked.tree(HERD) / "usr/share/herdtools7/herd"
    command = [*unpacked.command(HERD), "-set-libdir", str(library)]
    command += ["-conf", "linux-kernel.cfg"]
    with tempfile.NamedTemporaryFile("w", suffix=".litmus") as file:
        file.write(text)
        file.flush()
        done = subprocess.run(
            [*command, file.name],
            cwd=linux_source.tree() / linux_source.MEMORY_MODEL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )
    found = OBSERVATION.findall(done.stdout)
    # What herd7 does not understand it warns of and leaves out.
    if done.returncode != 0 or len(found) != 1 or "Warning" in done.stdout:
        raise HarnessError(f"{done.stdout.strip()}\nherd7: status {done.returncode}, no verdict")
    return Verdict(found[0][0], tuple(FLAG.findall(done.stdout)))
