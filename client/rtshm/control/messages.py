"""The control ABI in bytes: kmod/netlink/rtshm.yaml, declared for pyroute2.

A request goes in, and a reply comes out, as a whole netlink message; what is
known of it elsewhere is plain values by the names of RegionInfo's fields.
"""

# pyroute2 has no types.
# mypy: disallow-subclassing-any=False
from __future__ import annotations

import enum
import operator
from typing import Any

from pyroute2.netlink import NLA_F_NESTED, genlmsg, nla

from rtshm.settings import Clock, PrintMode

FAMILY = "rtshm"
VERSION = 1
REGIONS_GROUP = "regions"
DETAILS_GROUP = "details"
# The kernel numbers them in this order.
PRINT_MODES = dict(enumerate(map(str, PrintMode)))
CLOCKS = dict(enumerate(map(str, Clock)))
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


def _attributes(prefix: str, kinds: str) -> tuple[tuple[str, str], ...]:
    """Number attributes from 1, with what pyroute2 calls their types."""
    pairs = (each.split(":") for each in f"unspec:none {kinds}".split())
    return tuple((prefix + name.upper().replace("-", "_"), kind) for name, kind in pairs)


class counters(nla):
    prefix = "RTSHM_A_COUNTERS_"
    nla_flags = NLA_F_NESTED
    nla_map = _attributes(
        prefix,
        "pad:none ticks:uint64 missed:uint64 published:uint64 lateness-min-ns:uint64 "
        "lateness-max-ns:uint64 lateness-sum-ns:uint64 lateness-histogram:histogram",
    )

    class histogram(nla):
        fields = (("value", f"{LATENESS_BINS}Q"),)


class task(nla):
    prefix = "RTSHM_A_TASK_"
    nla_flags = NLA_F_NESTED
    nla_map = _attributes(
        prefix,
        "pad:none name:asciiz ticks:uint64 time-max-ns:uint64 overruns:uint64 stopped:uint8 "
        "record-bytes:uint32 prog-id:uint32 insns-max:uint32",
    )


class region(genlmsg):
    prefix = "RTSHM_A_REGION_"
    nla_map = _attributes(
        prefix,
        "pad:none name:asciiz id:uint32 size:uint64 period-ns:uint64 print:print_mode "
        "history:uint32 record-bytes:uint32 layout:asciiz mode:uint32 uid:uint32 gid:uint32 "
        "cpu:uint32 users:uint32 counters:counters sample-bytes:uint32 clock:clock "
        "phase-ns:uint64 start-ns:uint64 task-budget-ns:uint64 task-long-max:uint32 tasks:task "
        "phys:uint64 keep:flag access-default:flag lead-ns:uint64 reset-counters:flag "
        "timer-cpu:uint32 cpu-latency-ns:uint64 creator:uint32 fd:uint32",
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
    nla_map = _attributes(prefix, "region:asciiz name:asciiz prog-fd:uint32 unbounded:flag")


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
        case "print_mode" | "clock":
            known = (PRINT_MODES if kind == "print_mode" else CLOCKS).values()
            if value not in known:
                raise ValueError(f"{field}: {value!r} is none of {', '.join(known)}")
        case "flag":
            if value is not True:
                raise TypeError(f"{field}: {value!r} is not True; leave it out where it is not")
        case _:
            return _number(field, value, int(kind.removeprefix("uint")))
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
