"""What an administrator does and sees: commands, users, the files of the system."""

from __future__ import annotations

import hashlib
import os
import subprocess
from pathlib import Path
from typing import Any

CHECKOUT = Path(__file__).parents[2]
DIST = CHECKOUT / "dist"
RELEASE = os.uname().release
KO = Path(f"/lib/modules/{RELEASE}/updates/dkms/rtshm.ko")
# It needs no other.
OTHER_KO = CHECKOUT / "tests/probe/rtshm_probe.ko"
NODE = Path("/dev/rtshm/default")

# Without the checkout's command and package, and with what was compiled on the host:
# see tests/lib/deb.py.
ENVIRONMENT = {
    "PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
    "HOME": "/root",
    "LC_ALL": "C.UTF-8",
    "CCACHE_DIR": str(DIST / "ccache"),
    "DEBIAN_KERNEL_USE_CCACHE": "1",
}

# An ordinary user.
UID = 1000

# Where the group is, which stays.
GROUPS = (Path("/etc/group"), Path("/etc/gshadow"))

# The order of versions, as dpkg has it.
VERSIONS = sorted({deb.name.split("_")[1] for deb in DIST.glob("*.deb")})

Tree = dict[str, str]
ROOTS = ("/boot", "/etc", "/home", "/opt", "/root", "/srv", "/usr", "/var")
# dpkg's own books, the log's, those of the groups as they were before, and depmod's,
# which DKMS takes away with the last module; and the headers, which are many.
NOT_OURS = (
    *("/usr/src/linux-", "/usr/lib/linux-kbuild-"),
    *("/var/lib/dpkg", "/var/log", "/var/cache", "/etc/group-", "/etc/gshadow-"),
    f"/usr/lib/modules/{RELEASE}/modules.",
)


def run(*command: str | Path, **options: Any) -> str:
    """What a command prints on both; AssertionError with it if it fails."""
    done = attempt(*command, **options)
    assert done.returncode == 0, f"{command}: status {done.returncode}\n{done.stdout}"
    return done.stdout


def attempt(*command: str | Path, **options: Any) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [str(word) for word in command],
        env=ENVIRONMENT,
        cwd="/",
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        **options,
    )


def as_user(groups: list[int]) -> dict[str, Any]:
    """Options of run(): as an ordinary user, in these groups besides its own."""
    return {"user": UID, "group": UID, "extra_groups": groups}


def packages(version: str) -> list[Path]:
    found = sorted(DIST.glob(f"*_{version}_*.deb"))
    assert len(found) == 2, f"{version}: {found}"
    return found


def tree() -> Tree:
    """Every file with what is in it; of /usr and /var, where they are large, its size."""
    found = {}
    for root in ROOTS:
        for at, directories, files in os.walk(root):
            directories[:] = [name for name in directories if looked_at(f"{at}/{name}")]
            for path in (f"{at}/{name}" for name in directories + files):
                if looked_at(path):
                    found[path] = state(path)
    return found


def looked_at(path: str) -> bool:
    return not path.startswith(NOT_OURS) and path != str(CHECKOUT)


def state(path: str) -> str:
    if os.path.islink(path):
        return os.readlink(path)
    if os.path.isdir(path):
        return "directory"
    if path.startswith("/etc/"):
        return hashlib.sha256(Path(path).read_bytes()).hexdigest()
    return str(os.stat(path).st_size)


def difference(before: Tree, after: Tree) -> list[str]:
    """Paths that came (+), went (-) or changed (~)."""
    return [
        ("+" if path not in before else "-" if path not in after else "~") + path
        for path in sorted(before.keys() | after.keys())
        if before.get(path) != after.get(path)
    ]
