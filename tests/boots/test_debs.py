"""The Debian packages, and that DKMS builds the module for each kernel of the table."""

from __future__ import annotations

import re
import tomllib
from typing import TYPE_CHECKING

import pytest

from tests.lib import deb
from tests.lib.payload import CHECKOUT, TABLE

if TYPE_CHECKING:
    from pathlib import Path


def test_lintian_finds_nothing_in_packages_and_source() -> None:
    packages = deb.build(CHECKOUT)
    assert len([*packages.glob("*.dsc")]) == 1
    assert (packages / "lintian.txt").read_text().splitlines() == []


def test_an_error_is_what_lintian_calls_an_error(tmp_path: Path) -> None:
    (package,) = deb.build(CHECKOUT).glob("rtshm-dkms_*.deb")
    script = (
        "dpkg-deb -R /mnt/$1 /build/tree && rm /build/tree/usr/share/doc/rtshm-dkms/copyright && "
        "dpkg-deb -b /build/tree /build/bad.deb && { lintian --allow-root /build/bad.deb || :; }"
    )
    found = deb.inside(
        deb.root(),
        ["sh", "-c", script, "sh", package.name],
        {package.parent: "/mnt", tmp_path: "/build"},
    )
    assert "E: rtshm-dkms: no-copyright-file" in found


def test_package_depends_on_the_versions_that_the_client_declares() -> None:
    (package,) = deb.build(CHECKOUT).glob("python3-rtshm_*.deb")
    command = ["dpkg-deb", "-f", f"/mnt/{package.name}", "Depends"]
    depends = deb.inside(deb.root(), command, {package.parent: "/mnt"}).strip().split(", ")
    project = tomllib.loads((CHECKOUT / "client/pyproject.toml").read_text())["project"]
    wanted = [f"python3 (>= {project['requires-python'].removeprefix('>=')})"]
    for each in project["dependencies"]:
        found = re.fullmatch(r"([a-z0-9-]+)>=([0-9.]+)(?:,<([0-9.]+))?", each)
        assert found, each
        name, least, below = found.groups()
        wanted += [f"python3-{name} (>= {least})"]
        wanted += [f"python3-{name} (<< {below}~)"] if below else []
    assert {*wanted} <= {*depends}


def test_package_has_the_command_and_its_manual_page(tmp_path: Path) -> None:
    (package,) = deb.build(CHECKOUT).glob("python3-rtshm_*.deb")
    script = "dpkg-deb -x /mnt/$1 /build && cd /build && find usr -type f && zcat $2"
    page = "usr/share/man/man1/rtshm.1.gz"
    found = deb.inside(
        deb.root(),
        ["sh", "-c", script, "sh", package.name, page],
        {package.parent: "/mnt", tmp_path: "/build"},
    ).splitlines()
    assert "usr/bin/rtshm" in found
    for name in ("_publish.abi3.so", "tasks/safe.bpf.o", "tasks/queue.bpf.o"):
        assert f"usr/lib/python3/dist-packages/rtshm/{name}" in found
    assert page in found
    assert ".Dt RTSHM 1" in found


@pytest.mark.parametrize(
    "name",
    [
        pytest.param(kernel.name, marks=[] if kernel is TABLE[""] else [pytest.mark.more])
        for kernel in TABLE.kernels.values()
        if not kernel.own
    ],
)
def test_dkms_builds_for_a_kernel_that_does_not_run(name: str, tmp_path: Path) -> None:
    built = deb.dkms(CHECKOUT, TABLE[name], tmp_path)
    assert "warning:" not in (built / "log/make.log").read_text()
    assert (built / "module/rtshm.ko").exists()
    assert "rtshm_task_add" in (built / "module/Module.symvers").read_text()
