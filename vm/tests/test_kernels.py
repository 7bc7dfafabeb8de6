"""The table of kernels, and what becomes of a kernel that cannot be had as its row says."""

from __future__ import annotations

import os
import subprocess
from typing import TYPE_CHECKING

import pytest

from vm.host import accel, image, kernels, own_kernel, qemu
from vm.host.errors import HarnessError
from vm.host.processor import ARM64

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

TABLE = kernels.load()


# What the archive of a test has: apt-cache's answers.
APT_CACHE = """#!/bin/sh
case "$*" in
"madison linux-image-cloud-amd64" | "madison linux-headers-cloud-amd64") echo "it is there" ;;
"depends --important linux-image-cloud-amd64") echo "  Depends: linux-image-6.1.0-48-cloud-amd64" ;;
"depends --important linux-headers-cloud-amd64") echo "  Depends: linux-headers-$HEADERS" ;;
esac
"""


@pytest.mark.parametrize(
    ("name", "package", "headers", "complaint"),
    [
        ("5.99", "5.99-amd64", "", "the archive has no package linux-image-5.99-amd64"),
        # A metapackage stands for another version than when its row was written.
        ("5.10", "cloud-amd64", "6.1.0-48-cloud-amd64", "the archive now has linux-image-6.1.0-48"),
        ("6.1", "cloud-amd64", "6.1.0-47-cloud-amd64", "6.1.0-47-cloud-amd64 differ in version"),
    ],
)
def test_kernel_that_the_archive_does_not_have_is_named(
    tmp_path: Path, name: str, package: str, headers: str, complaint: str
) -> None:
    (tmp_path / "apt-cache").write_text(APT_CACHE)
    (tmp_path / "apt-cache").chmod(0o755)
    done = subprocess.run(
        ["sh", "-c", (image.HERE / "root.sh").read_text(), "sh", str(tmp_path / "root")],
        env={
            "PATH": f"{tmp_path}:{os.environ['PATH']}",
            "MMDEBSTRAP_APT_CONFIG": "",
            "ARCH": "",
            "KERNELS": f"{name} linux-image-{package} linux-headers-{package}",
            "HEADERS": headers,
        },
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    assert done.stdout.startswith(f"E: kernel {name}: ")
    assert complaint in done.stdout


def test_kernel_that_is_not_in_the_table_is_refused_with_those_that_are() -> None:
    with pytest.raises(HarnessError, match=r"no kernel '5\.4' in kernels\.toml; it has 6\.12, "):
        TABLE["5.4"]


# The last fragment that has it counts. Options that it switches off are not named here.
OVERRIDDEN = {"6.12-signed": {"CONFIG_MODULE_SIG_KEY"}}


def test_every_own_kernel_has_the_base_and_a_name_of_its_own() -> None:
    own = [kernel for kernel in TABLE.kernels.values() if kernel.own]
    assert own
    for kernel in own:
        assert kernel.config[0] == "base.config"
        texts = [(own_kernel.CONFIGS / name).read_text() for name in kernel.config]
        lines = own_kernel.settings("\n".join(texts).splitlines())
        names = [name for name, value in lines if value != "n"]
        twice = {name for name in names if names.count(name) > 1}
        assert twice == OVERRIDDEN.get(kernel.name, set()), f"{kernel.name}: in two fragments"
        # In the release, so that no module of another kernel is taken for one of this.
        variant = kernel.name.partition("-")[2]
        assert dict(lines)["CONFIG_LOCALVERSION"] == f'"-{variant}"'


def test_a_line_of_a_fragment_that_kconfig_did_not_keep_is_named() -> None:
    fragments = ['# why\nCONFIG_A=y\nCONFIG_B=n\nCONFIG_C="text"\n', "CONFIG_D=y\nCONFIG_E=16\n"]
    assert (
        own_kernel.missing(fragments, 'CONFIG_A=y\nCONFIG_C="text"\nCONFIG_D=y\nCONFIG_E=16') == []
    )
    assert own_kernel.missing(
        fragments, 'CONFIG_A=m\nCONFIG_B=y\nCONFIG_C=""\n# CONFIG_D is not set\n'
    ) == ["CONFIG_A=y", "CONFIG_B=n", 'CONFIG_C="text"', "CONFIG_D=y", "CONFIG_E=16"]


def test_own_kernel_that_lacks_an_option_is_not_compiled(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Kconfig is a program that does not know the option."""
    ran = []

    def run_logged(command: Sequence[str], log: Path, what: str) -> None:
        ran.append(command[-1])
        (tmp_path / "work/.config").write_text("CONFIG_64BIT=y\n")

    monkeypatch.setattr(own_kernel, "run_logged", run_logged)
    row = TABLE["6.12-kasan"]
    texts = {"base.config": "CONFIG_64BIT=y\nCONFIG_NO_SUCH_OPTION=y\n"}
    root = own_kernel.BuildRoot(tmp_path)
    with pytest.raises(HarnessError, match=r"kernel 6\.12-kasan: .* CONFIG_NO_SUCH_OPTION=y,"):
        own_kernel.compile_kernel(root, row, texts, tmp_path, tmp_path / "log")
    assert len(ran) == 2
    assert "merge_config.sh" in ran[-1]


def test_row_is_of_a_package_or_of_a_source(tmp_path: Path) -> None:
    table = tmp_path / "kernels.toml"
    table.write_text(
        'default = "x"\n[kernels.x]\nsuite = "sid"\nabout = ""\nimage = "i"\nsource = "s"\n'
    )
    with pytest.raises(HarnessError, match="kernel 'x' must have"):
        kernels.load(table)


def test_row_of_an_unknown_processor_is_refused(tmp_path: Path) -> None:
    table = tmp_path / "kernels.toml"
    table.write_text(
        'default = "x"\n[kernels.x]\nsuite = "sid"\nabout = ""\nimage = "i"\nheaders = "h"\n'
        'arch = "vax"\n'
    )
    with pytest.raises(HarnessError, match=r"kernel 'x': arch 'vax' is none of x86, um, arm64"):
        kernels.load(table)


def test_root_of_a_suite_has_kernels_of_one_processor() -> None:
    names = {kernel.name for kernel in TABLE.of_suite("trixie", ARM64)}
    assert "6.12-arm64" in names
    assert not names & {kernel.name for kernel in TABLE.of_suite("trixie")}


def test_arm64_kernel_is_run_by_its_own_qemu_without_kvm(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    boot = image.Boot(tmp_path / "k", tmp_path / "i", ARM64)
    accelerator, _ = accel.choose(boot)
    guest = qemu.Guest(boot, accelerator)
    line = qemu.command_line(guest, tmp_path / "c", dict.fromkeys((qemu.MONITOR, *qemu.PORTS), 0))
    assert line[0] == "qemu-system-aarch64"
    assert accelerator == "tcg"
    assert "console=ttyAMA0" in line[line.index("-append") + 1]
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(HarnessError, match=r"remedy: apt-get install qemu-system-arm$"):
        qemu.start(tmp_path, guest)
