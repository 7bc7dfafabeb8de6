"""What the kernel cannot say itself, and the remedy for what it says."""

from __future__ import annotations

import errno
import grp
import importlib.util
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from rtshm.kernel_files import delegated_group
from rtshm.paths import DEVICES, MODULE

NOT_LOADED = "the module is not loaded: sudo modprobe rtshm (built here: sudo insmod rtshm.ko)"
OTHER_RELEASE = "load the module of the same release: rtshm doctor shows both"


class RtshmError(Exception):
    """Base class of all errors of this package."""


class RefusedError(RtshmError, OSError):
    """The kernel refused something; `errno` says why.

    str() has the region or path, the reason, the errno's name and the remedy.
    """

    remedy: str
    """Remedy for people; "" if none is known."""

    def __init__(
        self, number: int, words: str = "", where: object = None, remedy: str = ""
    ) -> None:
        words = words or os.strerror(number)
        super().__init__(number, words, *(() if where is None else (str(where),)))
        self.remedy = remedy

    def __str__(self) -> str:
        where = f"{self.filename}: " if self.filename else ""
        name = errno.errorcode.get(self.errno or 0, f"errno {self.errno}")
        remedy = f"; {self.remedy}" if self.remedy else ""
        return f"{where}{self.strerror} ({name}){remedy}"


class ModuleNotLoadedError(RefusedError, FileNotFoundError):
    """The module is not loaded, or not reachable from here."""


class RegionNotFoundError(RefusedError, FileNotFoundError):
    """There is no region of this name, or it keeps no history."""


class RegionExistsError(RefusedError, FileExistsError):
    """A region of this name already exists."""


class RegionDeletedError(RefusedError):
    """The region was deleted while it was in use here (ENODEV)."""


class AccessError(RefusedError, PermissionError):
    """This process lacks the right to do that."""


class IncompatibleError(RefusedError):
    """This package does not work with the loaded module, this Python or this machine."""


class ClosedError(RtshmError, ValueError):
    """A region, its samples, a control or a watch was used after its close()."""


class LayoutError(RtshmError, ValueError):
    """A layout that cannot be mapped in place; the message names the field and the reason."""


class ProgramError(RtshmError, ValueError):
    """A BPF program that the compiler or the verifier refused; str() has what they said."""


class ExtraError(RtshmError, ImportError):
    """A library of one of the package's extras is missing; the message names the extra."""


_CLASSES: dict[int, type[RefusedError]] = {
    errno.ENOENT: RegionNotFoundError,
    errno.EEXIST: RegionExistsError,
    errno.EPERM: AccessError,
    errno.EACCES: AccessError,
}


def no_layout(name: str) -> LayoutError:
    """Return the error for a region that no layout is stored with, which cannot be changed."""
    return LayoutError(
        f"{name}: no layout is stored with the region; make one with a layout: "
        f"rtshm create {name}2 --layout 'speed:f64 gain:f32'"
    )


def hidden_address(region: str) -> AccessError:
    """Return the error for raw memory whose address the kernel does not send to this process."""
    words = "phys: told only to callers with CAP_SYS_RAWIO"
    return AccessError(errno.EPERM, words, region, "use sudo, outside of containers")


def need(library: str, what: str, extra: str) -> None:
    """Raise ExtraError if `what` cannot be done for lack of a library."""
    if importlib.util.find_spec(library) is None:
        raise ExtraError(f"{what} takes {library}: pip install 'rtshm[{extra}]'", name=library)


def refused(error: OSError, where: object, remedy: str | None) -> OSError:
    """Return what to raise for an error of the kernel's: with what it is about, and the remedy."""
    if type(error) is not OSError and isinstance(error, (TimeoutError, BlockingIOError)):
        return error
    if isinstance(error, RefusedError):
        error.filename = error.filename or str(where)
        error.remedy = error.remedy or remedy or ""
        return error
    number = error.errno or 0
    kind = _CLASSES.get(number, RefusedError)
    if remedy == NOT_LOADED:
        kind = ModuleNotLoadedError if number == errno.ENOENT else RefusedError
    return kind(number, error.strerror or "", error.filename or where, remedy or "")


@contextmanager
def refusing(where: object, remedy: Callable[[int | None], str | None]) -> Iterator[None]:
    """Raise what refused() returns for an OSError in the context; `remedy` is of an errno."""
    try:
        yield
    except OSError as error:
        raise refused(error, where, remedy(error.errno)) from None


def deleted(where: object, remedy: str) -> RegionDeletedError:
    """Return the error for a region that was deleted while it was in use."""
    return RegionDeletedError(errno.ENODEV, "the region was deleted", where, remedy)


def replaced(where: object) -> RegionDeletedError:
    """Return the error for a deleted region whose name another one may have."""
    return deleted(where, "open the region that has its name now")


def module_missing() -> bool:
    """Whether the module is known not to be loaded; without sysfs the nodes tell."""
    if MODULE.parent.exists():
        return not MODULE.exists()
    return not DEVICES.exists()


def region_remedy(number: int | None, path: Path) -> str | None:
    """Return what to do when the device node of a region cannot be opened or mapped."""
    match number:
        case errno.ENOENT | errno.ENXIO | errno.ENODEV if module_missing():
            return NOT_LOADED
        case errno.ENOENT:
            # Their samples have nodes too, and no name of a region has a dot.
            regions = sorted(entry.name for entry in path.parent.glob("*") if not entry.suffix)
            return f"no such region; {path.parent} has: {', '.join(regions) or 'none'}"
        case errno.ENXIO | errno.ENODEV:
            return f"this is not a region; those of the module are in {DEVICES}"
        case errno.EACCES | errno.EPERM:
            return f"use sudo, or join the group of the node (see ls -l {path})"
        case errno.EBUSY:
            return f"another program holds it for itself: see fuser -v {path}"
        case _:
            return None


def family_remedy() -> str:
    """Return what to do when the kernel knows no netlink family of the module's."""
    if module_missing():
        return NOT_LOADED
    return (
        "the module answers only in the initial network namespace, outside of containers; "
        "a region can be opened here by its path, with its history"
    )


def socket_remedy(number: int | None) -> str | None:
    """Return what to do when no netlink socket can be opened: by the rules of a sandbox."""
    if number in (errno.EAFNOSUPPORT, errno.EPERM, errno.EACCES, errno.EPROTONOSUPPORT):
        return (
            "netlink is forbidden here, by seccomp or a sandbox: allow AF_NETLINK "
            "(systemd: RestrictAddressFamilies=AF_NETLINK), or run it outside"
        )
    return None


def control_remedy(number: int | None) -> str | None:
    """Return what to do when the module refuses a request."""
    if number == errno.EDQUOT:
        more = "have the module loaded with a larger limit: see rtshm doctor"
        return f"delete one of your regions, or {more}"
    if number != errno.EPERM:
        return None
    gid = delegated_group()
    if gid is None or is_member(gid):
        return "use sudo, outside of containers"
    join = f"sudo usermod -aG {group_text(gid)} $USER"
    return f"use sudo, or join the group: {join}, then log in again"


def group_text(gid: int) -> str | int:
    """Return the name of a group, or its number if it has none."""
    try:
        return grp.getgrgid(gid).gr_name
    except KeyError:
        return gid


def is_member(gid: int) -> bool:
    """Whether this process is in a group."""
    return gid in (os.getegid(), *os.getgroups())


def samples_remedy(number: int | None, path: Path) -> str | None:
    """Return what to do when the samples of a region cannot be opened."""
    region = path.with_suffix("")
    if number == errno.ENOENT and region.exists():
        return f"the region records nothing: rtshm set {region.name} --history 10000"
    return region_remedy(number, region)


def log_remedy(number: int | None) -> str | None:
    """Return what to do when the kernel log cannot be read."""
    match number:
        case errno.EACCES | errno.EPERM:
            return "reading the kernel log takes CAP_SYSLOG here: use sudo"
        case errno.ENOENT:
            return "there is no kernel log here, as in most containers: run it on the host"
        case _:
            return None
