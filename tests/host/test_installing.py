"""The installed files: the versions agree, all sources are there, and the wheel is whole."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest
import rtshm

from tests.lib import deb

CHECKOUT = Path(__file__).parents[2]


def dkms(name: str) -> str:
    """A setting of dkms.conf, as bash has it."""
    script = f'. "$1"; echo "${name}"'
    command = ["bash", "-c", script, "bash", str(CHECKOUT / "dkms.conf")]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()


def listed(*folders: str) -> set[str]:
    command = ["git", "-C", str(CHECKOUT), "ls-files", "-co", "--exclude-standard", *folders]
    return set(subprocess.run(command, capture_output=True, text=True, check=True).stdout.split())


def test_all_say_the_same_version() -> None:
    changelog = (CHECKOUT / "debian/changelog").read_text()
    match = re.match(r"rtshm \((\S+)\) ", changelog)
    assert match
    assert match[1] == dkms("PACKAGE_VERSION") == rtshm.__version__
    source = (CHECKOUT / "kmod/main.c").read_text()
    assert re.findall(r'^MODULE_VERSION\("(.*)"\);', source, re.MULTILINE) == [match[1]]
    versions = re.findall(r"^## ([0-9.]+)", (CHECKOUT / "CHANGELOG.md").read_text(), re.MULTILINE)
    assert versions[0] == match[1]


def test_build_depends_are_the_first_choice_of_each_and_no_other_field() -> None:
    control = (
        "Source: x\nBuild-Depends: a1 (>= 3) | b2, c3 <!nocheck>,\n d+4 [amd64],\nDepends: e5\n"
    )
    assert deb.build_depends(control) == ["a1", "c3", "d+4"]


@pytest.mark.parametrize(
    ("release", "wanted"),
    [
        ("5.10.0-32-amd64", False),
        ("6.1.0-51-cloud-amd64", True),
        ("6.2.16", False),
        ("6.4.0-rc7", False),
        ("6.5.0-1-amd64", True),
        ("6.12.117+deb13-cloud-amd64", True),
        ("6.19-rc1-amd64", True),
        ("7.3-rc4-amd64", True),
        ("10.0.0", True),
    ],
)
def test_dkms_builds_for_the_kernels_that_are_supported(release: str, wanted: bool) -> None:
    script = '. "$1"; [[ $2 =~ $BUILD_EXCLUSIVE_KERNEL ]]'
    command = ["bash", "-c", script, "bash", str(CHECKOUT / "dkms.conf"), release]
    assert (subprocess.run(command, check=False).returncode == 0) is wanted


def test_make_install_takes_all_sources_and_headers(tmp_path: Path) -> None:
    command = ["make", "-s", "-C", str(CHECKOUT), "install-files", f"DESTDIR={tmp_path}"]
    subprocess.run(command, check=True)
    source = tmp_path / f"usr/src/rtshm-{rtshm.__version__}"
    there = {str(path.relative_to(source)) for path in source.rglob("*") if path.is_file()}
    assert there == listed("kmod", "Kbuild", "dkms.conf")
    local = tmp_path / "usr/local"
    assert {path.name for path in (local / "include/linux").iterdir()} == {
        Path(name).name for name in listed("kmod/include/uapi")
    }
    assert (local / "lib/udev/rules.d/60-rtshm.rules").exists()
    # A machine's log is its own: of the ticks only changes are printed.
    settings = (local / "lib/modprobe.d/rtshm.conf").read_text().splitlines()
    assert [line for line in settings if not line.startswith("#")] == ["options rtshm print=2"]


@pytest.fixture
def source(tmp_path: Path) -> Path:
    """client/ as it is in a checkout, without what was built there."""
    for name in listed("client"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(CHECKOUT / name, tmp_path / name)
    return tmp_path / "client"


def wheel_of(source: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    """Make a wheel outside of the source."""
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "wheel", "-q", "--no-deps"]
    command = [*pip, "-w", str(source.parent), str(source)]
    return subprocess.run(
        command,
        env={**os.environ, **environment},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def test_source_and_wheel_pass_the_checks_of_an_index(source: Path, tmp_path: Path) -> None:
    out = tmp_path / "dist"
    build = [sys.executable, "-m", "build", "--outdir", str(out), str(source)]
    environment = {**os.environ, "RTSHM_RELEASE": "1"}
    done = subprocess.run(build, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    check = [sys.executable, "-m", "twine", "check", "--strict", *map(str, out.iterdir())]
    done = subprocess.run(check, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout
    assert done.stdout.count("PASSED") == 2
    (archive,) = out.glob("*.tar.gz")
    with tarfile.open(archive) as file:
        base = f"rtshm-{rtshm.__version__}"
        for name in ("LICENSE", "README.md", "rtshm/_publish.c", "rtshm/py.typed"):
            assert file.getmember(f"{base}/{name}").isreg(), name
        license = file.extractfile(f"{base}/LICENSE")
        assert license and license.read() == (CHECKOUT / "LICENSE").read_bytes()
    (wheel,) = out.glob("*.whl")
    with zipfile.ZipFile(wheel) as file:
        names = file.namelist()
        (metadata,) = (name for name in names if name.endswith(".dist-info/METADATA"))
        text = file.read(metadata).decode()
    assert [name for name in names if name.endswith("/LICENSE")]
    in_c = [name for name in names if name.endswith((".c", ".h", ".o"))]
    assert {name.rpartition("/")[0] for name in in_c} == {"rtshm/tasks"}
    assert {"rtshm/py.typed", "rtshm/_publish.abi3.so", "rtshm/_publish.pyi"} <= {*names}
    assert "License: GPL-2.0-only" in text or "License-Expression: GPL-2.0-only" in text
    assert "rtshm.testing.region()" in text


def test_release_fails_where_its_c_did_not_build(source: Path, tmp_path: Path) -> None:
    done = wheel_of(source, CC="false", RTSHM_RELEASE="1")
    assert done.returncode != 0
    assert not [*tmp_path.glob("*.whl")]


def test_wheels_are_of_two_architectures_and_one_python() -> None:
    for machine in ("x86_64", "aarch64"):
        command = [
            *(sys.executable, "-m", "cibuildwheel", "--print-build-identifiers"),
            *("--platform", "linux", "--archs", machine, str(CHECKOUT / "client")),
        ]
        done = subprocess.run(command, capture_output=True, text=True, check=True)
        assert done.stdout.split() == [f"cp311-manylinux_{machine}"]


@pytest.mark.promise("install: The package installs without a compiler")
@pytest.mark.parametrize("compiler", ["cc", "false"])
def test_client_is_built_with_its_c_and_without_a_compiler(
    source: Path, tmp_path: Path, compiler: str
) -> None:
    done = wheel_of(source, CC=compiler)
    assert done.returncode == 0, done.stdout
    # pip itself may have something to say; the package has not.
    assert not re.search("rtshm|publish|error|fail", done.stdout, re.IGNORECASE)
    (wheel,) = tmp_path.glob("*.whl")
    # For every later Python.
    assert wheel.name.startswith(f"rtshm-{rtshm.__version__}-cp311-abi3-linux_")
    with zipfile.ZipFile(wheel) as file:
        names = {name for name in file.namelist() if name.startswith("rtshm/")}
    # Those in BPF are compiled where there is clang.
    names = {name for name in names if not name.endswith(".bpf.o")}
    compiled = {"rtshm/_publish.abi3.so"} if compiler == "cc" else set()
    sources = {name.removeprefix("client/") for name in listed("client/rtshm")}
    assert names == (sources - {"rtshm/_publish.c"}) | compiled

    venv = tmp_path / "venv"
    subprocess.run([sys.executable, "-m", "venv", str(venv)], check=True)
    pip = [str(venv / "bin/pip"), "--disable-pip-version-check", "install", "-q", str(wheel)]
    subprocess.run(pip, check=True)
    for command in (["--help"], ["completion", "bash"]):
        done = subprocess.run(
            [str(venv / "bin/rtshm"), *command], cwd=tmp_path, capture_output=True, text=True
        )
        assert (done.returncode, done.stderr) == (0, "")
        assert "rtshm" in done.stdout
    script = "from rtshm import publisher as p; print(p.publisher is not p.publisher_in_python)"
    command = [str(venv / "bin/python"), "-c", script]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=True)
    assert done.stdout == f"{bool(compiled)}\n"
