"""Which field rtshm scope draws."""

from __future__ import annotations

import os
import sys

import click
import numpy
import pexpect
import pytest
from rtshm.cli.scope import Picture, column
from rtshm.recording.trigger import Sweep

HEAD = [("tick", "u8"), ("some_int", "i4"), ("ready", "u1")]
PLAIN = numpy.dtype(HEAD)
DTYPE = numpy.dtype([*HEAD, ("speed", "f8"), ("axes", "i4", (2,)), ("point", [("x", "i2")])])


def test_field_is_that_of_its_name_or_the_first_of_the_layout() -> None:
    rows = numpy.zeros(3, DTYPE)
    rows["speed"] = [1.5, 2.5, 3.5]
    rows["axes"] = [[1, 2], [3, 4], [5, 6]]
    for name, shown, values in (
        (None, "speed", [1.5, 2.5, 3.5]),
        ("axes[1]", "axes[1]", [2, 4, 6]),
        ("some_int", "some_int", [0, 0, 0]),
    ):
        found, take = column(DTYPE, name)
        assert (found, list(take(rows))) == (shown, values)
    assert column(PLAIN, None)[0] == "some_int"


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("sped", "there is no field 'sped'; there are tick, some_int, ready, speed, axes, point"),
        ("axes", r"axes is no number; one of it: axes\[0\]"),
        ("axes[2]", "axes has no element 2"),
        ("speed[0]", "speed has no element 0"),
        ("point", "point is no number"),
        ("a b", "there is no field 'a b'"),
    ],
)
def test_field_that_is_no_number_is_refused(name: str, message: str) -> None:
    with pytest.raises(click.UsageError, match=message):
        column(DTYPE, name)


@pytest.mark.parametrize("bad", [numpy.nan, numpy.inf, -numpy.inf, 1e308, -1.7e308])
@pytest.mark.parametrize("step", [1, 37])
def test_values_that_are_not_finite_are_not_drawn_and_are_counted(bad: float, step: int) -> None:
    rows = numpy.zeros(500, [("time_ns", "u8"), ("speed", "f8")])
    rows["time_ns"] = numpy.arange(500)
    rows["speed"] = numpy.sin(numpy.arange(500) / 20)
    rows["speed"][::step] = bad
    picture = Picture("motor speed", lambda rows: rows["speed"], level=None)
    text = picture.draw(Sweep(rows, None, whole=True), " auto", 80, 24).plain
    many = len(rows["speed"][::step])
    assert text.endswith(" auto" if abs(bad) < numpy.inf else f" auto {many} not finite ")


def test_terminal_that_cannot_be_painted_is_refused() -> None:
    env = {**os.environ, "TERM": "dumb"}
    scope = pexpect.spawn(sys.executable, ["-m", "rtshm", "scope", "x"], env=env, encoding="utf-8")
    scope.expect(r"this terminal cannot be painted \(TERM=dumb\); use rtshm record")
    scope.expect(pexpect.EOF)
    scope.close()
    assert scope.exitstatus == 2
