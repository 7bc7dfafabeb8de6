"""The steps of CI: .ci/run, and .github/workflows/ci.yml, which runs each in a job.

`make lint` sees that the workflow is well formed; GitHub itself cannot be run here.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.lib import suites

CHECKOUT = Path(__file__).parents[2]
WORKFLOW = CHECKOUT / ".github/workflows/ci.yml"
ACTION = CHECKOUT / ".github/actions/machine/action.yml"

# Says what was made, as pytest closes; `make test-vm` fails if there is a file `broken`.
MAKEFILE = """\
.PHONY: test-vm
test-vm:
	@test ! -e broken
	@echo '===== 7 passed in 0.12s (0:00:01) ====='
%:
	@echo 'made $@ $(KERNEL)$(ONLY)'
"""


def git(checkout: Path, *words: str) -> None:
    identity = ["-c", "user.name=x", "-c", "user.email=x@localhost"]
    subprocess.run(["git", "-C", checkout, *identity, *words], check=True, capture_output=True)


def commit(checkout: Path, name: str) -> None:
    path = checkout / name
    path.parent.mkdir(exist_ok=True)
    path.write_text(f"{name}\n")
    git(checkout, "add", "-A")
    git(checkout, "commit", "-m", name)


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A repository with .ci/run and a Makefile, on a branch of main."""
    git(tmp_path, "init", "-b", "main")
    (tmp_path / ".ci").mkdir()
    shutil.copy(CHECKOUT / ".ci/run", tmp_path / ".ci/run")
    (tmp_path / "Makefile").write_text(MAKEFILE)
    commit(tmp_path, "vm/machine.py")
    git(tmp_path, "checkout", "-b", "branch")
    return tmp_path


def ci(checkout: Path, *words: str, **variables: str) -> subprocess.CompletedProcess[str]:
    environment = {name: value for name, value in os.environ.items() if name != "CI_BASE"}
    return subprocess.run(
        [checkout / ".ci/run", *words],
        env=environment | variables,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )


def test_vm_is_tested_where_it_changed_since_the_branch_left_main(checkout: Path) -> None:
    commit(checkout, "docs/page.md")
    assert "left out: vm: vm/ is as in " in ci(checkout, "vm").stdout
    commit(checkout, "vm/qemu.py")
    done = ci(checkout, "vm")
    assert "7 passed" in done.stdout and "left out" not in done.stdout


@pytest.mark.parametrize("name", ["vm/machine.py", "vm/new.py"])
def test_vm_is_tested_where_a_change_is_not_committed(checkout: Path, name: str) -> None:
    commit(checkout, "docs/page.md")
    (checkout / name).write_text("changed\n")
    assert "7 passed" in ci(checkout, "vm").stdout


@pytest.mark.parametrize("base", ["", "0" * 40, "HEAD"])
def test_vm_is_tested_where_it_has_nothing_to_be_compared_with(checkout: Path, base: str) -> None:
    git(checkout, "checkout", "main")
    assert "7 passed" in ci(checkout, "vm", CI_BASE=base).stdout


def test_base_of_a_push_is_what_it_was_pushed_onto(checkout: Path) -> None:
    git(checkout, "checkout", "main")
    commit(checkout, "docs/page.md")
    assert "left out: vm" in ci(checkout, "vm", CI_BASE="HEAD~1").stdout


def test_failed_step_is_named_at_the_end_and_the_others_run(checkout: Path) -> None:
    (checkout / "broken").touch()
    done = ci(checkout, "vm", "lint")
    assert done.returncode == 1
    assert "made lint" in done.stdout
    assert re.search(r"^vm: FAILED in \d+ s$", done.stdout, re.MULTILINE)
    assert done.stdout.endswith("FAILED: vm\n")


def test_closing_lines_of_pytest_are_repeated_at_the_end(checkout: Path) -> None:
    done = ci(checkout)
    assert done.returncode == 0
    end = done.stdout[done.stdout.index("lint: passed") :].splitlines()
    (vm,) = [at for at, line in enumerate(end) if re.fullmatch(r"vm: passed in \d+ s", line)]
    assert end[vm + 1].strip().startswith("===== 7 passed in 0.12s")
    assert [line for line in end if line.startswith("left out: ")] == [
        "left out: all other kernels, stress, packages, and the step `more`: make test-all"
    ]


def test_steps_that_do_not_fit_into_the_time_are_left_out_and_named(checkout: Path) -> None:
    done = ci(checkout, CI_MINUTES="6")
    assert "made test \n" in done.stdout and "made bench publish tick\n" in done.stdout
    for step in ("vm", "kernel 6.12-kasan"):
        assert f"left out: {step}: 0 minutes are gone, and it may take " in done.stdout


def test_kernel_takes_a_name(checkout: Path) -> None:
    assert "made test 6.1\n" in ci(checkout, "kernel", "6.1").stdout


@pytest.mark.parametrize("words", [["lint", "nonsense"], ["lint", "kernel"]])
def test_unknown_step_is_refused_before_any_step_runs(checkout: Path, words: list[str]) -> None:
    done = ci(checkout, *words)
    assert done.returncode == 2
    assert len(done.stdout.splitlines()) == 1


def test_list_has_every_kernel_that_has_suites() -> None:
    done = ci(CHECKOUT, "list")
    assert len(done.stdout.splitlines()) == 1
    listed = json.loads(done.stdout)
    kernels = {step.removeprefix("kernel ") for step in listed if step.startswith("kernel ")}
    assert kernels == {suite.kernel for suite in suites.all_suites()}


def test_workflow_runs_the_steps_that_are_listed() -> None:
    jobs: dict[str, Any] = yaml.safe_load(WORKFLOW.read_text())["jobs"]
    (listing,) = [step for step in jobs["steps"]["steps"] if step.get("id") == "list"]
    assert listing["run"] == 'echo "steps=$(.ci/run list)" >>"$GITHUB_OUTPUT"'
    assert jobs["steps"]["outputs"] == {"steps": "${{ steps.list.outputs.steps }}"}
    job = jobs["step"]
    assert job["needs"] == "steps"
    assert job["strategy"]["matrix"] == {"step": "${{ fromJSON(needs.steps.outputs.steps) }}"}
    assert job["env"]["STEP"] == "${{ matrix.step }}"
    assert [step["run"] for step in job["steps"] if "run" in step] == [".ci/run $STEP"]


def test_cache_key_is_of_files_that_exist() -> None:
    found = re.search(r"hashFiles\((.*)\)", ACTION.read_text())
    assert found
    for pattern in re.findall(r"'!?([^']+)'", found[1]):
        assert list(CHECKOUT.glob(pattern)), pattern


def test_package_is_tested_on_every_python_that_it_is_for() -> None:
    jobs: dict[str, Any] = yaml.safe_load(WORKFLOW.read_text())["jobs"]
    matrix = jobs["python"]["strategy"]["matrix"]
    project = tomllib.loads((CHECKOUT / "client/pyproject.toml").read_text())["project"]
    said = re.findall(r"Python :: (3\.\d+)", "\n".join(project["classifiers"]))
    assert matrix["python"] == said
    assert project["requires-python"] == f">={said[0]}"
    (free,) = matrix["include"]
    assert free["python"] == f"{said[-1]}t"
    left_out = free["leave-out"].split()[1::2]
    for path in (*left_out, free["requirements"], *matrix["requirements"]):
        assert (CHECKOUT / path).exists(), path


def test_wheels_are_built_for_both_machines_and_checked() -> None:
    job: dict[str, Any] = yaml.safe_load(WORKFLOW.read_text())["jobs"]["wheel"]
    machines = [each["machine"] for each in job["strategy"]["matrix"]["include"]]
    assert machines == ["x86_64", "aarch64"]
    commands = " ".join(step.get("run", "") for step in job["steps"])
    assert "cibuildwheel --output-dir dist client" in commands
    assert "twine check --strict dist/*" in commands


def test_debian_packages_are_built_for_both_machines_and_kept() -> None:
    job: dict[str, Any] = yaml.safe_load(WORKFLOW.read_text())["jobs"]["debs"]
    machines = [each["machine"] for each in job["strategy"]["matrix"]["include"]]
    assert machines == ["amd64", "arm64"]
    commands = " ".join(step.get("run", "") for step in job["steps"])
    assert "dpkg-buildpackage -us -uc -b" in commands
    (kept,) = [step["with"] for step in job["steps"] if "upload-artifact" in step.get("uses", "")]
    assert f"mv ../*.deb ../*.changes {kept['path']}" in commands
