""".github/workflows/ci.yml: it calls make, and the kernels are those of the table.

What GitHub makes of it cannot be seen here; that it is well formed, `make lint` sees.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from tests.lib import suites
from tests.lib.payload import TABLE

if TYPE_CHECKING:
    from collections.abc import Iterator

CHECKOUT = Path(__file__).parents[2]
WORKFLOW = CHECKOUT / ".github/workflows/ci.yml"
ACTIONS = CHECKOUT / ".github/actions"


def jobs() -> dict[str, Any]:
    loaded: dict[str, Any] = yaml.safe_load(WORKFLOW.read_text())["jobs"]
    return loaded


def steps() -> Iterator[dict[str, Any]]:
    for job in jobs().values():
        yield from job["steps"]
    for action in ACTIONS.glob("*/action.yml"):
        yield from yaml.safe_load(action.read_text())["runs"]["steps"]


def test_kernels_are_those_of_the_table_that_have_tests() -> None:
    command = [sys.executable, "-m", "tests.lib.suites"]
    printed = subprocess.run(command, cwd=CHECKOUT, stdout=subprocess.PIPE, check=True).stdout
    names = json.loads(printed)
    assert set(names) == {suite.kernel for suite in suites.all_suites()}
    # On one line: what a step says of itself is lines.
    assert printed.count(b"\n") == 1
    guest = jobs()["guest"]
    assert guest["strategy"]["matrix"] == {"kernel": "${{ fromJSON(needs.kernels.outputs.names) }}"}
    assert guest["env"] == {"KERNEL": "${{ matrix.kernel }}"}
    assert "names=$(make -s kernels)" in jobs()["kernels"]["steps"][-1]["run"]
    for name in TABLE.kernels:
        assert not re.search(rf"{re.escape(name)}\b", WORKFLOW.read_text())


def test_every_command_is_a_target_of_make_or_a_program_of_ci() -> None:
    targets = re.findall(r"^([a-z-]+):", (CHECKOUT / "Makefile").read_text(), re.MULTILINE)
    commands = [step["run"] for step in steps() if "run" in step]
    assert len(commands) >= 4
    for command in commands:
        # The one that hands something on to other jobs.
        command = re.sub(r'^echo "\w+=\$\((.*)\)" >>"\$GITHUB_OUTPUT"$', r"\1", command)
        if target := re.fullmatch(r"make (?:-s )?([a-z-]+)", command):
            assert target[1] in targets
        else:
            assert os.access(CHECKOUT / command, os.X_OK), command


def test_what_is_referred_to_is_there() -> None:
    """What actionlint looks for, which is not on PyPI as a wheel nor in Debian."""
    for name, job in jobs().items():
        needs = [job["needs"]] if "needs" in job else []
        text = yaml.safe_dump(job)
        for need, output in re.findall(r"needs\.([\w-]+)\.outputs\.([\w-]+)", text):
            assert need in needs, name
            assert output in jobs()[need]["outputs"], name
        for step, _output in re.findall(r"steps\.([\w-]+)\.outputs\.([\w-]+)", text):
            assert step in [each.get("id") for each in job["steps"]], name
        for key in re.findall(r"matrix\.([\w-]+)", text):
            assert key in job["strategy"]["matrix"], name
    for step in steps():
        if step.get("uses", "").startswith("./"):
            assert (CHECKOUT / step["uses"] / "action.yml").exists()


def test_inputs_of_the_cache_are_there() -> None:
    text = (ACTIONS / "machine/action.yml").read_text()
    found = re.search(r"hashFiles\((.*)\)", text)
    assert found
    for pattern in re.findall(r"'!?([^']+)'", found[1]):
        assert list(CHECKOUT.glob(pattern)), pattern
