"""The command behind `make vm`: `python3 -m vm 'uname -a'`, with its exit status; or a shell."""

from __future__ import annotations

import argparse
import errno
import importlib
import math
import os
import signal
import sys
import tomllib
from pathlib import Path
from typing import TYPE_CHECKING, Protocol, cast

from vm.host import cache, interrupt, machine, terminal
from vm.host.errors import HarnessError
from vm.host.progress import say

if TYPE_CHECKING:
    from collections.abc import Callable

    from vm.host.kernels import Kernel, Table
    from vm.host.payload import Payload

CHECKOUT = Path(__file__).resolve().parents[1]

# As of env(1) and timeout(1): not the command failed, but what was to run it.
HARNESS_STATUS = 125


class Project(Protocol):
    """The module that `[tool.vm] project` in pyproject.toml names."""

    TABLE: Table

    def of(self, source: Path, kernel: Kernel, *, symbols: bool) -> Payload:
        """What a run takes along, with or without symbols for a debugger."""


def project(checkout: Path = CHECKOUT) -> Project:
    settings = tomllib.loads((checkout / "pyproject.toml").read_text(encoding="utf-8"))
    return cast("Project", importlib.import_module(settings["tool"]["vm"]["project"]))


def add_options(parser: argparse.ArgumentParser) -> None:
    """The options of every command that runs a machine; the environment has the defaults."""
    parser.add_argument(
        "--kernel", default=os.environ.get("KERNEL", ""), help="name in kernels.toml"
    )
    parser.add_argument(
        "--icount",
        action="store_true",
        default=flag("ICOUNT"),
        help="virtual time is instructions executed",
    )
    parser.add_argument(
        "--cold",
        action="store_true",
        default=flag("COLD"),
        help="a whole boot in place of a snapshot of one",
    )
    parser.add_argument(
        "--deadline",
        type=float,
        metavar="SECONDS",
        default=os.environ.get("DEADLINE") or machine.DEADLINE_SECONDS,
        help="until the machine counts as lost; a shell has none",
    )


def flag(name: str) -> bool:
    return os.environ.get(name, "") not in ("", "0")


def guarded(act: Callable[[], int]) -> int:
    """Run a command of the harness: one line and a status for what it refuses, or a signal."""
    try:
        # Every `finally` on the way out is run.
        interrupt.once(signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
        return act()
    except HarnessError as error:
        say(str(error.args[0]))
        return HARNESS_STATUS
    except BrokenPipeError:
        # The reader has enough. Python must not write the rest when it exits.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 128 + signal.SIGPIPE
    except OSError as error:
        if error.errno != errno.ENOSPC:
            raise
        say(f"{error.filename or cache.root()}: {error.strerror}")
        return HARNESS_STATUS
    except KeyboardInterrupt:
        say("interrupted")
        return 128 + signal.SIGINT


def main() -> int:
    parser = argparse.ArgumentParser(prog="vm/run", description=__doc__)
    parser.add_argument("command", nargs="?", default=os.environ.get("VM_CMD", ""))
    parser.add_argument(
        "--gdb",
        action="store_true",
        default=flag("GDB"),
        help="have QEMU serve gdb, and modules keep their symbols",
    )
    add_options(parser)
    arguments = parser.parse_args()

    def run() -> int:
        command = arguments.command or None
        if command is None and not terminal.is_there():
            raise HarnessError(
                "no command, and no terminal for a shell; try: make vm CMD='uname -a'"
            )
        ours = project()
        kernel = ours.TABLE[arguments.kernel]
        outcome = machine.run(
            ours.TABLE,
            kernel,
            ours.of(CHECKOUT, kernel, symbols=arguments.gdb),
            command,
            icount=arguments.icount,
            warm=not arguments.cold,
            debugged=arguments.gdb,
            deadline=math.inf if command is None else arguments.deadline,
        )
        return machine.report(outcome)

    return guarded(run)


if __name__ == "__main__":
    sys.exit(main())
