"""The command `rtshm`: what the library does, for people."""

from __future__ import annotations

import errno
import io
import sys
from typing import NoReturn

from rtshm.errors import ExtraError, LayoutError, RefusedError


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
    except (LayoutError, ExtraError) as error:
        sys.exit(_lines(str(error), error))


def _refusal(error: OSError) -> str:
    """Path, reason and errno on one line, the remedy on the next."""
    name = errno.errorcode.get(error.errno or 0, "no errno")
    where = f"{error.filename}: " if error.filename else ""
    return _lines(f"{where}{error.strerror or error} ({name}, {error.errno})", error)


def _lines(reason: str, error: Exception) -> str:
    remedy = error.remedy if isinstance(error, RefusedError) else ""
    lines = [reason, *([remedy] if remedy else []), *getattr(error, "__notes__", [])]
    return "\n".join(f"rtshm: {line}" for line in lines)
