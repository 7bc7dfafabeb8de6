"""rtshm doctor: each finding is caused, and is gone when its cause is.

What takes another boot is in tests/boots/test_secure_boot.py, and udev's part in
tests/install. No frequency of a cpu is set in a virtual machine: tests/host/test_doctor.py
has what is made of a governor.
"""

from __future__ import annotations

import gzip
import json
import lzma
import os
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import rtshm
from rtshm import doctor

from tests.lib import module
from tests.lib.command import run

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.lib.fixtures import Load

    Cause = Callable[[Path, str], None]
    Found = tuple[str, str, str]

# It installs the module, makes a group, and sets what makes ticks late.
pytestmark = pytest.mark.needs("settings")

MODULES = Path("/lib/modules", os.uname().release)
INSTALLED = MODULES / "updates/rtshm.ko"
PREEMPT = Path("/sys/kernel/debug/sched/preempt")
CLOCKSOURCE = Path("/sys/devices/system/clocksource/clocksource0")
GROUPS = Path("/etc/group")
USER = 1000
GID = 2000


def examine(file: Path | None = None) -> dict[str, Found]:
    """Level, text and remedy of each check, as root."""
    return {
        finding.check: (finding.level.value, finding.text, finding.remedy)
        for finding in doctor.examine(file)
    }


def command(
    user: int | None = None, group: int | None = None, unshare: int = 0
) -> dict[str, Found]:
    """The same by the command, with its status; as a user of no group but one."""
    done = run("doctor", "--json", user=user, group=group, unshare=unshare)
    assert done.stderr == ""
    rows = json.loads(done.stdout)
    found = {row["check"]: (row["level"], row["text"], row["remedy"]) for row in rows}
    worst = {level for level, _, _ in found.values()}
    assert done.returncode == (4 if "error" in worst else 3 if "warning" in worst else 0)
    return found


@pytest.fixture
def installed() -> Iterator[Path]:
    """The module where modprobe finds it."""
    INSTALLED.parent.mkdir(parents=True, exist_ok=True)
    INSTALLED.write_bytes(module.KO.read_bytes())
    subprocess.run(["depmod"], check=True)
    yield INSTALLED
    INSTALLED.unlink()
    subprocess.run(["depmod"], check=True)


@pytest.fixture
def write() -> Iterator[Cause]:
    """write(file, text): the file has its text again after the test."""
    before: dict[Path, str] = {}

    def change(path: Path, text: str) -> None:
        before.setdefault(path, path.read_text())
        path.write_text(text)

    yield change
    for path, text in before.items():
        # Of a file of choices, the one that was marked.
        marked = text.partition("(")[2].partition(")")[0]
        path.write_text(marked or text)


def test_all_is_well_with_what_is_installed_and_loaded(installed: Path, load: Load) -> None:
    load(print=0)
    found = examine()
    assert found["module"] == ("ok", str(installed), "")
    assert found["loaded"] == ("ok", "the module is loaded", "")
    version = rtshm.__version__
    assert found["version"] == ("ok", f"package and module are {version}", "")
    assert run("--version").stdout == f"rtshm {version} (module: {version})\n"
    assert found["built"] == ("ok", f"for the running kernel, {os.uname().release}", "")
    assert found["signed"] == ("ok", "not signed; this kernel takes modules that are not", "")
    assert found["device"] == ("ok", "/dev/rtshm/default", "")
    level, text, _ = found["netlink"]
    assert (level, text.rpartition(" ")[0]) == ("ok", "generic netlink family")


@pytest.mark.parametrize("mapped", [False, True])
def test_process_that_holds_a_deleted_region_is_named(load: Load, mapped: bool) -> None:
    load(print=0)
    assert examine()["held"] == ("ok", "no deleted region is in use", "")
    with rtshm.Control() as control:
        control.create("motor")
        region = rtshm.open("motor")
        kept = region.memory
        if mapped:
            region.close()
        control.delete("motor")
    level, text, _ = examine()["held"]
    assert level == "warning"
    assert f"motor by process {os.getpid()} (" in text
    # The command is forked here, and has the mapping, too.
    assert command(user=USER)["held"][0] != "ok"
    del kept
    region.close()
    assert examine()["held"][0] == "ok"


def test_user_is_told_what_cannot_be_told(load: Load) -> None:
    """What only root can read is not judged, and a node that cannot be opened not called well."""
    load(print=0)
    with rtshm.Control() as control:
        control.create("open", mode=0o666)
    found = command(user=USER)
    assert found["device"][0] == "warning"
    assert found["device"][1] == "you cannot open /dev/rtshm/default"
    if examine()["preemption"][1].split(":")[0] not in ("PREEMPT_RT", "unknown"):
        assert found["preemption"][0] == "-"


def test_each_finding_is_a_line_with_its_remedy() -> None:
    done = run("doctor")
    lines = done.stdout.splitlines()
    assert command() == examine()
    assert [line.split()[1] for line in lines] == list(examine())
    wanted = "error    loaded       the module is not loaded; remedy: sudo modprobe rtshm"
    assert wanted in lines
    assert done.returncode == 4


def test_module_that_is_not_installed(load: Load) -> None:
    level, text, remedy = examine()["module"]
    assert (level, text) == ("error", "not installed")
    assert "make install" in remedy
    # Until the next boot it is there.
    load(print=0)
    assert examine()["module"][:2] == ("warning", "not installed")


def test_module_that_is_installed_for_another_kernel() -> None:
    other = Path("/lib/modules/6.9.9-other/updates/dkms/rtshm.ko")
    other.parent.mkdir(parents=True)
    other.write_bytes(module.KO.read_bytes())
    try:
        level, text, remedy = examine()["module"]
    finally:
        subprocess.run(["rm", "-r", "/lib/modules/6.9.9-other"], check=True)
    assert level == "error"
    assert text == f"installed for 6.9.9-other and not for {os.uname().release}, which runs"
    assert "dkms autoinstall" in remedy


def test_module_that_is_not_loaded(installed: Path) -> None:
    found = examine()
    assert found["module"][0] == "ok"
    assert found["loaded"] == ("error", "the module is not loaded", "sudo modprobe rtshm")
    assert {found["device"][0], found["netlink"][0]} == {"-"}
    named = examine(module.KO)
    assert named["loaded"][2] == f"sudo insmod {module.KO}"


def test_module_that_was_replaced_since_it_was_loaded(installed: Path, load: Load) -> None:
    load(print=0)
    note = Path("/sys/module/rtshm/notes/.note.gnu.build-id").read_bytes()
    data = installed.read_bytes()
    assert note in data
    installed.write_bytes(data.replace(note, note[:-1] + bytes([note[-1] ^ 1])))
    level, text, remedy = examine()["loaded"]
    assert (level, text) == ("warning", f"the loaded module is not {installed}")
    assert "modprobe -r rtshm" in remedy


@pytest.mark.parametrize("pack", [gzip.compress, lzma.compress])
def test_compressed_module_that_is_cut_short(
    tmp_path: Path, load: Load, pack: Callable[[bytes], bytes]
) -> None:
    file = tmp_path / {gzip.compress: "rtshm.ko.gz", lzma.compress: "rtshm.ko.xz"}[pack]
    load(print=0)
    whole = pack(module.KO.read_bytes())
    file.write_bytes(whole)
    assert examine(file)["loaded"][0] == "ok"
    file.write_bytes(whole[: len(whole) // 2])
    # What it is not can be told of a file that can be read.
    assert examine(file)["loaded"][0] == "ok"
    assert examine(file)["built"][:2] == ("error", f"{file} is not a kernel module")


def test_module_that_was_built_for_another_kernel(installed: Path) -> None:
    release = os.uname().release
    other = "9" + release[1:]
    remedy = f"sudo dkms install rtshm/{rtshm.__version__} -k {release} --force"
    data = installed.read_bytes().replace(
        f"vermagic={release}".encode(), f"vermagic={other}".encode()
    )

    installed.write_bytes(data)
    text = f"for {other}, but {release} runs"
    assert examine()["built"] == ("warning", f"{text}, which may accept it nevertheless", remedy)
    assert examine(installed)["built"][2] == "make"
    module.insert(installed, print=0)
    module.unload()

    # Of a kernel that has no versions of symbols: there the releases are compared.
    installed.write_bytes(data.replace(b" modversions ", b" xodversions "))
    assert examine()["built"] == ("error", text, remedy)
    with pytest.raises(OSError, match="Exec format error"):
        module.insert(installed)


def test_file_that_is_not_a_module(tmp_path: Path) -> None:
    file = tmp_path / "rtshm.ko"
    assert examine(file)["module"][:2] == ("error", f"{file} does not exist")
    file.write_text("no module\n")
    assert examine(file)["built"][:2] == ("error", f"{file} is not a kernel module")


def test_device_that_is_not_there(load: Load) -> None:
    load(print=0)
    node = module.DEVICE
    node.unlink()
    level, text, remedy = examine()["device"]
    assert (level, text) == (
        "error",
        f"the kernel has the region, but its node {node} does not exist",
    )
    assert remedy == "outside of containers: sudo rtshm delete default, and create it again"
    with rtshm.Control() as control:
        control.delete("default")
        control.create("default")
    assert examine()["device"][0] == "ok"


def test_no_region(load: Load) -> None:
    load(print=0)
    assert run("delete", "default").returncode == 0
    assert examine()["device"] == ("warning", "there is no region", "sudo rtshm create NAME")


def test_device_that_is_not_for_this_user(load: Load) -> None:
    load(print=0)
    level, text, remedy = command(user=USER, group=USER)["device"]
    assert (level, text) == ("error", "you may open none of /dev/rtshm/{default}")
    assert "usermod -aG rtshm" in remedy


def test_group_that_is_missing_and_user_who_is_not_in_it(write: Cause) -> None:
    assert examine()["group"][:2] == ("warning", "no group rtshm: only root can use regions")
    write(GROUPS, GROUPS.read_text() + f"rtshm:x:{GID}:\n")
    assert examine()["group"] == ("ok", "rtshm, which root need not be in", "")
    level, text, remedy = command(user=USER, group=USER)["group"]
    assert (level, text) == ("warning", "you are not in rtshm")
    assert remedy == "sudo usermod -aG rtshm USER, then log in again"
    assert command(user=USER, group=GID)["group"] == ("ok", "you are in rtshm", "")


def test_headers_that_are_missing() -> None:
    build = MODULES / "build"
    target = Path(os.path.realpath(build))
    level, text, remedy = examine()["headers"]
    assert (level, remedy) == ("warning", doctor.headers_remedy(os.uname()))
    assert text.startswith(f"no headers of {os.uname().release}")
    (target / "include").mkdir(parents=True)
    try:
        assert examine()["headers"] == ("ok", str(build), "")
    finally:
        (target / "include").rmdir()
        target.rmdir()


def test_netlink_in_another_network_namespace(load: Load) -> None:
    load(print=0)
    level, text, remedy = command(unshare=module.CLONE_NEWNET)["netlink"]
    assert level == "error"
    assert "ENOENT" in text
    assert "initial network namespace" in remedy


def test_preemption_that_lets_readers_wait(write: Cause) -> None:
    write(PREEMPT, "voluntary")
    level, text, remedy = examine()["preemption"]
    assert (level, text.partition(":")[0]) == ("warning", "voluntary")
    assert "preempt=full" in remedy
    write(PREEMPT, "full")
    assert examine()["preemption"] == ("ok", "full", "")


def test_clocksource_that_is_slow(write: Cause) -> None:
    current = CLOCKSOURCE / "current_clocksource"
    there = (CLOCKSOURCE / "available_clocksource").read_text().split()
    slow = next(name for name in there if name in ("hpet", "acpi_pm"))
    write(current, slow)
    level, text, remedy = examine()["clocksource"]
    assert (level, text) == ("warning", f"{slow}: slow to read, or coarse")
    assert "dmesg" in remedy


def test_virtual_machine() -> None:
    level, text, remedy = examine()["virtualised"]
    assert level == "warning"
    assert "QEMU" in text
    assert remedy == "measure on the machine itself"
