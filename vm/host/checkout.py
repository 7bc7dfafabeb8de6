"""The disk that brings a checkout and a job into the guest: a tar archive.

Everything of the job travels here and not on the kernel's command line, which is
short and has quoting rules of its own.
"""

from __future__ import annotations

import io
import os
import shlex
import subprocess
import tarfile
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

from vm.host.errors import HarnessError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from vm.host.payload import Files, Payload

JOB = Path("/run/vm")
GUEST = Path(__file__).parents[1] / "guest"
PROGRAMS = ("run.sh", "terminal.py")


def files(checkout: Path) -> Iterator[Path]:
    """Relative paths of what git would commit if all were added."""
    # Under sudo the checkout may be another user's, which git refuses unless told.
    command = ["git", "-c", f"safe.directory={checkout}", "-C", str(checkout)]
    command += ["ls-files", "-coz", "--exclude-standard"]
    done = subprocess.run(command, capture_output=True, check=False)
    if done.returncode != 0:
        raise HarnessError(f"git ls-files in {checkout}: {os.fsdecode(done.stderr).strip()}")
    for name in dict.fromkeys(done.stdout.split(b"\0")):
        path = Path(os.fsdecode(name))
        # Deleted but not yet so in git's index; or a repository inside, listed as a directory.
        full = checkout / path
        if name and (full.is_symlink() or full.is_file()):
            yield path


def write(
    target: Path, payload: Payload, command: str, environment: Mapping[str, str] | None = None
) -> None:
    """Write the archive: the checkout at its own path, and the job in /run/vm.

    What is built of the checkout has one of its own: write_built().
    """
    checkout = payload.source
    with tarfile.open(target, "w", format=tarfile.GNU_FORMAT) as tar:
        # An unprivileged user of the guest must get here, even below /root.
        for parent in reversed([checkout, *checkout.parents][:-1]):
            add(tar, parent, mode=0o755, kind=tarfile.DIRTYPE)
        seen: set[Path] = set()
        for path in files(checkout):
            for parent in reversed(path.parents[:-1]):
                if parent not in seen:
                    seen.add(parent)
                    add(tar, checkout / parent, mode=0o755, kind=tarfile.DIRTYPE)
            full = checkout / path
            if full.is_symlink():
                add(tar, full, mode=0o777, kind=tarfile.SYMTYPE, link=os.readlink(full))
            else:
                # The modes that git knows.
                mode = 0o755 if full.stat().st_mode & 0o100 else 0o644
                add(tar, full, mode=mode, data=full.read_bytes())
        add_made(tar, checkout, payload.made())
        # devtmpfs has the devices and not these links.
        for name, link in (
            ("fd", "/proc/self/fd"),
            ("stdin", "fd/0"),
            ("stdout", "fd/1"),
            ("stderr", "fd/2"),
        ):
            add(tar, Path("/dev", name), mode=0o777, kind=tarfile.SYMTYPE, link=link)
        # The image has no init to bring these.
        for name in ("halt", "poweroff", "reboot"):
            add(tar, JOB / "bin" / name, mode=0o777, kind=tarfile.SYMTYPE, link="/bin/busybox")
        exports = {**payload.environment, **(environment or {}), "VM_CHECKOUT": str(checkout)}
        exports["VM_IMPORTS"] = ",".join(payload.imports)
        env = "".join(f"export {name}={shlex.quote(text)}\n" for name, text in exports.items())
        for name, text in (
            ("command", command + "\n"),
            ("env", env),
            *((name, (GUEST / name).read_text(encoding="utf-8")) for name in PROGRAMS),
            *((f"bin/{name}", script) for name, script in payload.commands.items()),
        ):
            mode = 0o755 if name.startswith("bin/") else 0o644
            add(tar, JOB / name, mode=mode, data=text.encode(errors="surrogateescape"))


def write_built(target: BinaryIO, checkout: Path, built: Files) -> None:
    """Write an archive of what was built of the checkout, from where `target` is."""
    with tarfile.open(fileobj=target, mode="w", format=tarfile.GNU_FORMAT) as tar:
        add_made(tar, checkout, built)


def add_made(tar: tarfile.TarFile, checkout: Path, files: Files) -> None:
    for name, data in files.items():
        # A program, unless it is a module of the kernel's or of Python's.
        mode = 0o644 if name.endswith((".ko", ".pyc", ".so")) else 0o755
        add(tar, checkout / name, mode=mode, data=data)


def add(
    tar: tarfile.TarFile,
    path: Path,
    *,
    mode: int,
    kind: bytes = tarfile.REGTYPE,
    link: str = "",
    data: bytes = b"",
) -> None:
    info = tarfile.TarInfo(str(path).lstrip("/"))
    info.mode = mode
    info.type = kind
    info.linkname = link
    info.size = len(data)
    info.mtime = int(path.stat().st_mtime) if path.exists() else 0
    tar.addfile(info, io.BytesIO(data))
