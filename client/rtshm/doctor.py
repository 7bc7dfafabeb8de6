"""Why does it not work here? What the module needs of a machine, looked at piece by piece."""

from __future__ import annotations

import errno
import grp
import gzip
import lzma
import os
import subprocess
import zlib
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from rtshm._version import __version__
from rtshm.errors import group_text, is_member, module_missing
from rtshm.kernel_files import (
    LOCKDOWN,
    delegated_group,
    deleted_regions,
    file_text,
    lockdown,
    module_version,
)
from rtshm.lateness import ERROR, OK, UNKNOWN, WARNING, Finding, Verdict, timing
from rtshm.paths import CLASS, DEVICES, MODULE
from rtshm.recording.conditions import Machine

SIG_ENFORCE = Path("/sys/module/module/parameters/sig_enforce")
# Its last byte says whether Secure Boot is on.
SECURE_BOOT = Path("/sys/firmware/efi/efivars/SecureBoot-8be4df61-93ca-11d2-aa0d-00e098032b8c")
KEYS = Path("/proc/keys")

GROUP = "rtshm"

_DKMS = f"dkms install rtshm/{__version__}"
_OPENERS: dict[str, Callable[[Path], bytes]] = {
    ".ko": Path.read_bytes,
    ".gz": lambda path: gzip.decompress(path.read_bytes()),
    ".xz": lambda path: lzma.decompress(path.read_bytes()),
}


@dataclass(frozen=True, slots=True)
class _Module:
    """What more than one check looks at."""

    release: str
    file: Path | None
    """The module: the one that was named, or the one that modprobe would load."""
    named: bool
    loaded: bool


def examine(module: Path | None = None) -> list[Finding]:
    """Every piece, in the order in which one needs the other.

    `module` is a file to judge in place of the one that is installed.
    """
    release = os.uname().release
    subject = _Module(
        release=release,
        file=module or installed(release),
        named=module is not None,
        loaded=not module_missing(),
    )
    checks = (
        *(_module, _loaded, _version, _built, _signed, _device, _held, _group, _delegated),
        *(_headers, _netlink),
    )
    found = [Finding(check.__name__[1:], *check(subject)) for check in checks]
    return [*found, *timing(Machine.now())]


def installed(release: str) -> Path | None:
    """The file that modprobe loads: depmod's list has it."""
    folder = Path("/lib/modules", release)
    try:
        lines = (folder / "modules.dep").read_text().splitlines()
    except OSError:
        return None
    for line in lines:
        path = folder / line.partition(":")[0]
        if path.name.partition(".")[0] == "rtshm":
            return path
    return None


def _module(module: _Module) -> Verdict:
    if module.file and module.file.is_file():
        return OK, str(module.file), ""
    if module.named:
        return ERROR, f"{module.file} does not exist", "make"
    elsewhere = sorted(
        path.relative_to("/lib/modules").parts[0]
        for path in Path("/lib/modules").glob("*/updates/dkms/rtshm.ko*")
    )
    if elsewhere:
        text = f"installed for {', '.join(elsewhere)} and not for {module.release}, which runs"
        remedy = f"{headers_remedy(os.uname())}, then: sudo dkms autoinstall"
    else:
        text = "not installed"
        remedy = "install rtshm-dkms, or in rtshm's tree: sudo make install"
    # Loaded from a file of its own it works until the next boot.
    return WARNING if module.loaded else ERROR, text, remedy


def _loaded(module: _Module) -> Verdict:
    if not module.loaded:
        remedy = f"sudo insmod {module.file}" if module.named else "sudo modprobe rtshm"
        return ERROR, "the module is not loaded", remedy
    if not MODULE.is_dir():
        return UNKNOWN, f"{MODULE.parent} cannot be seen, but there is {DEVICES}", ""
    state = file_text(MODULE / "initstate")
    if state != "live":
        return ERROR, f"the module is {state or 'on its way'}", "wait, then look at: sudo dmesg"
    if module.file and _is_loaded(module.file) is False:
        text = f"the loaded module is not {module.file}"
        return WARNING, text, "when nobody uses it: sudo modprobe -r rtshm && sudo modprobe rtshm"
    return OK, "the module is loaded", ""


def _is_loaded(file: Path) -> bool | None:
    """Whether the module that runs is this file, by its build id; None if that cannot be told."""
    try:
        note = (MODULE / "notes/.note.gnu.build-id").read_bytes()
        return note in _OPENERS[file.suffix](file)
    except (OSError, EOFError, KeyError, lzma.LZMAError, zlib.error):
        return None


def _version(module: _Module) -> Verdict:
    version = file_text(MODULE / "version")
    if not version:
        return UNKNOWN, f"package {__version__}, module {module_version()}", ""
    if version == __version__:
        return OK, f"package and module are {version}", ""
    remedy = "install the module and the package of one release: see docs/installing.md"
    return WARNING, f"package {__version__}, but module {version}", remedy


def _built(module: _Module) -> Verdict:
    if not module.file or not module.file.is_file():
        return UNKNOWN, "no module to look at", ""
    magic = _modinfo(module.file, "vermagic")
    if magic is None:
        return UNKNOWN, "modinfo cannot be run", ""
    if not magic:
        return ERROR, f"{module.file} is not a kernel module", "make"
    release = magic.split()[0]
    if release == module.release:
        return OK, f"for the running kernel, {release}", ""
    text = f"for {release}, but {module.release} runs"
    remedy = "make" if module.named else f"sudo {_DKMS} -k {module.release} --force"
    # Then the kernel does not compare releases, but the versions of what it is linked with.
    if "modversions" in magic.split():
        return WARNING, f"{text}, which may accept it nevertheless", remedy
    return ERROR, text, remedy


def _signed(module: _Module) -> Verdict:
    who = _enforcer()
    if who is None:
        return UNKNOWN, f"neither {LOCKDOWN} nor {SIG_ENFORCE} can be seen", ""
    if not module.file or not module.file.is_file():
        text = f"no module to look at; {who} takes signed ones only" if who else "not necessary"
        return UNKNOWN if who else OK, text, ""
    signer = _modinfo(module.file, "signer")
    if signer is None:
        return UNKNOWN, "modinfo cannot be run", ""
    by = f"signed by {signer}" if signer else "not signed"
    if not who:
        return OK, f"{by}; this kernel takes modules that are not", ""
    if module.loaded:
        return OK, f"{by}; {who}, and the module is loaded", ""
    enrol = "sudo mokutil --import /var/lib/dkms/mok.pub, reboot, enrol the key"
    remedy = f"{enrol}; see docs/secure-boot.md"
    if not signer:
        return ERROR, f"not signed, and refused: {who}", f"install it through DKMS, then: {remedy}"
    keys = file_text(KEYS)
    if "asymmetri" not in keys:
        return UNKNOWN, f"{by}; only root can see whether the kernel knows the key: {who}", ""
    if signer not in keys:
        return ERROR, f"{by}, a key the kernel does not know: {who}", remedy
    return OK, f"{by}, a key that the kernel knows", ""


def _enforcer() -> str | None:
    """Why the kernel takes signed modules only; "" if it does not, None if that is hidden."""
    mode = lockdown()
    if mode not in ("", "none"):
        boot = "Secure Boot is on, " if _secure_boot() else ""
        return f"{boot}the kernel is locked down ({mode})"
    if file_text(SIG_ENFORCE) == "Y":
        return "module.sig_enforce is set"
    # In a /sys that is there, no sig_enforce means a kernel that looks at no signature.
    return "" if mode or SIG_ENFORCE.parents[2].is_dir() else None


def _secure_boot() -> bool:
    try:
        return SECURE_BOOT.read_bytes()[-1:] == b"\1"
    except OSError:
        return False


def _device(module: _Module) -> Verdict:
    if not module.loaded:
        return UNKNOWN, "no device before the module is loaded", ""
    # The samples of a region are a device of their own, with a dot in its name.
    regions = sorted(entry.name for entry in CLASS.glob("*") if "." not in entry.name)
    if not regions:
        if not CLASS.is_dir():
            return UNKNOWN, f"{CLASS} cannot be seen", ""
        return WARNING, "there is no region", "sudo rtshm create NAME"
    for region in regions:
        node = DEVICES / region
        if not node.is_char_device():
            remedy = f"outside of containers: sudo rtshm delete {region}, and create it again"
            return ERROR, f"the kernel has the region, but its node {node} does not exist", remedy
    closed = [name for name in regions if not os.access(DEVICES / name, os.R_OK | os.W_OK)]
    if len(closed) == len(regions):
        text = f"you may open none of {DEVICES}/{{{','.join(closed)}}}"
        return ERROR, text, f"sudo usermod -aG {GROUP} USER, or sudo"
    if closed:
        text = f"you cannot open {', '.join(f'{DEVICES}/{name}' for name in closed)}"
        return WARNING, text, f"sudo usermod -aG {GROUP} USER, or sudo"
    text = f"{DEVICES}/{{{','.join(regions)}}}" if len(regions) > 1 else f"{DEVICES}/{regions[0]}"
    return OK, text, ""


def _held(module: _Module) -> Verdict:
    """Regions that were deleted and are open or mapped somewhere: they hold the module."""
    if not module.loaded:
        return UNKNOWN, "nothing before the module is loaded", ""
    holders, hidden = deleted_regions()
    if holders:
        text = f"deleted regions are in use: {'; '.join(holders)}"
        return WARNING, text, "end these processes to unload the module"
    if hidden:
        return UNKNOWN, "only root can see the files of all processes", ""
    return OK, "no deleted region is in use", ""


def _group(module: _Module) -> Verdict:
    try:
        group = grp.getgrnam(GROUP)
    except KeyError:
        remedy = f"install rtshm-dkms, or: sudo groupadd -r {GROUP}, and the udev rule of system/"
        return WARNING, f"no group {GROUP}: only root can use regions", remedy
    if os.geteuid() == 0:
        return OK, f"{GROUP}, which root need not be in", ""
    if is_member(group.gr_gid):
        return OK, f"you are in {GROUP}", ""
    return WARNING, f"you are not in {GROUP}", f"sudo usermod -aG {GROUP} USER, then log in again"


def _delegated(module: _Module) -> Verdict:
    """Look at who may create regions."""
    if not module.loaded:
        return UNKNOWN, "nothing before the module is loaded", ""
    if not file_text(MODULE / "parameters/group"):
        return UNKNOWN, "the parameters of the module cannot be seen", ""
    gid = delegated_group()
    if gid is None:
        text = "only root creates regions"
        remedy = "" if os.geteuid() == 0 else "to let a group create its own: see docs/groups.md"
        return OK, text, remedy
    quotas = ", ".join(
        f"{name}={file_text(MODULE / 'parameters' / name)}"
        for name in ("group_regions", "group_bytes", "group_ticks_hz")
    )
    text = f"each member of {group_text(gid)} creates regions of their own: {quotas}"
    if os.geteuid() == 0 or is_member(gid):
        return OK, text, ""
    remedy = f"sudo usermod -aG {group_text(gid)} USER, then log in again"
    return WARNING, f"{text}; you are not one", remedy


def _headers(module: _Module) -> Verdict:
    build = Path("/lib/modules", module.release, "build")
    if (build / "include").is_dir():
        return OK, str(build), ""
    text = f"no headers of {module.release}, so no module can be built for it here"
    return WARNING, text, headers_remedy(os.uname())


def headers_remedy(kernel: os.uname_result) -> str:
    """What installs the headers of a kernel: only packages of the archive have known names."""
    if any(name in kernel.version for name in ("Debian", "Ubuntu")):
        return f"sudo apt-get install linux-headers-{kernel.release}"
    return f"install the headers of {kernel.release} from where this kernel came"


def _netlink(module: _Module) -> Verdict:
    if not module.loaded:
        return UNKNOWN, "no family before the module is loaded", ""
    from rtshm.control.messages import FAMILY
    from rtshm.control.netlink import Link

    try:
        with closing(Link()) as link:
            family = link.find(FAMILY)
    except OSError as error:
        remedy = getattr(error, "remedy", "")
        name = errno.errorcode.get(error.errno or 0, "no errno")
        return ERROR, f"{error.strerror} ({name})", remedy
    return OK, f"generic netlink family {family.id}", ""


def _modinfo(file: Path, field: str) -> str | None:
    """A field of a module's, "" if it has none; None where there is no modinfo."""
    # In /usr/sbin, which an ordinary user's PATH does not have everywhere.
    path = f"{os.environ.get('PATH', os.defpath)}:/usr/sbin:/sbin"
    try:
        done = subprocess.run(
            ["modinfo", "-F", field, str(file)],
            env={**os.environ, "PATH": path, "LC_ALL": "C"},
            capture_output=True,
            text=True,
            check=False,
        )
    except FileNotFoundError:
        return None
    return done.stdout.strip()
