"""Sizes, times, modes and owners: as people type them, and as they read them again."""

from __future__ import annotations

import grp
import pwd
import re

from rtshm.durations import U64_MAX
from rtshm.durations import parse_time as parse_time
from rtshm.durations import period_nanoseconds as period_nanoseconds
from rtshm.durations import period_text as period_text
from rtshm.durations import rate_text as rate_text
from rtshm.durations import time_text as time_text

U32_MAX = 2**32 - 1

_SIZES = {"": 1, "K": 2**10, "M": 2**20, "G": 2**30}
_TIMES = {"ns": 1, "us": 10**3, "ms": 10**6, "s": 10**9}


def parse_size(text: str) -> int:
    """Bytes. Raises ValueError that says what is wrong and what is right."""
    match = re.fullmatch(r"([0-9]{1,20})([KMG]?)", text.upper(), re.ASCII)
    if not match:
        raise ValueError(f"{text!r} is not a size; give bytes as 4096, 64K, 1M or 1G")
    return _u64(text, int(match[1]) * _SIZES[match[2]])


def size_text(size: int) -> str:
    unit = max((unit for unit in _SIZES if not size % _SIZES[unit]), key=_SIZES.__getitem__)
    return f"{size // _SIZES[unit]}{unit}" if size else "0"


def parse_count(text: str) -> int:
    """Any number that the kernel takes. Raises ValueError."""
    if not re.fullmatch(r"[0-9]{1,20}", text, re.ASCII):
        raise ValueError(f"{text!r} is not a number from 0 to {U64_MAX}")
    return _u64(text, int(text))


def parse_address(text: str) -> int:
    """A physical address. Raises ValueError that says what is wrong and what is right."""
    if not re.fullmatch(r"0[xX][0-9a-fA-F]{1,16}", text, re.ASCII):
        raise ValueError(f"{text!r} is not an address; give it in hexadecimal, as 0x40000000")
    return int(text, 16)


def address_text(address: int) -> str:
    return f"{address:#x}"


def measured(ns: float) -> str:
    """A time that was measured: 512 ns, 12.3 us."""
    unit = max(
        (unit for unit in _TIMES if _TIMES[unit] <= ns), key=_TIMES.__getitem__, default="ns"
    )
    return f"{ns:.0f} ns" if unit == "ns" else f"{ns / _TIMES[unit]:.1f} {unit}"


def parse_number(text: str) -> int:
    """What fits a 32-bit field of a message; the kernel says what else it wants of it."""
    if not re.fullmatch(r"[0-9]{1,10}", text, re.ASCII) or int(text) > U32_MAX:
        raise ValueError(f"{text!r} is not a number from 0 to {U32_MAX}")
    return int(text)


def parse_mode(text: str) -> int:
    """An access mode. Raises ValueError that says what is wrong and what is right."""
    if not re.fullmatch(r"[0-7]{1,4}", text, re.ASCII):
        raise ValueError(f"{text!r} is not a mode; give octal digits, as 0660")
    return int(text, 8)


def mode_text(mode: int) -> str:
    return f"{mode:04o}"


def parse_user(text: str) -> int:
    """The uid of a name, or of a number that is not a name."""
    try:
        return pwd.getpwnam(text).pw_uid
    except KeyError:
        return _id(text, "user")


def user_text(uid: int) -> str | int:
    """The name of a uid, or the number where it has none."""
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return uid


def parse_group(text: str) -> int:
    """The gid of a name, or of a number that is not a name."""
    try:
        return grp.getgrnam(text).gr_gid
    except KeyError:
        return _id(text, "group")


def group_text(gid: int) -> str | int:
    """The name of a gid, or the number where it has none."""
    try:
        return grp.getgrgid(gid).gr_name
    except KeyError:
        return gid


def _id(text: str, what: str) -> int:
    try:
        return parse_number(text)
    except ValueError as error:
        raise ValueError(f"{error}, and there is no such {what}") from None


def _u64(text: str, value: int) -> int:
    if value > U64_MAX:
        raise ValueError(f"{text!r} is out of range")
    return value
