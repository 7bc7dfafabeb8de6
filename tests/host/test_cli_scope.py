"""What rtshm scope draws, saves and loads again."""

from __future__ import annotations

import os
import re
import sys
from typing import TYPE_CHECKING

import numpy
import pexpect
import pytest
import rtshm
from click.testing import CliRunner
from rtshm import ExtraError
from rtshm.cli.scope import View, _first, _saved
from rtshm.cli.scope import scope as command
from rtshm.recording.columns import chosen, dtype_of
from rtshm.recording.trigger import Mode, Sweep, Sweeper, Sweeps

from tests.host.recordings import begun, made, values

if TYPE_CHECKING:
    from pathlib import Path

    from rtshm.recording import Recording


def view(*recordings: Recording, fields: tuple[str, ...] = (), path: str | None = None) -> View:
    conditions = begun(*recordings)
    curves = [one for each in chosen(conditions, fields or _first(conditions)) for one in each]
    return View(conditions, 0, curves, None, path)


def test_fields_are_those_named_or_the_first_of_each_layout() -> None:
    motor, axis = made("speed:f64 axes:i32[2]", 3), made("at:f64", 3, name="axis2")
    for fields, shown in (
        ((), ["speed"]),
        (("axes", "some_int"), ["axes[0]", "axes[1]", "some_int"]),
        (("axes[1]", "lateness_ns"), ["axes[1]", "lateness_ns"]),
    ):
        assert [each.name for each in view(motor, fields=fields).curves] == shown
    assert [each.name for each in view(made("", 3)).curves] == ["some_int"]
    assert [each.name for each in view(motor, axis).curves] == ["motor.speed", "axis2.at"]
    for name in ("sped", "axes[2]", "a b", "motor.speed"):
        with pytest.raises(ValueError, match=f"no field {re.escape(name)} to draw; there are tick"):
            view(motor, fields=(name,))


@pytest.mark.parametrize("bad", [numpy.nan, numpy.inf, -numpy.inf, 1e308, -1.7e308])
@pytest.mark.parametrize("step", [1, 37])
def test_values_that_are_not_finite_are_not_drawn_and_are_counted(bad: float, step: int) -> None:
    motor = made("speed:f64", 500)
    rows = motor.array
    rows["speed"][::step] = bad
    sweep = Sweep(rows, None, whole=True, parts=(rows,))
    text = view(motor).draw(sweep, " auto", 80, 24).plain
    many = len(rows["speed"][::step])
    assert text.endswith(" auto" if abs(bad) < numpy.inf else f" auto {many} not finite ")


def test_curves_of_two_regions_are_in_one_picture(tmp_path: Path) -> None:
    motor, axis = made("speed:f64", 100), made("at:f64", 100, name="axis2")
    axis.array["at"] = 3
    sweep = Sweep(motor.array, 50, whole=True, parts=(motor.array, axis.array))
    shown = view(motor, axis).draw(sweep, "", 80, 24).plain
    assert "motor, axis2 motor.speed, axis2.at" in shown
    assert all(name in shown.split("\n", 1)[1] for name in ("motor.speed", "axis2.at"))
    assert "3.0" in shown


@pytest.mark.promise("scope: A sweep of several regions is saved and loaded again")
@pytest.mark.parametrize("suffix", [".arrows", ".mcap", ".csv"])
def test_saved_sweep_is_loaded_again(tmp_path: Path, suffix: str) -> None:
    motor, axis = made("speed:f64", 100), made("at:f64", 60, name="axis2")
    path = tmp_path / f"sweep{suffix}"
    shown = view(motor, axis, path=str(path))
    sweep = Sweep(motor.array, 30, whole=True, parts=(motor.array, axis.array))
    assert shown.save(None) == "there is no sweep yet"
    assert shown.save(sweep) == f"saved sweep{suffix}"
    assert shown.save(sweep) == f"saved sweep-2{suffix}"
    assert view(motor).save(sweep) == "give --save FILE"
    run = rtshm.load(path)
    arrays = [run[name].array for name in run.regions]
    conditions = [run[name].conditions for name in run.regions]
    assert [each.ended for each in conditions] == ["a sweep"] * 2
    dtypes = [dtype_of(each) for each in conditions]
    sweeps = Sweeps(Sweeper(20, 5, None, Mode.AUTO), 0, dtypes, 10**9)
    (back,) = _saved(arrays, conditions, sweeps, 0, None)
    assert back.at == 30
    for part, recording in zip(back.parts, (motor, axis), strict=True):
        assert values(recording.conditions, part) == values(recording.conditions, recording.array)


def test_sweeps_of_a_recording_are_shown_one_after_another(tmp_path: Path) -> None:
    motor = made("speed:f64", 1000)
    motor.array["speed"] = numpy.arange(1000) % 100
    with rtshm.Recorder(tmp_path / "run.arrows", begun(motor)) as recorder:
        recorder.write(motor.array)
        recorder.finish("test")
    command = ["-m", "rtshm", "scope", str(tmp_path / "run.arrows"), "--level", "50"]
    command += ["--width", "80", "--save", str(tmp_path / "one.csv")]
    scope = pexpect.spawn(
        sys.executable,
        command,
        env={**os.environ, "TERM": "xterm"},
        encoding="utf-8",
        timeout=60,
        dimensions=(24, 120),
    )
    scope.expect("sweep 1 of 9 ")
    scope.send("n")
    scope.expect("sweep 2 of 9 ")
    scope.send("s")
    scope.expect("saved one.csv")
    scope.send("p")
    scope.expect("sweep 1 of 9 ")
    scope.send("q")
    scope.expect(pexpect.EOF)
    scope.close()
    assert scope.exitstatus == 0
    saved = rtshm.load(tmp_path / "one.csv")
    assert saved.array["speed"].tolist() == (numpy.arange(130, 210) % 100).tolist()
    assert saved.conditions.edge_tick == 151


def test_terminal_that_cannot_be_painted_is_refused() -> None:
    env = {**os.environ, "TERM": "dumb"}
    scope = pexpect.spawn(sys.executable, ["-m", "rtshm", "scope", "x"], env=env, encoding="utf-8")
    scope.expect("scope needs a terminal, and not TERM=dumb; use rtshm record")
    scope.expect(pexpect.EOF)
    scope.close()
    assert scope.exitstatus == 2


def test_missing_library_is_named_with_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("rtshm.cli.scope.has_screen", lambda: True)
    monkeypatch.setitem(sys.modules, "plotext", None)
    done = CliRunner().invoke(command, ["x"])
    assert str(done.exception) == "scope takes plotext: pip install 'rtshm[scope]'"
    assert isinstance(done.exception, ExtraError)
