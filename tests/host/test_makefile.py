"""What `make` does where a machine is not as most are: modes, paths."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

CHECKOUT = Path(__file__).parents[2]


def test_installed_files_are_for_all_whatever_the_umask(tmp_path: Path) -> None:
    """Nor do the modes of the checkout matter, which is cloned under the same umask."""
    checkout = tmp_path / "checkout"
    for name in ("Makefile", "Kbuild", "dkms.conf", "kmod", "system", "vm/vm.mk"):
        source, copy = CHECKOUT / name, checkout / name
        copy.parent.mkdir(parents=True, exist_ok=True)
        shutil.copytree(source, copy) if source.is_dir() else shutil.copy(source, copy)
    subprocess.run(["chmod", "-R", "go=", checkout], check=True)
    command = ["make", "-s", "-C", str(checkout), "install-files", f"DESTDIR={tmp_path}/root"]
    subprocess.run(command, check=True, umask=0o077)
    installed = [tmp_path / "root", *(tmp_path / "root").rglob("*")][1:]
    assert len(installed) > 40
    closed = [path for path in installed if path.stat().st_mode & 0o044 != 0o044]
    assert closed == []
    assert [
        path for path in installed if path.is_dir() and path.stat().st_mode & 0o11 != 0o11
    ] == []


def test_two_makes_at_once_set_up_the_python_tools_once(tmp_path: Path) -> None:
    made = ("tests/requirements.txt", "client/pyproject.toml", "client/setup.py")
    for name in ("Makefile", "dkms.conf", "vm/vm.mk", *made, "client/rtshm/_publish.c"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(CHECKOUT / name, tmp_path / name)
    python = tmp_path / "bin/python3"
    python.parent.mkdir()
    python.write_text(
        '#!/bin/sh\necho "$@" >>made\nsleep 1\n'
        "mkdir -p .venv/bin && cp bin/python3 .venv/bin/python\n"
    )
    python.chmod(0o755)
    command = ["make", "-s", "-C", str(tmp_path), "SETUP=true", ".venv/stamp"]
    environment = {"PATH": f"{python.parent}:/usr/bin:/bin"}
    both = [subprocess.Popen(command, env=environment) for _ in range(2)]
    assert [make.wait() for make in both] == [0, 0]
    assert (tmp_path / "made").read_text().splitlines() == [
        "-m venv --clear .venv",
        "-m pip install -qq --no-compile -r tests/requirements.txt -e client",
    ]


def test_path_with_a_space_is_refused_in_words(tmp_path: Path) -> None:
    checkout = tmp_path / "my work"
    (checkout / "vm").mkdir(parents=True)
    for name in ("Makefile", "dkms.conf", "vm/vm.mk"):
        shutil.copy(CHECKOUT / name, checkout / name)
    done = subprocess.run(
        ["make", "-C", checkout], capture_output=True, text=True, env={"PATH": "/usr/bin:/bin"}
    )
    assert done.returncode == 2
    assert f"kbuild cannot build below a path with a space: {checkout}" in done.stderr
