"""What rtshm doctor makes of a machine's timing; all else is in the guest."""

from __future__ import annotations

import dataclasses
import os
import shutil
import struct
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import rtshm
from rtshm import doctor, errors, kernel_files
from rtshm.doctor import headers_remedy
from rtshm.lateness import Level, cpus_of, timing
from rtshm.recording.conditions import Machine

if TYPE_CHECKING:
    from collections.abc import Callable

    from rtshm.lateness import Finding

BARE = Machine(preemption="full", clocksource="tsc", virtualization="none", governor="performance")
CPUS = "sys/devices/system/cpu"


def put(root: Path, path: str, text: str | bytes) -> None:
    file = root / path
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(text if isinstance(text, bytes) else text.encode())


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """The /proc, /sys and /dev of a machine of four cpus that is set up for its ticks."""
    put(tmp_path, f"{CPUS}/online", "0-3\n")
    put(tmp_path, f"{CPUS}/isolated", "2-3\n")
    put(tmp_path, f"{CPUS}/nohz_full", "2-3\n")
    for number, (depth, latency) in enumerate([("POLL", 0), ("C1", 2), ("C6", 133)]):
        state = f"{CPUS}/cpu2/cpuidle/state{number}"
        put(tmp_path, f"{state}/name", f"{depth}\n")
        put(tmp_path, f"{state}/latency", f"{latency}\n")
        put(tmp_path, f"{state}/disable", f"{int(depth == 'C6')}\n")
    put(tmp_path, "proc/irq/24/effective_affinity_list", "0\n")
    (tmp_path / "proc/irq/24/nvme0q0").mkdir()
    # Of no device.
    put(tmp_path, "proc/irq/7/smp_affinity_list", "0-3\n")
    put(tmp_path, "dev/cpu_dma_latency", struct.pack("=i", 2_000_000_000))
    return tmp_path


def found(root: Path, machine: Machine = BARE) -> dict[str, Finding]:
    return {finding.check: finding for finding in timing(machine, root)}


def levels(machine: Machine, root: Path) -> dict[str, Level]:
    return {finding.check: finding.level for finding in timing(machine, root)}


def test_bare_machine_that_is_set_up_for_it_has_nothing_to_say(root: Path) -> None:
    assert set(levels(BARE, root).values()) == {Level.OK}
    assert not [finding.remedy for finding in timing(BARE, root) if finding.remedy]
    assert len(found(root)) == 8


@pytest.mark.parametrize("governor", ["powersave", "schedutil", "performance, powersave"])
def test_governor_that_slows_a_cpu_down_is_warned_of(root: Path, governor: str) -> None:
    machine = dataclasses.replace(BARE, governor=governor)
    assert found(root, machine)["governor"].level is Level.WARNING
    assert "cpupower" in found(root, machine)["governor"].remedy
    assert set(levels(machine, root).values()) == {Level.OK, Level.WARNING}


def without(*paths: str) -> Callable[[Path], None]:
    def change(root: Path) -> None:
        for path in paths:
            if (root / path).is_dir():
                shutil.rmtree(root / path)
            else:
                (root / path).unlink()

    return change


def written(path: str, text: str | bytes) -> Callable[[Path], None]:
    return lambda root: put(root, path, text)


@pytest.mark.parametrize(
    ("check", "change", "words"),
    [
        ("isolcpus", written(f"{CPUS}/isolated", "\n"), "no cpu is isolated: other tasks share"),
        ("nohz_full", written(f"{CPUS}/nohz_full", "(null)\n"), "no cpu: the scheduler ticks"),
        ("nohz_full", without(f"{CPUS}/nohz_full"), "not in this kernel: the scheduler ticks"),
        (
            "interrupts",
            written("proc/irq/24/effective_affinity_list", "0,3\n"),
            "interrupts 24 may come on an isolated cpu: a tick there waits",
        ),
        ("interrupts", written(f"{CPUS}/isolated", "\n"), "no cpu is kept free of the 1 inter"),
        (
            "c-states",
            written(f"{CPUS}/cpu2/cpuidle/state2/disable", "0\n"),
            "a cpu that sleeps in C6 takes 133 us to wake up, and its tick is that late",
        ),
    ],
)
def test_cause_of_lateness_is_named_with_a_remedy(
    root: Path, check: str, change: Callable[[Path], None], words: str
) -> None:
    change(root)
    finding = found(root)[check]
    assert finding.level is Level.WARNING
    assert finding.text.startswith(words)
    assert finding.remedy


def test_program_that_keeps_cpus_awake_is_seen(root: Path) -> None:
    put(root, f"{CPUS}/cpu2/cpuidle/state2/disable", "0\n")
    put(root, "dev/cpu_dma_latency", struct.pack("=i", 0))
    finding = found(root)["c-states"]
    assert (finding.level, finding.text.endswith("is held at 0")) == (Level.OK, True)


@pytest.mark.parametrize(
    ("check", "change"),
    [
        ("isolcpus", without(f"{CPUS}/isolated")),
        ("interrupts", without(f"{CPUS}/isolated")),
        ("interrupts", without("proc")),
        ("interrupts", without("proc/irq/24/effective_affinity_list")),
        ("c-states", without(f"{CPUS}/cpu2")),
        ("c-states", without(f"{CPUS}/cpu2/cpuidle/state1/disable")),
        *((check, without("sys", "proc")) for check in ("isolcpus", "nohz_full", "c-states")),
    ],
)
def test_check_that_could_not_look_is_not_ok(
    root: Path, check: str, change: Callable[[Path], None]
) -> None:
    change(root)
    assert found(root)[check].level is Level.UNKNOWN


def test_lists_of_cpus() -> None:
    assert cpus_of("0-2,5\n") == {0, 1, 2, 5}
    assert cpus_of("(null)\n") == cpus_of("\n") == set()


def test_this_machine_is_judged_and_nothing_raises() -> None:
    here = {finding.check: finding.level for finding in timing(Machine.now())}
    assert [*here] == [*found(Path("/"))]
    assert os.path.exists(f"/{CPUS}/isolated") is (here["isolcpus"] is not Level.UNKNOWN)


@pytest.mark.parametrize(
    ("release", "version", "remedy"),
    [
        (
            "6.12.117+deb13-amd64",
            "#1 SMP PREEMPT_DYNAMIC Debian 6.12.117-1 (2026-10-01)",
            "sudo apt-get install linux-headers-6.12.117+deb13-amd64",
        ),
        (
            "6.8.0-45-generic",
            "#45-Ubuntu SMP PREEMPT_DYNAMIC Fri Aug 30 12:02:04 UTC 2024",
            "sudo apt-get install linux-headers-6.8.0-45-generic",
        ),
        (
            "7.3.0-rc4",
            "#2 SMP PREEMPT Mon Nov 30 09:00:00 UTC 2026",
            "install the headers of 7.3.0-rc4 from where this kernel came",
        ),
    ],
)
def test_headers_are_a_package_only_of_a_kernel_of_the_archive(
    release: str, version: str, remedy: str
) -> None:
    assert headers_remedy(os.uname_result(("Linux", "here", release, version, "x86_64"))) == remedy


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A root with the module loaded and delegated, whose other files can be seen."""
    monkeypatch.setattr(doctor, "CLASS", tmp_path / "sys/class/rtshm")
    monkeypatch.setattr(doctor, "SIG_ENFORCE", tmp_path / "sys/module/module/sig/enforce")
    monkeypatch.setattr(kernel_files, "LOCKDOWN", tmp_path / "sys/security/lockdown")
    for user in (doctor, errors, kernel_files):
        monkeypatch.setattr(user, "MODULE", tmp_path / "sys/module/rtshm")
    for user in (doctor, errors):
        monkeypatch.setattr(user, "DEVICES", tmp_path / "dev/rtshm")
    put(tmp_path, "sys/module/rtshm/initstate", "live\n")
    put(tmp_path, "sys/module/rtshm/version", f"{rtshm.__version__}\n")
    put(tmp_path, "sys/module/rtshm/parameters/group", f"{kernel_files.NO_GROUP}\n")
    put(tmp_path, "sys/module/module/sig/enforce", "N\n")
    put(tmp_path, "file/rtshm.ko", "a module\n")
    (tmp_path / "dev/rtshm").mkdir(parents=True)
    (tmp_path / "sys/class/rtshm").mkdir(parents=True)
    return tmp_path


def examined(root: Path) -> dict[str, Finding]:
    return {finding.check: finding for finding in doctor.examine(root / "file/rtshm.ko")}


@pytest.mark.parametrize(
    ("check", "change"),
    [
        ("signed", without("sys")),
        ("delegated", without("sys/module/rtshm/parameters")),
        ("loaded", without("sys")),
        ("version", without("sys")),
        ("version", without("sys/module/rtshm/version")),
        ("device", without("sys")),
    ],
)
def test_part_of_the_module_that_cannot_be_seen_is_not_ok(
    machine: Path,
    monkeypatch: pytest.MonkeyPatch,
    check: str,
    change: Callable[[Path], None],
) -> None:
    monkeypatch.setattr(doctor, "_modinfo", lambda file, field: "")
    before = examined(machine)[check]
    assert before.level is (Level.WARNING if check == "device" else Level.OK)
    change(machine)
    assert examined(machine)[check].level is Level.UNKNOWN


def test_signature_is_unknown_without_modinfo(
    machine: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(doctor, "_modinfo", lambda file, field: None)
    finding = examined(machine)["signed"]
    assert (finding.level, finding.text) == (Level.UNKNOWN, "modinfo cannot be run")


def test_module_of_another_release_is_named(machine: Path) -> None:
    assert kernel_files.module_version() == rtshm.__version__
    put(machine, "sys/module/rtshm/version", "9.9\n")
    finding = examined(machine)["version"]
    assert finding.level is Level.WARNING
    assert finding.text == f"package {rtshm.__version__}, but module 9.9"
    assert kernel_files.module_version() == "9.9, another release"
