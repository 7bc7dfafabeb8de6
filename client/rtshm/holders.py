"""Processes that have deleted regions open: they hold the memory and keep the module loaded."""

from __future__ import annotations

import os
import re
from pathlib import Path

from rtshm.kernel_files import file_text
from rtshm.paths import DEVICES, MODULE


def deleted_regions() -> tuple[list[str], bool]:
    """Return lines as `motor by process 4711 (python3)`, and whether some processes are hidden."""
    found, hidden = [], False
    for process in Path("/proc").glob("[0-9]*"):
        try:
            links = [*(process / "fd").iterdir(), *(process / "map_files").iterdir()]
            names = {name for link in links if (name := _deleted(link))}
        except PermissionError:
            hidden = True
            continue
        except OSError:
            # It is over.
            continue
        if names:
            who = file_text(process / "comm")
            found.append(f"{', '.join(sorted(names))} by process {process.name} ({who})")
    return sorted(found), hidden


def more_than(users: int) -> bool:
    """Whether the module has more users than these: a quick look before deleted_regions()."""
    return int(file_text(MODULE / "refcnt") or 0) > users


def _deleted(link: Path) -> str:
    """The region that an open file or a mapping was of, if that was deleted."""
    try:
        match = re.fullmatch(rf"{DEVICES}/(\S*) \(deleted\)", os.readlink(link))
    except FileNotFoundError:
        return ""
    return match[1] if match else ""
