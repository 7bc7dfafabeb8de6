"""The last whole run of `make test-all`, and the table of kernels on docs/kernels.md."""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING, Any

from tests.lib import suites
from tests.lib.payload import CHECKOUT, TABLE

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

    from tests.lib.suites import Result

RUN = CHECKOUT / "docs/whole-run.json"


def record(results: Iterable[Result], path: Path = RUN) -> None:
    """Keep what a run of all suites came to, with the release of each kernel."""
    found = {
        str(result.suite): {
            "release": result.release,
            "passed": suites.counts(result.output).get("passed", 0),
            "failed": bool(result.faults),
        }
        for result in sorted(results, key=lambda result: str(result.suite))
    }
    run = {"day": time.strftime("%Y-%m-%d"), "suites": found}
    path.write_text(json.dumps(run, indent=1) + "\n")


def last(path: Path = RUN) -> dict[str, Any]:
    """The last whole run; without suites if none is kept."""
    return json.loads(path.read_text()) if path.exists() else {"day": "", "suites": {}}


def markdown(path: Path = RUN) -> Iterator[str]:
    """Yield the lines of the table: a row for each kernel that has suites."""
    run, table = last(path), suites.table()
    day = f"on {run['day']}" if run["day"] else "not recorded"
    yield f"Last whole run: {day}.\n"
    yield "| kernel | what for | `make test` | `make test-all` adds | release | tests passed |"
    yield "|---|---|---|---|---|---|"
    for name in table.kernels():
        test, more = table.test.get(name, ()), table.more.get(name, ())
        of_kernel = [run["suites"].get(f"{name}-{suite}") for suite in (*test, *more)]
        ran = [each for each in of_kernel if each]
        passed = f"{sum(each['passed'] for each in ran):,}" if ran else ""
        cells = (
            f"`{name}`",
            TABLE[name].about,
            ", ".join(test),
            ", ".join(more),
            ran[0]["release"] if ran else "",
            f"{passed}, some failed" if any(each["failed"] for each in ran) else passed,
        )
        yield f"| {' | '.join(cells)} |"
