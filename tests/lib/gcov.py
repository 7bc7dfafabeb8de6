"""What gcov counted in the module, for the host: `python3 -m tests.lib.gcov`.

A line for each object of the module: `gcda`, its name, and its counts in base64.
Modules that were unloaded are in the counts, too (gcov_persist in kernel/gcov).
"""

from __future__ import annotations

import base64
from pathlib import Path

GCOV = Path("/sys/kernel/debug/gcov")


def main() -> None:
    for path in sorted(GCOV.rglob("build/kmod/*.gcda")):
        print("gcda", path.stem, base64.b64encode(path.read_bytes()).decode())


if __name__ == "__main__":
    main()
