"""Sizes, times, modes and owners as they are typed, and as they are shown."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest
from rtshm import durations, errors
from rtshm.cli import units

from tests.host.cli import run

if TYPE_CHECKING:
    from collections.abc import Callable


@pytest.mark.parametrize(
    ("text", "size", "shown"),
    [
        ("4096", 4096, "4K"),
        ("64K", 65536, "64K"),
        ("64k", 65536, "64K"),
        ("1M", 2**20, "1M"),
        ("1G", 2**30, "1G"),
        ("12288", 12288, "12K"),
        ("4097", 4097, "4097"),
        ("0", 0, "0"),
    ],
)
def test_sizes_are_taken_and_shown(text: str, size: int, shown: str) -> None:
    assert units.parse_size(text) == size
    assert units.size_text(size) == shown
    assert units.parse_size(shown) == size


@pytest.mark.parametrize(
    ("text", "address"),
    [("0x40000000", 2**30), ("0X1f", 31), ("0x0", 0), ("0xffffffffffffffff", 2**64 - 1)],
)
def test_addresses_are_taken_and_shown(text: str, address: int) -> None:
    assert units.parse_address(text) == address
    assert units.address_text(address) == text.lower()


@pytest.mark.parametrize("text", ["", "4096", "1M", "0x", "-0x1", "0x1_0", "0x10000000000000000"])
def test_invalid_address_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"give it in hexadecimal, as 0x40000000$"):
        units.parse_address(text)


@pytest.mark.parametrize(
    "text", ["", "K", "-1", "4 K", "4KB", "4KiB", "1T", "0x1000", "1.5M", "\uff11"]
)
def test_invalid_size_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"is not a size; give bytes as 4096, 64K, 1M or 1G$"):
        units.parse_size(text)


@pytest.mark.parametrize(
    ("text", "ns", "shown"),
    [
        ("500ms", 500_000_000, "500ms"),
        ("1ms", 1_000_000, "1ms"),
        ("100us", 100_000, "100us"),
        ("2s", 2_000_000_000, "2s"),
        ("1500000ns", 1_500_000, "1.5ms"),
        ("1.5ms", 1_500_000, "1.5ms"),
        ("0.25s", 250_000_000, "250ms"),
        ("1000.001us", 1_000_001, "1.000001ms"),
        ("3600s", 3_600_000_000_000, "3600s"),
        ("100s", 100_000_000_000, "100s"),
        ("999ns", 999, "999ns"),
        ("0s", 0, "0ns"),
    ],
)
def test_times_are_taken_and_shown_exactly(text: str, ns: int, shown: str) -> None:
    assert durations.parse_time(text) == ns
    assert durations.time_text(ns) == shown
    assert durations.parse_time(shown) == ns


@pytest.mark.parametrize("text", ["", "5", "ms", "-5ms", "5 ms", "5m", "5MS", "1e3ns", ".s", "5.s"])
def test_invalid_time_is_refused(text: str) -> None:
    forms = "give a number and its unit, for example 2s, 500ms, 100us or 1500000ns"
    with pytest.raises(ValueError, match=f"^{re.escape(repr(text))} is not a time; {forms}$"):
        durations.parse_time(text)


@pytest.mark.parametrize("text", ["0.5ns", "1.0005us"])
def test_part_of_a_nanosecond_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=rf"^'{text}' is not a whole number of nanoseconds$"):
        durations.parse_time(text)


@pytest.mark.parametrize(
    ("parse", "text"),
    [
        (units.parse_size, "18446744073709551616"),
        (units.parse_size, "17179869184G"),
        (durations.parse_time, "18446744073709551616ns"),
        (durations.parse_time, "18446744074s"),
    ],
)
def test_value_that_no_message_can_carry_is_refused(parse: Callable[[str], int], text: str) -> None:
    with pytest.raises(ValueError, match=f"^'{text}' is out of range$"):
        parse(text)


@pytest.mark.parametrize(
    ("ns", "text"),
    [
        (0, "0 ns"),
        (512, "512 ns"),
        (1024, "1.0 us"),
        (12_345, "12.3 us"),
        (35_000_000, "35.0 ms"),
        (2.5e9, "2.5 s"),
        (1234.5, "1.2 us"),
    ],
)
def test_measured_times_have_a_unit_that_fits(ns: float, text: str) -> None:
    assert durations.measured(ns) == text


@pytest.mark.parametrize(
    ("text", "mode"), [("0660", 0o660), ("600", 0o600), ("0", 0), ("7777", 0o7777)]
)
def test_modes_are_octal(text: str, mode: int) -> None:
    assert units.parse_mode(text) == mode


@pytest.mark.parametrize("text", ["", "0o660", "888", "rw-", "-1", "00660", "6 0"])
def test_invalid_mode_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"is not a mode; give octal digits, as 0660$"):
        units.parse_mode(text)


def test_mode_is_shown_as_it_is_typed() -> None:
    assert units.mode_text(0o660) == "0660"


def test_owners_are_names_or_numbers() -> None:
    assert units.parse_user("root") == units.parse_user("0") == 0
    assert units.parse_group("root") == units.parse_group("0") == 0
    assert units.parse_user("4294967294") == 4294967294
    assert units.user_text(0) == errors.group_text(0) == "root"
    assert units.user_text(4_000_000_000) == errors.group_text(4_000_000_000) == 4_000_000_000


@pytest.mark.parametrize("text", ["no-such-name", "", "-1", "4294967296"])
def test_unknown_owner_is_refused(text: str) -> None:
    limits = "is not a number from 0 to 4294967295, and there is no such"
    with pytest.raises(ValueError, match=f"^'{text}' {limits} user$"):
        units.parse_user(text)
    with pytest.raises(ValueError, match=f"^'{text}' {limits} group$"):
        units.parse_group(text)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--size", "5KB"], "Invalid value for '--size': '5KB' is not a size; give bytes as 4096"),
        (["--period", "5"], "Invalid value for '--period': '5' is not a time; give a number and"),
        (["--print", "on"], "Invalid value for '--print': 'on' is not one of 'off', 'every-tick'"),
        (["--history", "-1"], "Invalid value for '--history': '-1' is not a number from 0 to"),
        (["--record-bytes", "x"], "Invalid value for '--record-bytes': 'x' is not a number"),
        (["--mode", "9"], "Invalid value for '--mode': '9' is not a mode; give octal digits"),
        (["--owner", "no-such"], "Invalid value for '--owner': 'no-such' is not a number"),
        (["--group", "no-such"], "Invalid value for '--group': 'no-such' is not a number"),
        (["--cpu", "any"], "Invalid value for '--cpu': 'any' is not a number from 0 to"),
    ],
)
def test_create_refuses_bad_values_with_status_2(arguments: list[str], message: str) -> None:
    done = run("create", "motor", *arguments)
    assert (done.returncode, done.stdout) == (2, "")
    assert f"Error: {message}" in done.stderr


def test_set_without_anything_to_set_is_a_usage_error() -> None:
    done = run("set", "motor")
    assert (done.returncode, done.stdout) == (2, "")
    assert "Usage: rtshm set [OPTIONS] NAME\n" in done.stderr
    said = "nothing to set: give what is to be changed; `rtshm set --help` lists the options"
    assert f"Error: {said}\n" in done.stderr
