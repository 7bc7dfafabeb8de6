"""Which field rtshm scope draws."""

from __future__ import annotations

import click
import numpy
import pytest
from rtshm.cli.scope import column

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
