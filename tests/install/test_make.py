"""make install and make uninstall, from a checkout."""

from __future__ import annotations

from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from tests.install import installed
from tests.install.installed import CHECKOUT, KO, NODE, attempt, run

if TYPE_CHECKING:
    from collections.abc import Iterator

# Where DKMS builds: ccache has what is compiled there, see tests/lib/deb.py.
BUILD = Path("/var/lib/dkms/rtshm", installed.VERSIONS[0], "build")


@contextmanager
def checkout_in_dkms_place() -> Iterator[Path]:
    BUILD.mkdir(parents=True)
    run("mount", "--bind", CHECKOUT, BUILD)
    yield BUILD
    run("umount", BUILD)
    for path in (BUILD, *BUILD.parents[:2]):
        path.rmdir()


def test_make_uninstall_leaves_nothing_but_the_group_of_make_install(
    before: installed.Tree,
) -> None:
    install_use_and_uninstall(CHECKOUT, KO)
    assert left(before) == [f"~{path}" for path in installed.GROUPS]


def test_without_dkms_the_module_is_built_for_the_running_kernel(before: installed.Tree) -> None:
    ko = Path("/lib/modules", installed.RELEASE, "updates/rtshm.ko")
    with checkout_in_dkms_place() as checkout:
        said = install_use_and_uninstall(checkout, ko, "DKMS=")
    assert f"There is no DKMS: rtshm.ko is installed for {installed.RELEASE} only." in said
    assert left(before) == [f"~{path}" for path in installed.GROUPS]
    assert not ko.parent.exists()


def install_use_and_uninstall(checkout: Path, ko: Path, *words: str) -> str:
    """What `make install` prints."""
    try:
        said = run("make", "-C", checkout, "install", *words)
        assert ko.exists()
        run("modprobe", "rtshm", "print=0")
        run("udevadm", "settle", "--timeout=60")
        assert NODE.group() == "rtshm"
        run("rmmod", "rtshm")
        header = Path("/usr/local/include/linux/rtshm.h")
        assert header.read_bytes() == (CHECKOUT / "kmod/include/uapi/linux/rtshm.h").read_bytes()
    finally:
        run("make", "-C", checkout, "uninstall", *words)
    assert attempt("modprobe", "-n", "rtshm").returncode == 1
    return said


def left(before: installed.Tree) -> list[str]:
    """What is not as before, but for directories."""
    after = installed.tree()
    return [
        path for path in installed.difference(before, after) if after.get(path[1:]) != "directory"
    ]
