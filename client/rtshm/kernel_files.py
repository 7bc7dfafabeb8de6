"""Files of /proc and /sys, for which not to be there is an answer, too."""

from __future__ import annotations

import os
import re
from pathlib import Path

from rtshm._version import __version__
from rtshm.paths import DEVICES, MODULE

# As the module has it, (gid_t)-1.
NO_GROUP = "4294967295"

LOCKDOWN = Path("/sys/kernel/security/lockdown")


def file_text(path: str | Path) -> str:
    """What it has, without space around it; "" if it cannot be read."""
    try:
        return Path(path).read_text(encoding="utf-8", errors="replace").strip()
    except OSError:
        return ""


def module_version() -> str:
    """The version of the module that is loaded, or what is known instead."""
    if not MODULE.parent.exists():
        return f"unknown, {MODULE.parent} cannot be seen"
    if not MODULE.exists():
        return "not loaded"
    version = file_text(MODULE / "version")
    if version in ("", __version__):
        return version or "loaded, version unknown"
    return f"{version}, another release"


def delegated_group() -> int | None:
    """The gid of the group whose members may make regions of their own; None for nobody's."""
    gid = file_text(MODULE / "parameters/group")
    return int(gid) if gid.isdigit() and gid != NO_GROUP else None


def lockdown() -> str:
    """The level, "none" or another, see kernel_lockdown(7); "" if it cannot be told."""
    # none [integrity] confidentiality
    marked = re.search(r"\[(\w+)\]", file_text(LOCKDOWN))
    return marked[1] if marked else ""


def deleted_regions() -> tuple[list[str], bool]:
    """Return lines as `motor by process 4711 (python3)`, and whether some processes are hidden.

    They have deleted regions open, hold their memory and keep the module loaded.
    """
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
