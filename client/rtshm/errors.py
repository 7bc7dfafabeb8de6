"""What the kernel cannot say itself, and the remedy for what it says."""

from __future__ import annotations

import errno
import importlib.util
from typing import TYPE_CHECKING

from rtshm.paths import DEVICES, MODULE

if TYPE_CHECKING:
    from pathlib import Path

_NOT_LOADED = "the module is not loaded: sudo insmod rtshm.ko"


class ClosedError(ValueError):
    """A region, its samples, a control or a watch was used after its close()."""


class LayoutError(ValueError):
    """A layout that cannot be mapped in place; the message names the field and the reason."""


class ExtraError(ImportError):
    """A library that one of the package's extras brings is not there; the message says which."""


def need(library: str, what: str, extra: str) -> None:
    """ExtraError if `what` cannot be done for lack of a library."""
    if importlib.util.find_spec(library) is None:
        raise ExtraError(f"{what} takes {library}: pip install 'rtshm[{extra}]'", name=library)


def add_remedy(error: OSError, where: Path | str, remedy: str | None) -> None:
    """Complete an error about a path or a region: which one, and as a note what to do."""
    error.filename = error.filename or str(where)
    if remedy:
        error.add_note(remedy)


def region_remedy(number: int | None, path: Path) -> str | None:
    """What to do when the device node of a region cannot be opened or mapped."""
    match number:
        case errno.ENOENT | errno.ENXIO | errno.ENODEV if not MODULE.exists():
            return _NOT_LOADED
        case errno.ENOENT:
            # Their samples are beside them, and no name of a region has a dot.
            regions = sorted(entry.name for entry in path.parent.glob("*") if not entry.suffix)
            return f"there is no such region; {path.parent} has: {', '.join(regions) or 'none'}"
        case errno.ENXIO | errno.ENODEV:
            return f"this is no region; those of the module are in {DEVICES}"
        case errno.EACCES | errno.EPERM:
            return f"you may not: use sudo, or have root give you access (see ls -l {path})"
        case errno.EBUSY:
            return f"another program holds it for itself: see fuser -v {path}"
        case _:
            return None


def family_remedy() -> str:
    """What to do when the kernel knows no netlink family of the module's."""
    if not MODULE.exists():
        return _NOT_LOADED
    return (
        "the module answers in the initial network namespace alone, outside of containers, "
        "and to those alone who connected after it was loaded"
    )


def control_remedy(number: int | None) -> str | None:
    """What to do when the module refuses a request."""
    return "use sudo, outside of containers" if number == errno.EPERM else None


def samples_remedy(number: int | None, name: str) -> str | None:
    """What to do when the samples of a region cannot be opened."""
    path = DEVICES / name
    if number == errno.ENOENT and path.exists():
        return f"the region records nothing: rtshm set {name} --depth 10000"
    return region_remedy(number, path)


def log_remedy(number: int | None) -> str | None:
    """What to do when the kernel log cannot be read."""
    match number:
        case errno.EACCES | errno.EPERM:
            return "reading the kernel log takes CAP_SYSLOG here: use sudo"
        case errno.ENOENT:
            return "there is no kernel log here, as in most containers: run it on the host"
        case _:
            return None
