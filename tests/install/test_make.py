"""make install and make uninstall, from a checkout."""

from __future__ import annotations

from pathlib import Path

from tests.install import machine
from tests.install.machine import CHECKOUT, KO, NODE, attempt, run


def test_make_uninstall_leaves_nothing_but_the_group_of_make_install(
    before: machine.Tree,
) -> None:
    run("make", "-C", CHECKOUT, "install")
    try:
        assert KO.exists()
        run("modprobe", "rtshm", "print=0")
        run("udevadm", "settle", "--timeout=60")
        assert NODE.group() == "rtshm"
        run("rmmod", "rtshm")
        header = Path("/usr/local/include/linux/rtshm.h")
        assert header.read_bytes() == (CHECKOUT / "kmod/include/uapi/linux/rtshm.h").read_bytes()
    finally:
        run("make", "-C", CHECKOUT, "uninstall")
    assert attempt("modprobe", "-n", "rtshm").returncode == 1
    after = machine.tree()
    left = [
        path for path in machine.difference(before, after) if after.get(path[1:]) != "directory"
    ]
    assert left == [f"~{path}" for path in machine.GROUPS]
