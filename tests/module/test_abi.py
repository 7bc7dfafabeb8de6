"""The built module and the Python side say the same of memory, trace and log."""

from __future__ import annotations

import ctypes
import json
import os
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import rtshm
from pyroute2.netlink import CTRL_CMD_GETPOLICY, GENL_ID_CTRL, ctrlmsg
from rtshm.control import messages
from rtshm.control.netlink import Link
from rtshm.region import Word

from tests.lib import ftrace
from tests.lib import spec as ynl
from tests.lib.module import PATIENCE

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.lib.fixtures import Load

pytestmark = pytest.mark.same_on_rt

BTF = Path("/sys/kernel/btf/rtshm")

# Debian's headers of 6.1 have no vmlinux: modules built with them carry no BTF. Nor do
# kernels of our own, which have none themselves.
WITHOUT_BTF = "6.1."


def test_btf_of_the_running_module_agrees_with_the_python_word(load: Load) -> None:
    load(print=0)
    if os.uname().release.startswith(WITHOUT_BTF) or not BTF.with_name("vmlinux").exists():
        assert not BTF.exists(), "there is BTF after all: compare it"
        return
    dump = subprocess.run(
        ["bpftool", "--json", "--base-btf", BTF.with_name("vmlinux"), "btf", "dump", "file", BTF],
        check=True,
        capture_output=True,
        text=True,
    )
    types: list[dict[str, Any]] = json.loads(dump.stdout)["types"]
    (word,) = [t for t in types if t.get("name") == "rtshm_word" and t["kind"] == "STRUCT"]
    assert word["size"] == ctypes.sizeof(Word)
    kernel = {member["name"]: member["bits_offset"] // 8 for member in word["members"]}
    python = {field[0]: getattr(Word, field[0]).offset for field in Word._fields_}
    assert kernel == {"some_int": 0, "ready": 4, "pad": 5}
    assert list(python.values()) == list(kernel.values())
    assert list(python)[:2] == ["some_int", "ready"]


@pytest.mark.promise("word: The tick works on the bytes that the Python word names")
def test_tick_works_on_the_bytes_that_the_python_word_names(load: Load) -> None:
    load(period_ns=10_000_000, print=0)
    announced = Word(some_int=0x01020304, ready=1)
    with ftrace.tracing("ready == 1"), rtshm.open() as region:
        # Padding and what follows the word are not the kernel's to touch.
        os.pwrite(region.fileno(), bytes(announced)[:5] + b"\xaa" * 11, 0)
        region.wait_taken(PATIENCE)
        taken = Word(some_int=0x01020304, ready=0)
        assert os.pread(region.fileno(), 16, 0) == bytes(taken)[:5] + b"\xaa" * 11
        assert [tick.value for tick in ftrace.ticks(taken=0x01020304)] == [0x01020304]


def test_trace_event_has_the_documented_fields(load: Load) -> None:
    load(print=0)
    fields = [
        line.split(";")[0].split(":")[1].strip()
        for line in (ftrace.EVENT / "format").read_text().splitlines()
        if line.strip().startswith("field:") and "common_" not in line
    ]
    assert fields == [
        "char region[32]", "u64 tick", "s64 lateness_ns", "s32 value", "u32 ready"
    ]  # fmt: skip


@pytest.mark.promise("log: The tracepoint numbers ticks without a gap")
def test_trace_numbers_ticks_without_a_gap(load: Load) -> None:
    load(period_ns=10_000_000, print=0)
    with ftrace.tracing():
        ticks = ftrace.at_least(10)
    numbers = [tick.tick for tick in ticks]
    assert numbers == list(range(numbers[0], numbers[0] + len(numbers)))
    assert all(tick.lateness_ns >= 0 for tick in ticks)
    assert not any(tick.ready for tick in ticks)


def test_policy_of_the_running_kernel_is_that_of_the_spec(control: rtshm.Control) -> None:
    spec = ynl.load()
    wanted = {}
    for name, number in ynl.numbers(spec["operations"]["list"], 1).items():
        operation = ynl.operation(spec, name)
        if "do" in operation:
            entries = ynl.attributes(spec, operation["attribute-set"])
            numbers = ynl.numbers(entries, 1)
            types = {entry["name"]: entry["type"] for entry in entries}
            asked = operation["do"]["request"]["attributes"]
            wanted[number] = {numbers[attribute]: types[attribute] for attribute in asked}
    assert policies() == wanted


def policies() -> dict[int, dict[int, str]]:
    """Numbers and types of the attributes that each operation takes, as the kernel tells them."""
    request = ctrlmsg()
    request["cmd"] = CTRL_CMD_GETPOLICY
    request["version"] = 1
    request["attrs"].append(("CTRL_ATTR_FAMILY_NAME", messages.FAMILY))
    request.encode()
    link = Link()
    replies = link.dump(GENL_ID_CTRL, request.data)
    link.close()
    # enum netlink_attribute_type
    types = {1: "flag", 2: "u8", 4: "u32", 5: "u64", 12: "string"}
    operations: dict[int, int] = {}
    found: dict[int, dict[int, str]] = {}
    for reply in replies:
        told = ctrlmsg(reply)
        told.decode()
        for operation, policy in numbered(told.get_attr("CTRL_ATTR_OP_POLICY")):
            operations[operation] = policy.get_attr("CTRL_ATTR_POLICY_DO")
        for index, policy in numbered(told.get_attr("CTRL_ATTR_POLICY")):
            for attribute, what in numbered(policy):
                kind = types[what.get_attr("NL_POLICY_TYPE_ATTR_TYPE")]
                found.setdefault(index, {})[attribute] = kind
    return {operation: found[index] for operation, index in operations.items()}


def numbered(nest: Any) -> Iterator[tuple[int, Any]]:
    """pyroute2 names these OP(1), POLICY(0), ATTR(2)."""
    for attribute in nest["attrs"] if nest else []:
        yield int(attribute.name.partition("(")[2].rstrip(")")), attribute.value
