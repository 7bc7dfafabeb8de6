"""What the prompt takes for a number: what strtol means, and nothing that it lets through."""

from __future__ import annotations

import pytest
from rtshm.cli.fields import parse_int


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("0", 0),
        ("-0", 0),
        ("+7", 7),
        ("007", 7),
        ("2147483647", 2**31 - 1),
        ("-2147483648", -(2**31)),
        ("0" * 39 + "5", 5),
        ("0x10", 16),
        ("-0X7fFF", -32767),
    ],
)
def test_decimal_and_hexadecimal_are_taken(text: str, value: int) -> None:
    assert parse_int(text) == value


@pytest.mark.parametrize(
    "text",
    ["", "-", "+-1", "1 2", "1_0", "0x", "0xg", "x1", "1e3", "1.0", "\u0661\u0662", "quit", "--1"],
)
def test_invalid_number_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"is not a number; give a number from -2147483648 to"):
        parse_int(text)


@pytest.mark.parametrize("text", ["2147483648", "-2147483649", "9" * 40])
def test_out_of_range_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=rf"{text} is out of range; give a number from"):
        parse_int(text)


def test_long_line_is_refused_in_a_short_one() -> None:
    with pytest.raises(ValueError, match=r"^'9999999999'\.\.\. \(10000 characters\) is too long"):
        parse_int("9" * 10_000)
