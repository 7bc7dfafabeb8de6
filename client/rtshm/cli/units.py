"""Sizes, times, modes and owners: as people type them, and as they read them again."""

from __future__ import annotations

import grp
import pwd
import re
from collections.abc import Callable

from rtshm.durations import U64_MAX

U32_MAX = 2**32 - 1

_SIZES = {"": 1, "K": 2**10, "M": 2**20, "G": 2**30}


def parse_size(text: str) -> int:
    """Bytes. Raises ValueError that says what is wrong and what is right."""
    match = re.fullmatch(r"([0-9]{1,20})([KMG]?)", text.upper(), re.ASCII)
    if not match:
        raise ValueError(f"{text!r} is not a size; give bytes as 4096, 64K, 1M or 1G")
    if (size := int(match[1]) * _SIZES[match[2]]) > U64_MAX:
        raise ValueError(f"{text!r} is out of range")
    return size


def size_text(size: int) -> str:
    unit = max((unit for unit in _SIZES if not size % _SIZES[unit]), key=_SIZES.__getitem__)
    return f"{size // _SIZES[unit]}{unit}" if size else "0"


address_text = "{:#x}".format
mode_text = "{:04o}".format


def _parser(digits: str, base: int, most: int, what: str) -> Callable[[str], int]:
    """Return what makes a number of a text of such digits, and ValueError of any other."""

    def parse(text: str) -> int:
        if not re.fullmatch(digits, text, re.ASCII) or int(text, base) > most:
            raise ValueError(f"{text!r} is not {what}")
        return int(text, base)

    return parse


# What the fields of a message carry; the kernel says what else it wants of it.
parse_count = _parser("[0-9]{1,20}", 10, U64_MAX, f"a number from 0 to {U64_MAX}")
parse_number = _parser("[0-9]{1,10}", 10, U32_MAX, f"a number from 0 to {U32_MAX}")
parse_mode = _parser("[0-7]{1,4}", 8, 0o7777, "a mode; give octal digits, as 0660")
parse_address = _parser(
    *("0[xX][0-9a-fA-F]{1,16}", 16, U64_MAX),
    what="an address; give it in hexadecimal, as 0x40000000",
)


def _id(text: str, what: str, number_of: Callable[[str], int]) -> int:
    """The number of a name, or of a number that is not a name."""
    try:
        return number_of(text)
    except KeyError:
        pass
    try:
        return parse_number(text)
    except ValueError as error:
        raise ValueError(f"{error}, and there is no such {what}") from None


def parse_user(text: str) -> int:
    return _id(text, "user", lambda name: pwd.getpwnam(name).pw_uid)


def parse_group(text: str) -> int:
    return _id(text, "group", lambda name: grp.getgrnam(name).gr_gid)


def user_text(uid: int) -> str | int:
    """The name of a uid, or the number where it has none."""
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return uid
