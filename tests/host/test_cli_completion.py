"""Completion: the scripts are whole, and the names are those of the kernel or a recording."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import click
import pytest
from rtshm.cli import parameters
from rtshm.cli.commands import rtshm
from rtshm.cli.fields import write

from tests.host.cli import run
from tests.host.recordings import made, written


@pytest.mark.parametrize(
    ("shell", "check"), [("bash", "-n"), ("zsh", "-n"), ("fish", "--no-execute")]
)
def test_script_is_one_that_its_shell_reads(tmp_path: Path, shell: str, check: str) -> None:
    done = run("completion", shell)
    assert (done.returncode, done.stderr) == (0, "")
    assert f"_RTSHM_COMPLETE={shell}_complete" in done.stdout
    if not shutil.which(shell):
        assert shell != "bash"
        return
    (tmp_path / "script").write_text(done.stdout)
    subprocess.run([shell, check, tmp_path / "script"], check=True)


def test_unknown_shell_is_refused_with_status_2() -> None:
    assert run("completion", "tcsh").returncode == 2


def complete(*words: str) -> list[str]:
    """What bash is told when TAB follows these words."""
    environment = {
        **os.environ,
        "_RTSHM_COMPLETE": "bash_complete",
        "COMP_WORDS": "\n".join(["rtshm", *words]),
        "COMP_CWORD": str(len(words)),
    }
    done = run(**environment)
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout.splitlines()


def test_commands_and_options_are_completed() -> None:
    assert complete("l") == ["plain,list", "plain,load", "plain,log"]
    assert complete("create", "motor", "--print", "e") == ["plain,every-tick"]
    assert "plain,--period" in complete("set", "motor", "--p")


def test_paths_of_devices_are_completed_as_files() -> None:
    assert complete("write", "/dev/rt") == ["file,/dev/rt"]


def test_fields_of_a_recording_are_completed(tmp_path: Path) -> None:
    file = str(tmp_path / "run.csv")
    written(made("speed:f64 gain:f32 _:x4", 3), Path(file))
    assert complete("plot", file, "--field", "g") == ["plain,gain"]
    assert complete("plot", file, "-o", "run.png", "--field", "gain", "--field", "sp") == [
        "plain,speed"
    ]
    (tmp_path / "run.csv").write_text("a")
    for line in (["plot", file], ["plot"], ["plot", "run.txt"], ["plot", "absent.csv"]):
        assert complete(*line, "--field", "g") == [""]


def completed(names: Path, incomplete: str, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    monkeypatch.setattr(parameters, "CLASS", names)
    context = click.Context(rtshm)
    return parameters.region_names(context, write.params[0], incomplete)


def test_names_are_those_of_the_regions(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("motor", "default", "motor.samples", "mo-2"):
        (tmp_path / name).touch()
    assert completed(tmp_path, "", monkeypatch) == ["default", "mo-2", "motor"]
    assert completed(tmp_path, "mo", monkeypatch) == ["mo-2", "motor"]
    assert completed(tmp_path, "x", monkeypatch) == []


def test_without_the_module_there_is_no_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert completed(tmp_path / "absent", "", monkeypatch) == []
