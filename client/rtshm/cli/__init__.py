"""The command `rtshm`: what the library does, for people."""

from __future__ import annotations

import errno
import io
import re
import sys
from typing import NoReturn

from rtshm.durations import time_text
from rtshm.errors import ExtraError, LayoutError, ProgramError, RefusedError


def main() -> NoReturn:
    """Run the command. Exit status: 0, 1 refused, 2 usage, 130 Control-C."""
    try:
        # Here, so that Control-C during the imports leaves as cleanly.
        from rtshm.cli.commands import run

        sys.exit(run())
    except KeyboardInterrupt:
        sys.exit(130)
    except OSError as error:
        # What could not be written is not tried again at the exit; of memory, since /dev/null
        # cannot be opened everywhere.
        sys.stdout = io.StringIO()
        sys.exit(_refusal(error))
    except MemoryError:
        sys.exit("rtshm: not enough memory (ulimit -v, or the cgroup's memory.max)")
    except (LayoutError, ExtraError, ProgramError) as error:
        sys.exit(_lines(str(error), error))


def _refusal(error: OSError) -> str:
    """Path, reason and errno on one line, the remedy on the next."""
    name = errno.errorcode.get(error.errno or 0, "no errno")
    where = f"{error.filename}: " if error.filename else ""
    words = _in_units(error.strerror or str(error))
    return _lines(f"{where}{words} ({name}, {error.errno})", error)


def _in_units(words: str) -> str:
    """Say what the kernel says of an attribute in ns as the option has it: period: give 100us."""
    attribute, colon, rest = words.partition("-ns: ")
    # The option --start-ns has its unit in its name.
    if not colon or not re.fullmatch(r"[a-z-]+", attribute) or attribute == "start":
        return words
    if rest.startswith("give "):
        rest = re.sub(r"(?<![a-z0-9_])[0-9]+", lambda number: time_text(int(number[0])), rest)
    return f"{attribute}: {rest.replace('-ns', '')}"


def _lines(reason: str, error: Exception) -> str:
    remedy = error.remedy if isinstance(error, RefusedError) else ""
    lines = [reason, *([remedy] if remedy else []), *getattr(error, "__notes__", [])]
    return "\n".join(f"rtshm: {line}" for line in lines)
