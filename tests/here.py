"""The tests of the guest on this very machine: `make test-here`, as root.

They load and unload the module, again and again. Left out, with the reason, is what
needs something that this machine has not, or would change what others on it rely on.
"""

from __future__ import annotations

import argparse
import os
import shlex
import sys
import tempfile
from collections import defaultdict
from pathlib import Path

import pytest

from tests.lib import amounts, module, needs

CHECKOUT = module.CHECKOUT
SUITES = ["tests/module", "tests/client"]


class Chosen:
    """Leaves out what cannot be tested here, and says why."""

    # After -k and -m: what these leave out is not worth a word.
    @pytest.hookimpl(trylast=True)
    def pytest_collection_modifyitems(
        self, config: pytest.Config, items: list[pytest.Item]
    ) -> None:
        kept, left = [], defaultdict(list)
        for item in items:
            why = missing(item)
            if why:
                left[why].append(item)
            else:
                kept.append(item)
        reporter = config.pluginmanager.getplugin("terminalreporter")
        for why, those in sorted(left.items()):
            reporter.write_line(f"test-here: {len(those)} tests left out: {why}")
        items[:] = kept
        config.hook.pytest_deselected(items=[item for those in left.values() for item in those])


def missing(item: pytest.Item) -> str:
    """What the test needs that is not here; nothing if it can run."""
    if item.get_closest_marker("stock") and amounts.kind() != amounts.DEBIAN:
        return "this kernel has debugging, which takes too long"
    for marker in item.iter_markers("needs"):
        for name in marker.args:
            here, why = needs.NEEDS[name]
            if not here():
                return why
    return ""


def refusal(ko: Path | None) -> str:
    """Why no test can run here; nothing if they can."""
    if ko is None:
        return "which module? --module rtshm.ko, as built by make"
    if os.geteuid():
        return "only root can load a module: sudo make test-here"
    if module.is_loaded():
        return "rtshm is loaded, maybe in use: rmmod rtshm"
    if not ko.is_file():
        return f"{ko} is not there: make"
    release = os.uname().release
    if f"vermagic={release} ".encode() not in ko.read_bytes():
        return f"{ko} is not built for the running kernel, {release}: make clean, then make"
    if not module.EVENTS.is_dir():
        return "tracefs is not mounted: mount -t tracefs none /sys/kernel/tracing"
    return ""


def main() -> int:
    parser = argparse.ArgumentParser(prog="test-here", description=__doc__)
    parser.add_argument("--module", type=Path, help="rtshm.ko as built by make")
    parser.add_argument("arguments", nargs="*", help="arguments for pytest, after --")
    options = parser.parse_args()
    if why := refusal(options.module):
        print(f"test-here: {why}", file=sys.stderr)
        return 1
    print(
        f"test-here: loads and unloads {options.module} on {os.uname().release}, and with it "
        "rtshm_probe.ko and rtshm_pi.ko; makes and deletes regions",
        flush=True,
    )
    os.environ["RTSHM_KO"] = str(options.module.resolve())
    os.environ["PYTHONPATH"] = str(CHECKOUT / "client")
    before = module.traces()
    with tempfile.TemporaryDirectory() as folder:
        command = Path(folder, "rtshm")
        command.write_text(f'#!/bin/sh\nexec {shlex.quote(sys.executable)} -m rtshm "$@"\n')
        command.chmod(0o755)
        # A test runs the command as nobody, too.
        Path(folder).chmod(0o755)
        os.environ["PATH"] = f"{folder}:{os.environ['PATH']}"
        os.chdir(CHECKOUT)
        given = options.arguments
        chosen = given if any(each.startswith("tests/") for each in given) else [*SUITES, *given]
        status = int(pytest.main(["-p", "no:cacheprovider", *chosen], plugins=[Chosen()]))
    return status or left_behind(before)


def left_behind(before: dict[str, list[str]]) -> int:
    """Unload the module if it is there still; 1 if the machine is not as it was."""
    if module.is_loaded():
        module.unload()
    changed = [where for where, entries in module.traces().items() if entries != before[where]]
    for where in changed:
        print(f"test-here: {where} is not as it was before", file=sys.stderr)
    return int(bool(changed))


if __name__ == "__main__":
    sys.exit(main())
