"""The netlink messages of the client are those of the spec, and byte for byte what they say."""

from __future__ import annotations

import copy
import inspect
import struct
import subprocess
import sys
from dataclasses import fields, replace
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest
from rtshm import control
from rtshm.control import Clock, Control, Counters, PrintMode, RegionInfo, TaskInfo, messages
from rtshm.control.messages import Command, decode, encode
from rtshm.errors import AccessError, IncompatibleError
from rtshm.settings import Changes, in_message

from tests.lib import spec as ynl

if TYPE_CHECKING:
    from collections.abc import Callable

NESTED = 0x8000
SETS = ("region", "counters", "task", "task-request")


# What the spec and the declared messages say, in the same words.


def of_spec(spec: dict[str, Any]) -> dict[str, Any]:
    return {
        "family": (spec["name"], spec["version"]),
        "groups": [group["name"] for group in spec["mcast-groups"]["list"]],
        "operations": ynl.numbers(spec["operations"]["list"], 1),
        "print modes": ynl.numbers(ynl.definition(spec, "print-mode")["entries"], 0),
        "bins": ynl.definition(spec, "lateness-bins")["value"],
        **{name: _attributes_of_spec(spec, name) for name in SETS},
        "clocks": ynl.numbers(ynl.definition(spec, "clock")["entries"], 0),
    }


def _attributes_of_spec(spec: dict[str, Any], name: str) -> dict[str, tuple[int, str]]:
    entries = ynl.attributes(spec, name)
    types = {
        entry["name"]: " ".join(
            entry[key] for key in ("type", "enum", "nested-attributes", "sub-type") if key in entry
        )
        for entry in entries
    }
    return {name: (number, types[name]) for name, number in ynl.numbers(entries, 1).items()}


def of_messages() -> dict[str, Any]:
    histogram = messages.counters.histogram.fields[0][1]
    return {
        "family": (messages.FAMILY, messages.VERSION),
        "groups": [messages.REGIONS_GROUP, messages.DETAILS_GROUP],
        "operations": {_dashed(command.name): command.value for command in Command},
        "print modes": {name: number for number, name in messages.PRINT_MODES.items()},
        "bins": struct.calcsize(histogram) // struct.calcsize("Q"),
        "region": _attributes_of(messages.region),
        "counters": _attributes_of(messages.counters),
        "task": _attributes_of(messages.task),
        "task-request": _attributes_of(messages.task_request),
        "clocks": {name: number for number, name in messages.CLOCKS.items()},
    }


def _attributes_of(message: Any) -> dict[str, tuple[int, str]]:
    types = {
        "none": "pad",
        "asciiz": "string",
        "uint8": "u8",
        "uint32": "u32",
        "uint64": "u64",
        "flag": "flag",
        "print_mode": "u8 print-mode",
        "clock": "u8 clock",
        "counters": "nest counters",
        "task": "nest task",
        "histogram": "binary u64",
    }
    (unspec, _), *rest = message.nla_map
    assert unspec == message.prefix + "UNSPEC"
    assert all(name.startswith(message.prefix) for name, _ in rest)
    return {
        _dashed(name.removeprefix(message.prefix)): (number, types[kind])
        for number, (name, kind) in enumerate(rest, 1)
    }


def _dashed(name: str) -> str:
    return name.lower().replace("_", "-")


def test_declared_messages_are_those_of_the_spec() -> None:
    assert of_messages() == of_spec(ynl.load())
    assert messages.region.print_mode.fields == (("value", "B"),)
    assert messages.region.print_mode.value_map == messages.PRINT_MODES


def _swap_attributes(spec: dict[str, Any]) -> None:
    region = ynl.attributes(spec, "region")
    region[3], region[4] = region[4], region[3]


def _add_counter(spec: dict[str, Any]) -> None:
    ynl.attributes(spec, "counters").insert(4, {"name": "lost", "type": "u64"})


def _widen(spec: dict[str, Any]) -> None:
    ynl.attributes(spec, "region")[12]["type"] = "u64"


def _rename_mode(spec: dict[str, Any]) -> None:
    ynl.definition(spec, "print-mode")["entries"][2]["name"] = "change"


def _renumber_mode(spec: dict[str, Any]) -> None:
    ynl.definition(spec, "print-mode")["entries"][1]["value"] = 5


def _swap_operations(spec: dict[str, Any]) -> None:
    spec["operations"]["list"][1:3] = spec["operations"]["list"][2:0:-1]


def _add_group(spec: dict[str, Any]) -> None:
    spec["mcast-groups"]["list"].append({"name": "ticks"})


def _raise_version(spec: dict[str, Any]) -> None:
    spec["version"] = 2


def _more_bins(spec: dict[str, Any]) -> None:
    ynl.definition(spec, "lateness-bins")["value"] = 64


@pytest.mark.parametrize(
    "drift",
    [
        _swap_attributes,
        _add_counter,
        _widen,
        _rename_mode,
        _renumber_mode,
        _swap_operations,
        _add_group,
        _raise_version,
        _more_bins,
    ],
)
def test_spec_that_drifted_is_noticed(drift: Callable[[dict[str, Any]], None]) -> None:
    spec = ynl.load()
    drifted = copy.deepcopy(spec)
    drift(drifted)
    assert of_spec(drifted) != of_spec(spec)
    assert of_spec(drifted) != of_messages()


def test_control_takes_what_the_requests_of_the_spec_take() -> None:
    spec = ynl.load()
    methods: dict[str, Callable[..., object]] = {
        "region-get": Control.get,
        "region-new": Control.create,
        "region-del": Control.delete,
        "region-set": Control.set,
    }
    for name, method in methods.items():
        _, *parameters = inspect.signature(method).parameters
        # Times, which may be a timedelta.
        timed = ("period", "phase", "task-budget", "lead", "cpu-latency")
        times = {name: f"{name}-ns" for name in timed}
        taken = sorted(times.get(_dashed(name), _dashed(name)) for name in parameters)
        assert taken == sorted(ynl.operation(spec, name)["do"]["request"]["attributes"])


def test_control_takes_what_the_requests_about_tasks_take() -> None:
    spec = ynl.load()
    methods: dict[str, Callable[..., Any]] = {
        "task-new": Control.add_task,
        "task-set": Control.replace_task,
        "task-del": Control.remove_task,
    }
    for name, method in methods.items():
        _, *parameters = inspect.signature(method).parameters
        asked = ynl.operation(spec, name)["do"]["request"]["attributes"]
        assert [_dashed(name) for name in parameters] == asked


def test_region_info_has_what_the_replies_of_the_spec_have() -> None:
    spec = ynl.load()
    for name in ("region-get", "region-new", "region-set"):
        reply = ynl.operation(spec, name)["do"]["reply"]["attributes"]
        assert [_dashed(field.name) for field in fields(RegionInfo)] == reply
    counters = [entry["name"] for entry in ynl.attributes(spec, "counters")]
    assert ["pad", *(_dashed(field.name) for field in fields(Counters))] == counters
    task = [entry["name"] for entry in ynl.attributes(spec, "task")]
    assert ["pad", *(_dashed(field.name) for field in fields(TaskInfo))] == task
    assert [str(mode) for mode in PrintMode] == list(messages.PRINT_MODES.values())
    assert [str(clock) for clock in Clock] == list(messages.CLOCKS.values())


# Bytes.


def attribute(number: int, payload: bytes) -> bytes:
    padding = b"\0" * (-len(payload) % 4)
    return struct.pack("=HH", 4 + len(payload), number) + payload + padding


def u32(value: int) -> bytes:
    return struct.pack("=I", value)


def u64(value: int) -> bytes:
    return struct.pack("=Q", value)


def message(command: int, *attributes: bytes, kind: int = 0) -> bytes:
    payload = struct.pack("=BBH", command, 1, 0) + b"".join(attributes)
    return struct.pack("=IHHII", 16 + len(payload), kind, 0, 0, 0) + payload


HISTOGRAM = tuple(2**63 + i for i in range(32))
COUNTERS = (
    attribute(2, u64(2**64 - 1)),
    attribute(3, u64(1)),
    attribute(4, u64(2)),
    attribute(5, u64(3)),
    attribute(6, u64(4)),
    attribute(7, u64(2**64 - 2)),
    attribute(8, struct.pack("=32Q", *HISTOGRAM)),
)
TASKS = [
    (attribute(2, b"pid\0"), *(attribute(3 + i, u64(i)) for i in range(3)), attribute(6, b"\0")),
    (
        attribute(2, b"log\0"),
        *(attribute(3 + i, u64(2**64 - 1)) for i in range(3)),
        attribute(6, b"\1"),
        *(attribute(7 + i, u32(2**32 - 1 - i)) for i in range(3)),
    ),
]
REGION = (
    attribute(2, b"motor\0"),
    attribute(3, u32(7)),
    attribute(4, u64(2**30)),
    attribute(5, u64(3_600_000_000_000)),
    attribute(6, b"\2"),
    attribute(7, u32(1000)),
    attribute(8, u32(16)),
    attribute(9, b"speed:f64 gain:f32\0"),
    attribute(10, u32(0o640)),
    attribute(11, u32(1000)),
    attribute(12, u32(2**32 - 2)),
    attribute(13, u32(3)),
    attribute(14, u32(2)),
    attribute(16, u32(48)),
    attribute(17, b"\2"),
    attribute(18, u64(5)),
    attribute(19, u64(6)),
    attribute(20, u64(7)),
    attribute(21, u32(8)),
    attribute(23, u64(2**40)),
    attribute(24, b""),
    attribute(26, u64(9)),
    attribute(30, u32(1000)),
    *(attribute(22 | NESTED, b"".join(task)) for task in TASKS),
    attribute(15 | NESTED, b"".join(COUNTERS)),
)
INFO = RegionInfo(
    name="motor",
    id=7,
    size=2**30,
    period_ns=3_600_000_000_000,
    print=PrintMode.CHANGES,
    history=1000,
    record_bytes=16,
    layout="speed:f64 gain:f32",
    mode=0o640,
    uid=1000,
    gid=2**32 - 2,
    cpu=3,
    users=2,
    counters=Counters(2**64 - 1, 1, 2, 3, 4, 2**64 - 2, HISTOGRAM),
    sample_bytes=48,
    clock=Clock.TAI,
    phase_ns=5,
    start_ns=6,
    task_budget_ns=7,
    task_long_max=8,
    tasks=(
        TaskInfo("pid", 0, 1, 2, False),
        TaskInfo("log", 2**64 - 1, 2**64 - 1, 2**64 - 1, True, 2**32 - 1, 2**32 - 2, 2**32 - 3),
    ),
    phys=2**40,
    keep=True,
    lead_ns=9,
    creator=1000,
)


def info(*attributes: bytes) -> RegionInfo:
    return control._region(decode(message(1, *attributes))[1])


def test_request_is_the_bytes_built_by_hand() -> None:
    assert encode(Command.REGION_GET) == message(1)
    assert encode(Command.REGION_DEL, name="motor") == message(3, REGION[0])
    every = encode(
        Command.REGION_NEW,
        name="motor",
        size=2**30,
        period_ns=3_600_000_000_000,
        print=PrintMode.CHANGES,
        history=1000,
        record_bytes=16,
        layout="speed:f64 gain:f32",
        mode=0o640,
        uid=1000,
        gid=2**32 - 2,
        cpu=3,
        clock=Clock.TAI,
        phase_ns=5,
        start_ns=6,
        task_budget_ns=7,
        task_long_max=8,
        phys=2**40,
        keep=True,
        lead_ns=9,
    )
    assert every == message(2, REGION[0], *REGION[2:12], *REGION[14:22])
    assert encode(Command.REGION_SET, reset_counters=True) == message(4, attribute(27, b""))


def test_request_about_a_task_is_the_bytes_built_by_hand() -> None:
    named = attribute(1, b"motor\0"), attribute(2, b"pid\0")
    task = {"region": "motor", "name": "pid"}
    assert encode(Command.TASK_DEL, **task) == message(10, *named)
    for command in (Command.TASK_NEW, Command.TASK_SET):
        program = attribute(3, u32(7))
        made = encode(command, **task, prog_fd=7, unbounded=None)
        assert made == message(command, *named, program)
        made = encode(command, **task, prog_fd=7, unbounded=True)
        assert made == message(command, *named, program, attribute(4, b""))
    with pytest.raises(OverflowError, match="prog-fd: -1 does not fit u32"):
        encode(Command.TASK_NEW, **task, prog_fd=-1)


def test_reply_built_by_hand_is_the_region() -> None:
    assert decode(message(7, *REGION))[0] == Command.REGION_SET_NTF
    assert info(*REGION) == INFO


def test_order_padding_and_what_a_newer_module_adds_do_not_matter() -> None:
    padding, unknown = attribute(1, b""), attribute(77, b"new")
    counters = attribute(15, b"".join((padding, *reversed(COUNTERS), unknown)))
    # But for the tasks, whose order says how they run.
    reordered = replace(INFO, tasks=INFO.tasks[::-1])
    assert info(unknown, counters, padding, *reversed(REGION[:-1])) == reordered


@pytest.mark.parametrize(
    "attributes", [(REGION[0],), REGION[:5], (*REGION[:-1], attribute(15, b""))]
)
def test_message_of_an_older_module_is_incompatible(attributes: tuple[bytes, ...]) -> None:
    with pytest.raises(IncompatibleError, match="motor: the loaded module is of another") as raised:
        info(*attributes)
    assert "rtshm doctor shows both" in raised.value.remedy


def test_attribute_that_was_not_sent_is_an_error_with_a_remedy() -> None:
    hidden = info(*REGION[:7], *REGION[8:-3])
    assert INFO.readable and not hidden.readable
    assert hidden.period_ns == INFO.period_ns
    for name in control.INSIDE:
        with pytest.raises(AccessError, match=f"motor: {name}: sent only to those who may read"):
            getattr(hidden, name)
    assert not hasattr(hidden, "nothing")
    assert "motor" in repr(hidden) and "motor" in hidden._repr_html_()


def test_region_without_a_cpu_has_none_and_the_one_that_its_timer_is_on() -> None:
    chosen = info(*REGION[:11], *REGION[12:], attribute(28, u32(1)))
    assert (chosen.cpu, chosen.timer_cpu) == (None, 1)


def test_region_of_the_kernels_memory_has_no_address() -> None:
    ordinary = info(*REGION[:19], *REGION[21:])
    assert (ordinary.phys, ordinary.keep) == (None, False)
    hidden = info(*REGION[:19], attribute(23, u64(0)), *REGION[21:])
    assert (hidden.phys, hidden.keep) == (0, False)


@pytest.mark.parametrize(
    ("number", "mode"), [(0, PrintMode.OFF), (1, PrintMode.EVERY_TICK), (2, PrintMode.CHANGES)]
)
def test_print_goes_by_the_number_of_the_mode(number: int, mode: PrintMode) -> None:
    by_hand = attribute(6, bytes([number]))
    assert encode(Command.REGION_SET, print=mode) == message(4, by_hand)
    assert info(*REGION[:4], by_hand, *REGION[5:]).print is mode


def test_values_come_back_from_a_request() -> None:
    values = {"name": "a", "size": 0, "period_ns": 2**64 - 1, "print": "off", "layout": "p\xe4th"}
    assert decode(bytes(encode(Command.REGION_NEW, **values))) == (2, values)


def test_layout_that_is_not_utf_8_can_be_shown() -> None:
    layout = info(*REGION[:7], attribute(9, b"a\xff:u8\0"), *REGION[8:]).layout
    assert layout == r"a\xff:u8"
    assert layout.encode()


@pytest.mark.parametrize(
    ("field", "value", "error", "words"),
    [
        ("size", -1, OverflowError, "size: -1 does not fit u64; give 0 to 18446744073709551615"),
        ("size", 2**64, OverflowError, f"size: {2**64} does not fit u64; give 0 to {2**64 - 1}"),
        ("period_ns", -1, OverflowError, "period-ns: -1 does not fit u64; give 0 to"),
        (
            "history",
            2**32,
            OverflowError,
            "history: 4294967296 does not fit u32; give 0 to",
        ),
        ("mode", -1, OverflowError, "mode: -1 does not fit u32; give 0 to 4294967295"),
        ("cpu", 2**32, OverflowError, "cpu: 4294967296 does not fit u32"),
        ("size", 4096.0, TypeError, "size: 4096.0 is not a whole number"),
        ("period_ns", "1", TypeError, "period-ns: '1' is not a whole number"),
        ("name", "a\0b", ValueError, r"name: 'a\x00b' has a NUL in it"),
        ("name", "\udcff", ValueError, r"name: '\udcff' has no UTF-8"),
        ("name", b"a", TypeError, "name: b'a' is not a str"),
        ("layout", "\xe4" * 32766, ValueError, "layout: 65532 bytes are over 65530"),
        ("print", "never", ValueError, "print: 'never' is none of off, every-tick, changes"),
        ("phys", 2**64, OverflowError, f"phys: {2**64} does not fit u64; give 0 to {2**64 - 1}"),
        ("keep", False, TypeError, "keep: False is not True; leave it out where it is not"),
        ("print", 7, ValueError, "print: 7 is none of off, every-tick, changes"),
    ],
)
def test_value_that_the_wire_cannot_carry_is_refused(
    field: str, value: object, error: type[Exception], words: str
) -> None:
    with pytest.raises(error) as refused:
        encode(Command.REGION_NEW, **{field: value})
    assert str(refused.value).startswith(words)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("size", 2**64 - 1),
        ("mode", 2**32 - 1),
        ("name", ""),
        ("name", "../%n!"),
        ("layout", "x" * 65530),
    ],
)
def test_limits_of_a_value_are_left_to_the_kernel(field: str, value: object) -> None:
    assert decode(bytes(encode(Command.REGION_NEW, **{field: value})))[1] == {field: value}


# What is made of it.


def test_period_is_whole_ns_one_way_and_microseconds_the_other() -> None:
    for period, ns in (
        (timedelta(days=10_000, microseconds=1), 864_000_000_000_001_000),
        (timedelta(microseconds=-1), -1000),
        (100_001, 100_001),
        ("none", 0),
        (None, None),
    ):
        assert in_message({"period": period}, Changes) == {"period_ns": ns}
    with pytest.raises(TypeError, match="no keyword perid; there are history, period"):
        in_message({"perid": "1ms"}, Changes)
    assert INFO.period == timedelta(hours=1)
    assert info(*REGION[:3], attribute(5, u64(1_501)), *REGION[4:]).period == timedelta(
        microseconds=2
    )


def test_mean_lateness_without_a_tick_is_zero() -> None:
    assert Counters(0, 0, 0, 0, 0, 0, (0,) * 32).lateness_mean_ns == 0.0
    assert Counters(4, 0, 0, 1, 5, 10, (0,) * 32).lateness_mean_ns == 2.5


def test_path_is_the_device_node() -> None:
    assert str(INFO.path) == "/dev/rtshm/motor"


def test_list_decodes_an_item_once_and_when_it_is_looked_at() -> None:
    other = (attribute(2, b"pump\0"), *REGION[1:])
    broken = b"not looked at"
    regions = control._Regions([message(1, *REGION), message(1, *other), broken])
    assert len(regions) == 3
    assert regions[0] == INFO
    assert regions[0] is regions[-3]
    assert [region.name for region in regions[:2]] == ["motor", "pump"]
    with pytest.raises(IndexError):
        regions[3]
    assert repr(regions[:1]) == f"<rtshm.control regions: {INFO.name}>"


def test_control_is_imported_without_construct() -> None:
    code = "import rtshm, sys; rtshm.Control; sys.exit('construct' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0
