"""Making Debian systems and entering them, with the rights that this user has."""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from vm.host.errors import HarnessError
from vm.host.progress import run_logged, say

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

MMDEBSTRAP = (
    "mmdebstrap",
    "--variant=essential",
    # Releases that are no longer updated stay usable.
    '--aptopt=Acquire::Check-Valid-Until "false"',
    "--dpkgopt=force-unsafe-io",
    "--dpkgopt=path-exclude=/usr/share/doc/*",
    "--dpkgopt=path-exclude=/usr/share/man/*",
    "--dpkgopt=path-exclude=/usr/share/info/*",
    "--dpkgopt=path-exclude=/usr/share/locale/*",
)


def privilege() -> str:
    """How this user enters a root: `root`, `unshare` (user namespace) or `sudo`."""
    if os.geteuid() == 0:
        return "root"
    probe = ["unshare", "--map-root-user", "--mount", "true"]
    if subprocess.run(probe, capture_output=True, check=False).returncode == 0:
        return "unshare"
    if shutil.which("sudo") is None:
        raise HarnessError(
            "this user may not make user namespaces (`unshare --map-root-user --mount true` "
            "fails), and there is no sudo; run as root or allow user namespaces"
        )
    return "sudo"


def mmdebstrap(*arguments: str) -> list[str]:
    """The command line of mmdebstrap for this user, with what all of its runs have in common."""
    how = privilege()
    if how == "sudo":
        say("user namespaces are forbidden here: using sudo to make the Debian root")
    sudo = ["sudo"] if how == "sudo" else []
    mode = "unshare" if how == "unshare" else "root"
    return [*sudo, *MMDEBSTRAP, f"--mode={mode}", *arguments]


def stable(suite: str) -> str:
    """The suite that `suite` goes on top of: trixie for trixie-backports, or itself."""
    return suite.removesuffix("-backports")


def backports(suite: str) -> list[str]:
    """Options of mmdebstrap for stable(suite), if `suite` goes on top of it."""
    below = stable(suite)
    # From wherever mmdebstrap has the suite itself.
    on_top = (
        f'sed "s/ {below} / {suite} /;q" "$1/etc/apt/sources.list" '
        '>"$1/etc/apt/sources.list.d/backports.list"'
    )
    return [f"--setup-hook={on_top}"] if below != suite else []


def make_tree(
    tree: Path, suite: str, packages: Sequence[str], *options: str, log: Path, script: str = ""
) -> None:
    """A root of `suite` with these packages, in the directory `tree`. What mmdebstrap says goes
    to `log`; `script` is as run_logged() has it."""
    # A tar, and not a directory, because in a user namespace the files would
    # belong to subordinate ids, which this user could not even remove.
    making = mmdebstrap(f"--include={','.join(packages)}", *options, suite, "-")
    tree.mkdir(exist_ok=True)
    # -p: the modes, too, when this user is not root.
    unpacking = ["tar", "-x", "-p", "-C", str(tree), "--exclude=./dev/*"]
    # mmdebstrap leaves its temporary files when it is ended early.
    with tempfile.TemporaryDirectory(prefix="vm-", ignore_cleanup_errors=True) as temporary:
        os.chmod(temporary, 0o755)
        making = ["env", f"TMPDIR={temporary}", *making]
        pipe = f"set -o pipefail; {shlex.join(making)} | {shlex.join(unpacking)}"
        run_logged(["bash", "-c", pipe], log, f"mmdebstrap of {suite}", script=script)


def as_root(command: Sequence[str]) -> list[str]:
    """`command` as root of a mount namespace of its own, so that its mounts end with it."""
    enter = {
        "root": ["unshare", "--mount"],
        "unshare": ["unshare", "--map-root-user", "--mount"],
        "sudo": ["sudo", "unshare", "--mount"],
    }
    return [*enter[privilege()], *command]


def inside(
    tree: Path, command: Sequence[str], *, binds: Mapping[Path, str] | None = None
) -> list[str]:
    """The command line that runs `command` in the Debian root `tree`, with host directories
    bound in."""
    mounts = {Path("/dev"): "/dev", Path("/proc"): "/proc", **(binds or {})}
    # A make that was killed leaves a pipe there, named by its process id.
    script = ["set -e", f"mount -t tmpfs tmpfs {shlex.quote(f'{tree}/tmp')}"]
    for source, target in mounts.items():
        at = shlex.quote(f"{tree}{target}")
        script.append(f"mount --rbind {shlex.quote(str(source))} {at}")
    # sudo must not leave files of root in the user's cache.
    user = f"--userspec={os.getuid()}:{os.getgid()}" if privilege() == "sudo" else ""
    script.append(
        "exec env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin LC_ALL=C.UTF-8 HOME=/"
        f' chroot {user} {shlex.quote(str(tree))} "$@"'
    )
    return as_root(["sh", "-c", "\n".join(script), "sh", *command])
