"""The control ABI in bytes: kmod/netlink/rtshm.yaml, declared for pyroute2.

A request goes in, and a reply comes out, as a whole netlink message; what is
known of it elsewhere is plain values by the names of RegionInfo's fields.
"""

# pyroute2 has no types.
# mypy: disallow-subclassing-any=False
from __future__ import annotations

import enum
import operator
from typing import TYPE_CHECKING, Any

from pyroute2.netlink import NLA_F_NESTED, genlmsg, nla

if TYPE_CHECKING:
    from collections.abc import Collection

FAMILY = "rtshm"
VERSION = 1
REGIONS_GROUP = "regions"
DETAILS_GROUP = "details"
PRINT_MODES = {0: "off", 1: "every-tick", 2: "changes"}
CLOCKS = {0: "monotonic", 1: "realtime", 2: "tai"}
LATENESS_BINS = 32
RECORD_BYTES_MAX = 4096

# struct nlattr has 16 bits for its length, and the header and a NUL are in it.
_TEXT_BYTES_MAX = 2**16 - 1 - 4 - 1


class Command(enum.IntEnum):
    REGION_GET = 1
    REGION_NEW = 2
    REGION_DEL = 3
    REGION_SET = 4
    REGION_NEW_NTF = 5
    REGION_DEL_NTF = 6
    REGION_SET_NTF = 7
    TASK_NEW = 8
    TASK_SET = 9
    TASK_DEL = 10


class counters(nla):
    prefix = "RTSHM_A_COUNTERS_"
    nla_flags = NLA_F_NESTED
    nla_map = (
        ("RTSHM_A_COUNTERS_UNSPEC", "none"),
        ("RTSHM_A_COUNTERS_PAD", "none"),
        ("RTSHM_A_COUNTERS_TICKS", "uint64"),
        ("RTSHM_A_COUNTERS_MISSED", "uint64"),
        ("RTSHM_A_COUNTERS_PUBLISHED", "uint64"),
        ("RTSHM_A_COUNTERS_LATENESS_MIN_NS", "uint64"),
        ("RTSHM_A_COUNTERS_LATENESS_MAX_NS", "uint64"),
        ("RTSHM_A_COUNTERS_LATENESS_SUM_NS", "uint64"),
        ("RTSHM_A_COUNTERS_LATENESS_HISTOGRAM", "histogram"),
    )

    class histogram(nla):
        fields = (("value", f"{LATENESS_BINS}Q"),)


class task(nla):
    prefix = "RTSHM_A_TASK_"
    nla_flags = NLA_F_NESTED
    nla_map = (
        ("RTSHM_A_TASK_UNSPEC", "none"),
        ("RTSHM_A_TASK_PAD", "none"),
        ("RTSHM_A_TASK_NAME", "asciiz"),
        ("RTSHM_A_TASK_TICKS", "uint64"),
        ("RTSHM_A_TASK_TIME_MAX_NS", "uint64"),
        ("RTSHM_A_TASK_OVERRUNS", "uint64"),
        ("RTSHM_A_TASK_STOPPED", "uint8"),
        ("RTSHM_A_TASK_RECORD_BYTES", "uint32"),
        ("RTSHM_A_TASK_PROG_ID", "uint32"),
        ("RTSHM_A_TASK_INSNS_MAX", "uint32"),
    )


class region(genlmsg):
    prefix = "RTSHM_A_REGION_"
    nla_map = (
        ("RTSHM_A_REGION_UNSPEC", "none"),
        ("RTSHM_A_REGION_PAD", "none"),
        ("RTSHM_A_REGION_NAME", "asciiz"),
        ("RTSHM_A_REGION_ID", "uint32"),
        ("RTSHM_A_REGION_SIZE", "uint64"),
        ("RTSHM_A_REGION_PERIOD_NS", "uint64"),
        ("RTSHM_A_REGION_PRINT", "print_mode"),
        ("RTSHM_A_REGION_RECORD_DEPTH", "uint32"),
        ("RTSHM_A_REGION_RECORD_BYTES", "uint32"),
        ("RTSHM_A_REGION_LAYOUT", "asciiz"),
        ("RTSHM_A_REGION_MODE", "uint32"),
        ("RTSHM_A_REGION_UID", "uint32"),
        ("RTSHM_A_REGION_GID", "uint32"),
        ("RTSHM_A_REGION_CPU", "uint32"),
        ("RTSHM_A_REGION_USERS", "uint32"),
        ("RTSHM_A_REGION_COUNTERS", "counters"),
        ("RTSHM_A_REGION_SAMPLE_BYTES", "uint32"),
        ("RTSHM_A_REGION_CLOCK", "clock"),
        ("RTSHM_A_REGION_PHASE_NS", "uint64"),
        ("RTSHM_A_REGION_START_NS", "uint64"),
        ("RTSHM_A_REGION_TASK_BUDGET_NS", "uint64"),
        ("RTSHM_A_REGION_TASK_LONG_MAX", "uint32"),
        ("RTSHM_A_REGION_TASKS", "task"),
        ("RTSHM_A_REGION_PHYS", "uint64"),
        ("RTSHM_A_REGION_KEEP", "flag"),
        ("RTSHM_A_REGION_ACCESS_DEFAULT", "flag"),
        ("RTSHM_A_REGION_LEAD_NS", "uint64"),
        ("RTSHM_A_REGION_RESET_COUNTERS", "flag"),
        ("RTSHM_A_REGION_TIMER_CPU", "uint32"),
        ("RTSHM_A_REGION_CPU_LATENCY_NS", "uint64"),
        ("RTSHM_A_REGION_CREATOR", "uint32"),
        ("RTSHM_A_REGION_FD", "uint32"),
    )

    counters = counters
    task = task

    class print_mode(nla):
        fields = (("value", "B"),)
        value_map = PRINT_MODES

    class clock(nla):
        fields = (("value", "B"),)
        value_map = CLOCKS


class task_request(genlmsg):
    prefix = "RTSHM_A_TASK_REQUEST_"
    nla_map = (
        ("RTSHM_A_TASK_REQUEST_UNSPEC", "none"),
        ("RTSHM_A_TASK_REQUEST_REGION", "asciiz"),
        ("RTSHM_A_TASK_REQUEST_NAME", "asciiz"),
        ("RTSHM_A_TASK_REQUEST_PROG_FD", "uint32"),
        ("RTSHM_A_TASK_REQUEST_UNBOUNDED", "flag"),
    )


# Attributes that come once for each of what they tell of.
MULTIPLE = {"tasks"}

_OF_TASKS = {Command.TASK_NEW, Command.TASK_SET, Command.TASK_DEL}
_KINDS: dict[str, str] = dict((*region.nla_map, *task_request.nla_map))


def encode(command: Command, **values: object) -> bytearray:
    """A request; a value of None is left out. Type, flags and number are the transport's to set.

    Only what the wire cannot carry is refused: OverflowError for a number,
    ValueError for a text, TypeError. Limits are the kernel's.
    """
    message = task_request() if command in _OF_TASKS else region()
    message["cmd"] = command
    message["version"] = VERSION
    for field, value in values.items():
        if value is not None:
            name = message.name2nla(field)
            message["attrs"].append((name, _checked(field.replace("_", "-"), _KINDS[name], value)))
    message.encode()
    encoded: bytearray = message.data
    return encoded


def decode(message: bytes) -> tuple[int, dict[str, Any]]:
    """The operation of a reply or an event, and its values.

    "counters" are a dict themselves, "tasks" are a list of them.
    """
    decoded = region(message)
    decoded.decode()
    return decoded["cmd"], _values(decoded)


def _values(decoded: Any) -> dict[str, Any]:
    values: dict[str, Any] = {}
    for attribute in decoded["attrs"]:
        field = decoded.nla2name(attribute.name)
        value = attribute.value
        if isinstance(value, nla):
            value = _values(value)
        elif isinstance(value, bytes):
            # The kernel does not look into a layout, and it need not be UTF-8.
            value = value.decode(errors="backslashreplace")
        # Of a newer module there may be attributes that have no name here.
        if field == "pad" or not attribute.name.startswith(decoded.prefix):
            continue
        if field in MULTIPLE:
            values.setdefault(field, []).append(value)
        else:
            values[field] = value
    return values


def _checked(field: str, kind: str, value: object) -> object:
    # pyroute2 makes ints of floats, cuts nothing off and says little.
    match kind:
        case "asciiz":
            return _text(field, value)
        case "print_mode":
            return _one_of(field, value, PRINT_MODES.values())
        case "clock":
            return _one_of(field, value, CLOCKS.values())
        case "flag":
            return _flag(field, value)
        case _:
            return _number(field, value, int(kind.removeprefix("uint")))


def _one_of(field: str, value: object, known: Collection[str]) -> object:
    if value not in known:
        raise ValueError(f"{field}: {value!r} is none of {', '.join(known)}")
    return value


def _flag(field: str, value: object) -> bool:
    if value is not True:
        raise TypeError(f"{field}: {value!r} is not True; leave it out where it is not")
    return value


def _number(field: str, value: object, bits: int) -> int:
    try:
        number = operator.index(value)  # type: ignore[arg-type]
    except TypeError:
        raise TypeError(f"{field}: {value!r} is not a whole number") from None
    if not 0 <= number < 2**bits:
        raise OverflowError(f"{field}: {number} does not fit u{bits}; give 0 to {2**bits - 1}")
    return number


def _text(field: str, value: object) -> str:
    if not isinstance(value, str):
        raise TypeError(f"{field}: {value!r} is not a str")
    try:
        length = len(value.encode())
    except UnicodeEncodeError:
        raise ValueError(f"{field}: {value!r} has no UTF-8") from None
    if "\0" in value:
        raise ValueError(f"{field}: {value!r} has a NUL in it, which would end it")
    if length > _TEXT_BYTES_MAX:
        raise ValueError(f"{field}: {length} bytes are over {_TEXT_BYTES_MAX}")
    return value
