"""Takes figures in the guest, with rtshm and bench/modules/bare loaded.

    python3 -m bench.inside publish tick ...

Each name is a module of bench/ with measure(figures). What it finds is written
to standard output as JSON.
"""

from __future__ import annotations

import importlib
import os
import sys

from bench.figures import Figures, write


def main() -> None:
    figures = Figures(limits=os.environ.get("VM_ACCELERATOR") == "icount")
    for name in sys.argv[1:]:
        figures.group = name
        importlib.import_module(f"bench.{name}").measure(figures)
    write(figures.run())


if __name__ == "__main__":
    main()
