"""The lowest versions that the package declares of what it needs are enough."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

CHECKOUT = Path(__file__).parents[2]
TESTS = (
    *("attributes", "cli_", "errors", "layout", "man", "messages", "notebook", "parse", "plot"),
    *("public", "recording", "stream", "testing", "trigger"),
)


def lowest() -> dict[str, str]:
    """The lowest version of each library, of the package and of its extras."""
    project = tomllib.loads((CHECKOUT / "client/pyproject.toml").read_text())["project"]
    extras = project["optional-dependencies"]
    found: dict[str, str] = {}
    for each in [*project["dependencies"], *(one for name in extras for one in extras[name])]:
        if match := re.match(r"([a-z0-9_-]+)>=([0-9.]+)", each):
            assert found.setdefault(match[1], match[2]) == match[2], each
        else:
            assert each.startswith("rtshm["), each
    return found


def test_every_library_has_a_lowest_version() -> None:
    assert {"click", "mcap", "numpy", "plotly", "pyarrow"} <= lowest().keys()


@pytest.mark.more
def test_lowest_versions_pass_the_tests_of_files_and_pictures(tmp_path: Path) -> None:
    python = str(tmp_path / "venv/bin/python")
    subprocess.run([sys.executable, "-m", "venv", str(tmp_path / "venv")], check=True)
    pip = [python, "-m", "pip", "--disable-pip-version-check", "install", "-q"]
    wanted = [f"{name}=={version}" for name, version in lowest().items()]
    tools = ["duckdb>=1.1", "polars>=1.0", "pexpect", "playwright", "pytest>=8.2", "PyYAML"]
    tools += ["websockets>=13"]
    subprocess.run([*pip, *wanted, *tools], check=True)
    subprocess.run([*pip, "--no-deps", "--no-build-isolation", "setuptools"], check=True)
    subprocess.run([*pip, "--no-deps", str(CHECKOUT / "client")], check=True)
    files = [f"tests/host/test_{name}.py" for name in TESTS]
    found = [str(path) for name in files for path in CHECKOUT.glob(name.replace(".py", "*.py"))]
    # Not the checkout's, nor what another Python has imported.
    environment = {**os.environ, "PYTHONPATH": ""}
    done = subprocess.run(
        [
            python,
            "-m",
            "pytest",
            "-q",
            "-p",
            "no:cacheprovider",
            "-k",
            # Of disks and of browsers, and of nothing that a library's version changes.
            "not hour and not 100_moments and not jupyterlab",
            *found,
        ],
        cwd=CHECKOUT,
        env=environment,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout
    assert re.search(r"^\d+ passed", done.stdout, re.MULTILINE)
