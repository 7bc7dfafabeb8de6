"""Type docs/bpf.md: `python3 -m tests.boots.guest.bpf_page`.

A guest has no clang: tests/boots/test_guide.py compiles the page's source for it.
"""

from __future__ import annotations

import os
import re
import subprocess
import time
from pathlib import Path

from tests.lib import guide, module

SOURCE, OBJECT = "follow.bpf.c", "follow.bpf.o"
PATIENCE = 100


def agrees(shown: str, said: str) -> bool:
    """Whether this is what is shown, or a table with other numbers."""
    if guide.agrees(shown, said):
        return True
    tables = [re.sub(r"[\d.]+( [num]?s\b)?", "N", text).split() for text in (shown, said)]
    return shown.startswith("REGION") and tables[0] == tables[1]


def run(each: guide.Typed) -> None:
    text = each.text.replace(SOURCE, OBJECT) if each.text.startswith("rtshm task") else each.text
    deadline = time.monotonic() + PATIENCE
    while True:
        done = subprocess.run(text, shell=True, check=True, stdout=subprocess.PIPE, text=True)
        if agrees(each.shown, done.stdout):
            return
        # The output settles within 60 ticks.
        assert text.startswith("rtshm get") and time.monotonic() < deadline, (each, done.stdout)


def main() -> None:
    os.chdir(module.CHECKOUT)
    module.load(print=0)
    python = guide.Python("bpf")
    for each in guide.page("bpf"):
        if each.where == "python":
            text = each.text.replace(f'source="{SOURCE}"', f'"{OBJECT}"')
            assert text != each.text
            python.run(guide.Typed("python", text))
            continue
        if each.text == f"cat {SOURCE}":
            Path(SOURCE).write_text(each.shown)
        run(each)
    module.unload()
    print("bpf_page: passed")


if __name__ == "__main__":
    main()
