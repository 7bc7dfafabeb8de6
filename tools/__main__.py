"""The command behind `make lint` and its like: `python3 -m tools lint`."""

from __future__ import annotations

import argparse
import sys

from tests.lib.payload import CHECKOUT
from tools import coverage, lint, promises, words, ynl
from vm import __main__ as vm

TOOLS = {
    "lint": (lint.run, "W=1, sparse, checkpatch and YNL on the module"),
    "promises": (promises.run, "the documents' promises, and the tests that prove them"),
    "words": (words.run, "phrases that readers stumble over"),
    "coverage": (coverage.run, "which lines of the module the tests run"),
    "ynl": (ynl.update, "generate the netlink family's C from its spec"),
}

if __name__ == "__main__":
    parser = argparse.ArgumentParser(prog="python3 -m tools", description=__doc__)
    commands = parser.add_subparsers(required=True, metavar="tool")
    for name, (act, about) in TOOLS.items():
        commands.add_parser(name, help=about).set_defaults(act=act)
    arguments = parser.parse_args()
    sys.exit(vm.guarded(lambda: arguments.act(CHECKOUT)))
