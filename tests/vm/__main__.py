"""The command behind `make vm` and its like: `python3 -m tests.vm run 'uname -a'`."""

from __future__ import annotations

import argparse
import json
import os
import signal
import sys
from pathlib import Path

from tests.vm import coverage, demo, kernels, lint, machine, ynl
from tests.vm.errors import HarnessError
from tests.vm.progress import say

CHECKOUT = Path(__file__).resolve().parents[2]

# As of env(1) and timeout(1): not the command failed, but what was to run it.
HARNESS_STATUS = 125


def main() -> int:
    parser = argparse.ArgumentParser(prog="python3 -m tests.vm", description=__doc__)
    commands = parser.add_subparsers(required=True, metavar="what")

    run = commands.add_parser("run", help="run a command in the guest, exit with its status")
    run.add_argument("command", nargs="?", default=os.environ.get("VM_CMD", ""))
    run.set_defaults(act=run_command)
    show = commands.add_parser("demo", help="load the module, write values, show the log")
    show.set_defaults(act=run_demo)
    for command in (run, show):
        command.add_argument(
            "--kernel", default=os.environ.get("KERNEL", ""), help="name in kernels.toml"
        )
        command.add_argument(
            "--icount",
            action="store_true",
            default=flag("ICOUNT"),
            help="virtual time is instructions executed",
        )
        command.add_argument(
            "--cold",
            action="store_true",
            default=flag("COLD"),
            help="a whole boot in place of a snapshot of one",
        )
        command.add_argument(
            "--deadline",
            type=float,
            metavar="SECONDS",
            default=os.environ.get("DEADLINE") or machine.DEADLINE_SECONDS,
        )
    check = commands.add_parser("lint", help="W=1, sparse, checkpatch and YNL on the module")
    check.set_defaults(act=lambda arguments: lint.run(kernels.load(), CHECKOUT))
    count = commands.add_parser("coverage", help="which lines of the module the tests run")
    count.set_defaults(act=lambda arguments: coverage.run(kernels.load(), CHECKOUT))
    names = commands.add_parser("kernels", help="the kernels that have tests, as JSON")
    names.set_defaults(act=print_kernels)
    generate = commands.add_parser("ynl", help="generate the netlink family's C from its spec")
    generate.set_defaults(act=lambda arguments: ynl.update(CHECKOUT))

    arguments = parser.parse_args()
    # So that every `finally` on the way out is run.
    signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(128 + number))
    try:
        return int(arguments.act(arguments))
    except HarnessError as error:
        say(str(error.args[0]))
        return HARNESS_STATUS
    except BrokenPipeError:
        # Whoever read this has enough. Python must not write the rest when it exits.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 128 + signal.SIGPIPE
    except KeyboardInterrupt:
        return 128 + signal.SIGINT


def flag(name: str) -> bool:
    return os.environ.get(name, "") not in ("", "0")


def run_command(arguments: argparse.Namespace) -> int:
    if not arguments.command:
        raise HarnessError("no command; try: make vm CMD='uname -a'")
    table = kernels.load()
    outcome = machine.run(
        table,
        table[arguments.kernel],
        CHECKOUT,
        arguments.command,
        icount=arguments.icount,
        warm=not arguments.cold,
        deadline=arguments.deadline,
    )
    return machine.report(outcome)


def run_demo(arguments: argparse.Namespace) -> int:
    table = kernels.load()
    return demo.run(
        table,
        table[arguments.kernel],
        CHECKOUT,
        icount=arguments.icount,
        warm=not arguments.cold,
        deadline=arguments.deadline,
    )


def print_kernels(arguments: argparse.Namespace) -> int:
    table = kernels.load()
    print(json.dumps([row.name for row in table.kernels.values() if row.test or row.more]))
    return 0


if __name__ == "__main__":
    sys.exit(main())
