"""The life of the packages on a machine, in the order of the tests: each goes on from the last."""

from __future__ import annotations

import stat
import subprocess
from pathlib import Path

import pytest

from tests.install import installed
from tests.install.installed import CHECKOUT, DIST, KO, NODE, attempt, run
from tests.lib import raw

OLD, NEW = installed.VERSIONS
EXAMPLE = Path("/root/control")
# In the group that the package makes; nothing else.
CLIENT = """
import sys, rtshm
with rtshm.open() as region:
    for line in sys.stdin:
        region.publish(int(line))
        region.wait_taken(timeout=20)
        print(region.some_int, flush=True)
"""


def group() -> int:
    return int(run("getent", "group", "rtshm").split(":")[2])


def access(node: Path) -> tuple[str, int, int]:
    """As udev leaves it."""
    run("udevadm", "settle", "--timeout=60")
    found = node.stat()
    return stat.filemode(found.st_mode), found.st_uid, found.st_gid


def installed_versions() -> list[str]:
    """rtshm/VERSION of each line of dkms status, and the state."""
    return [
        f"{line.split(',')[0]}:{line.rsplit(':', 1)[1].strip()}"
        for line in run("dkms", "status", "rtshm").splitlines()
    ]


@pytest.mark.promise(
    "install: Installing builds the module for the running kernel and does not load it"
)
def test_install_builds_the_module_for_the_running_kernel(before: installed.Tree) -> None:
    run("dpkg", "-i", *installed.packages(OLD))
    assert installed_versions() == [f"rtshm/{OLD}:installed"]
    assert run("modinfo", "-n", "rtshm").strip().startswith(str(KO))
    assert not Path("/sys/module/rtshm").exists()
    assert group() > 0
    assert run("systemctl", "is-enabled", "rtshm") == "enabled\n"


def test_script_of_autopkgtest_passes() -> None:
    run(CHECKOUT / "debian/tests/installed")
    run("modprobe", "-r", "rtshm")


@pytest.mark.promise("install: A user of the group uses regions without root")
def test_user_of_the_group_uses_it(before: installed.Tree) -> None:
    run("modprobe", "rtshm", "period_ns=50000000")
    # insmod without parameters prints every tick.
    assert Path("/sys/module/rtshm/parameters/print").read_text() == "2\n"
    assert access(NODE) == ("crw-rw----", 0, group())
    run("rtshm", "write", "42", **installed.as_user([group()]))
    assert run("rtshm", "read", **installed.as_user([group()])) == "42\n"
    others = attempt("rtshm", "write", "42", **installed.as_user([]))
    assert others.returncode == 1
    assert "EACCES" in others.stdout


@pytest.mark.promise("install: A region made with a mode, an owner or a group keeps them")
def test_region_that_was_made_for_somebody_stays_theirs() -> None:
    made = {
        "plain": ([], ("crw-rw----", 0, group())),
        "reader": (["--mode", "0640"], ("crw-r-----", 0, 0)),
        "owned": (["--owner", "1000"], ("crw-------", 1000, 0)),
        "others": (["--group", "1234"], ("crw-------", 0, 1234)),
        "roots": (["--mode", "0200"], ("c-w-------", 0, 0)),
        "private": (["--mode", "0600"], ("crw-------", 0, 0)),
        "shown": (["--mode", "0400"], ("cr--------", 0, 0)),
        "raw": (["--phys", hex(raw.ADDRESS), "--size", "4096"], ("crw-------", 0, 0)),
    }
    for name, (options, expected) in made.items():
        run("rtshm", "create", name, *options)
        assert access(NODE.with_name(name)) == expected
    samples = {
        "plain": ("cr--r-----", 0, group()),
        "roots": ("c---------", 0, 0),
        "private": ("cr--------", 0, 0),
        "shown": ("cr--------", 0, 0),
        "raw": ("cr--------", 0, 0),
    }
    for name, expected in samples.items():
        run("rtshm", "set", name, "--history", "16")
        assert access(NODE.with_name(f"{name}.samples")) == expected
    run("rtshm", "delete", *made)


@pytest.mark.promise("install: A 32-bit program works on the 64-bit kernel")
def test_program_of_32_bits_shares_the_memory_and_reads_samples() -> None:
    run("rtshm", "set", "default", "--history", "256", "--record-bytes", "8")
    assert access(NODE.with_name("default.samples")) == ("cr--r-----", 0, group())
    assert run(DIST / "client32", "-7", **installed.as_user([group()])) == "-7\n"
    run("rtshm", "set", "default", "--history", "0")


def test_other_module_is_built_against_the_installed_headers() -> None:
    run("cp", "-R", f"/usr/src/rtshm-{OLD}/kmod/examples/pi", EXAMPLE)
    run("make", "-C", EXAMPLE)
    run("insmod", EXAMPLE / "rtshm_pi.ko", "region=default")
    try:
        assert "\n  pi " in run("rtshm", "show", "default")
    finally:
        run("rmmod", "rtshm_pi")
        run("rm", "-r", EXAMPLE)


@pytest.mark.promise("install: An upgrade does not disturb a running client")
def test_upgrade_does_not_disturb_a_running_client(before: installed.Tree) -> None:
    client = subprocess.Popen(
        ["/usr/bin/python3", "-c", CLIENT],
        env=installed.ENVIRONMENT,
        cwd="/",
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        user=installed.UID,
        group=installed.UID,
        extra_groups=[group()],
    )
    assert client.stdin and client.stdout
    with client:
        for value, act in ((1, None), (2, installed.packages(NEW))):
            if act:
                run("dpkg", "-i", *act)
            client.stdin.write(f"{value}\n")
            client.stdin.flush()
            assert client.stdout.readline() == f"{value}\n"
        # The module that runs is the old one, until nobody uses it.
        busy = attempt("modprobe", "-r", "rtshm")
        assert busy.returncode == 1
        assert "in use" in busy.stdout
    assert client.returncode == 0
    assert installed_versions() == [f"rtshm/{NEW}:installed"]
    assert not Path(f"/usr/src/rtshm-{OLD}").exists()
    run("modprobe", "-r", "rtshm")
    run("modprobe", "rtshm")
    run("rtshm", "write", "3")
    assert NEW in run("/usr/bin/python3", "-c", "import rtshm; print(rtshm.__version__)")


@pytest.mark.promise("install: Removing the package leaves a loaded module until it is unloaded")
def test_removal_leaves_a_loaded_module_until_it_is_unloaded(before: installed.Tree) -> None:
    run("dpkg", "-r", "rtshm-dkms", "python3-rtshm")
    assert not list(KO.parent.glob("rtshm.ko*"))
    assert attempt("modprobe", "-n", "rtshm").returncode == 1
    assert NODE.exists()
    run("rmmod", "rtshm")
    run("udevadm", "settle", "--timeout=60")
    assert not NODE.parent.exists()


@pytest.mark.promise("install: A purge leaves nothing but the group")
def test_purge_leaves_nothing_but_the_group(before: installed.Tree) -> None:
    run("dpkg", "-P", "rtshm-dkms", "python3-rtshm")
    assert "rtshm" not in run("dpkg-query", "-W")
    assert installed.difference(before, installed.tree()) == [
        f"~{path}" for path in installed.GROUPS
    ]
