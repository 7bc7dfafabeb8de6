"""The package of a processor that the host is not of: it is built there, and used here.

The disk has what the package depends on. It has no dkms, since a guest under emulation is
too slow to compile the module: DKMS built it on the host, with the headers of the same kernel.
"""

from __future__ import annotations

from pathlib import Path

from tests.install.installed import CHECKOUT, DIST, KO, OTHER_KO, run

MODULES = KO.parents[2]
CLIENT = Path("/usr/lib/python3/dist-packages/rtshm")


def test_package_is_installed_used_and_purged() -> None:
    run("install", "-D", "-t", MODULES / "kernel", OTHER_KO)
    run("install", "-D", "-t", KO.parent, DIST / "rtshm.ko")
    run("depmod")
    # Of the disk's packages dpkg knows nothing: see space() in vm/host/image.py.
    (package,) = DIST.glob("python3-rtshm_*.deb")
    run("dpkg", "-i", "--force-depends", package)
    assert run("modinfo", "-n", "rtshm") == f"{KO}\n"
    run(CHECKOUT / "debian/tests/installed")
    assert "default" in run("rtshm", "list")
    extension = "from rtshm import _publish; print(_publish.__file__)"
    assert run("/usr/bin/python3", "-c", extension) == f"{CLIENT}/_publish.abi3.so\n"
    run("modprobe", "-r", "rtshm")
    run("dpkg", "-P", "python3-rtshm")
    assert not CLIENT.exists()
    assert not Path("/usr/bin/rtshm").exists()
