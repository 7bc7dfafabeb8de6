"""The fields of a region: by name, whole, and the same for Python and C."""

from __future__ import annotations

import ctypes
import errno
import os
import subprocess
import sys
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import construct as c
import numpy
import pytest
import rtshm
from rtshm.abi import LAYOUT_OFFSET
from rtshm.paths import DEVICES

from tests.lib.command import done
from tests.lib.genl import NEW, Genl, attrs
from tests.lib.libc import PAGE
from tests.lib.module import PATIENCE
from tests.lib.programs import compiled
from tests.lib.tearing import checked, hostile

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


MOTOR = c.Struct(
    "speed" / c.Float64n,
    "gain" / c.Float32n,
    "mode" / c.Enum(c.Int8un, off=0, on=1),
    c.Padding(3),
    "axes" / c.Array(3, c.Int32sn),
    "points" / c.Array(2, c.Struct("x" / c.Int16sn, "y" / c.Int16sn)),
    "flags" / c.FlagsEnum(c.Int16un, run=1, fault=2),
    "tag" / c.Bytes(6),
    c.Padding(4),
)
TEXT = (
    "speed:f64 gain:f32 mode:u8{off=0,on=1} _:x3 axes:i32[3] points[2](x:i16 y:i16) "
    "flags:u16<run=1,fault=2> tag:bytes[6] _:x4"
)
RECORD = {
    "speed": 1.5,
    "gain": -0.25,
    "mode": 1,
    "axes": [1, -2, 2**31 - 1],
    "points": [{"x": 1, "y": 2}, {"x": -3, "y": -(2**15)}],
    "flags": 3,
    "tag": b"motor\0",
}
NEVER = timedelta(hours=1)
FIELDS = 64
PLAIN = f"first:u64 rest:u64[{FIELDS - 2}] last:u64"
# tests/stress has more.
RECORDS = 50_000
BOTH_HALVES = 0x1_0000_0001


@pytest.fixture
def motor(control: rtshm.Control) -> rtshm.Control:
    """A region `motor` with a layout, whose ticks are but its first."""
    control.create("motor", layout=MOTOR, period=NEVER, print=rtshm.PrintMode.OFF)
    return control


# By name.


@pytest.mark.promise(
    "fields: A program that knows only the name of a region has its fields by name"
)
def test_program_that_knows_only_the_name_has_the_fields(motor: rtshm.Control) -> None:
    assert motor.get("motor").layout == TEXT
    with rtshm.open("motor") as region, rtshm.open("motor", readonly=True) as other:
        region.write(RECORD)
        for known in (region, other):
            assert known.layout.text == TEXT
            assert known.read() == RECORD
            view = known.view
            assert (view.speed, view.mode.name, view.tag) == (1.5, "on", b"motor\0")
            assert (view.axes[2], view.points[1].y) == (2**31 - 1, -(2**15))
        region.view.speed = 2.0
        assert other.view.speed == other.read()["speed"] == 2.0


@pytest.mark.promise(
    "fields: A program that knows only the name of a region has its fields by name"
)
def test_layout_comes_with_the_descriptor_and_needs_no_netlink(motor: rtshm.Control) -> None:
    script = (
        "import rtshm, sys\n"
        "region = rtshm.open('motor')\n"
        "region.publish(1)\n"
        "region.view.speed = 3.5\n"
        "assert 'pyroute2' not in sys.modules\n"
    )
    subprocess.run([sys.executable, "-c", script], check=True)
    with rtshm.open("motor", MOTOR) as region:
        assert region.view.speed == 3.5


def test_region_without_a_layout_says_so(motor: rtshm.Control) -> None:
    with rtshm.open("/dev/rtshm/motor") as known:
        assert known.layout.text == TEXT
    with rtshm.open("default") as region:
        for use in (
            lambda: region.view,
            lambda: region.read(),
            lambda: region.write({}),
            lambda: region.update(speed=1),
        ):
            with pytest.raises(rtshm.LayoutError, match="default: no layout is stored") as caught:
                use()
            assert "rtshm create default2 --layout 'speed:f64 gain:f32'" in str(caught.value)


def test_layout_that_is_given_takes_a_region_by_its_path(motor: rtshm.Control) -> None:
    with rtshm.open("/dev/rtshm/default", MOTOR) as region:
        region.write(RECORD)
        assert region.read() == RECORD


@pytest.mark.promise("fields: A layout that does not fit or differs from the stored one is refused")
def test_layout_that_does_not_fit_is_refused_with_both_numbers(control: rtshm.Control) -> None:
    room = PAGE - LAYOUT_OFFSET
    fits = rtshm.Layout(c.Struct("all" / c.Bytes(room)))
    with rtshm.open("default", fits) as region:
        region.write({"all": b"x" * room})
    descriptors = os.listdir("/proc/self/fd")
    words = f"the layout has {room + 1} bytes, and the region {room} "
    with pytest.raises(rtshm.LayoutError, match=words):
        rtshm.open("default", c.Struct("all" / c.Bytes(room + 1)))
    assert os.listdir("/proc/self/fd") == descriptors
    with pytest.raises(rtshm.LayoutError, match=rf"small: .* {room + 1} .* {room} "):
        control.create("small", layout=f"all:bytes[{room + 1}]")
    assert [region.name for region in control.list()] == ["default"]


@pytest.mark.promise("fields: A layout that does not fit or differs from the stored one is refused")
def test_layout_that_differs_from_the_stored_one_is_refused_by_name(motor: rtshm.Control) -> None:
    other = rtshm.Layout(c.Struct("gain" / c.Float32n))
    descriptors = os.listdir("/proc/self/fd")
    with pytest.raises(rtshm.LayoutError) as caught:
        rtshm.open("motor", other)
    assert f"given 'gain:f32', stored '{TEXT}'" in str(caught.value)
    assert os.listdir("/proc/self/fd") == descriptors
    # A program that opens by a path says what lies there.
    with rtshm.open(DEVICES / "motor", other) as region:
        assert region.layout == other
    with rtshm.open("motor", rtshm.Layout(TEXT.replace(" ", "  "))) as region:
        assert region.layout.text == TEXT


def test_text_that_is_not_a_layout_is_refused_before_it_is_stored(
    control: rtshm.Control,
) -> None:
    with pytest.raises(rtshm.LayoutError, match="column 6"):
        control.create("odd", layout="speed of the motor")
    assert [region.name for region in control.list()] == ["default"]


def test_stored_text_that_is_not_a_layout_is_named(control: rtshm.Control) -> None:
    with Genl() as link:
        link.ask(NEW, attrs(name="odd", layout="speed of the motor"))
    with rtshm.open("odd") as region, pytest.raises(rtshm.LayoutError, match="column 6") as caught:
        region.read()
    assert "odd: the stored layout 'speed of the motor'" in str(caught.value)


@pytest.mark.promise(
    "fields: A program that knows only the name of a region has its fields by name"
)
def test_layout_is_never_that_of_a_later_region_of_the_name(motor: rtshm.Control) -> None:
    with rtshm.open("motor") as region:
        motor.delete("motor")
        motor.create("motor", layout="other:u64")
        assert region.layout.text == TEXT
        assert region.deleted
        with pytest.raises(rtshm.RegionDeletedError) as caught:
            _ = region.info
        assert caught.value.errno == errno.ENODEV


# Values.


@pytest.mark.promise("fields: A value that a field cannot hold raises, and nothing is written")
def test_value_out_of_range_raises_and_nothing_is_written(motor: rtshm.Control) -> None:
    with rtshm.open("motor") as region:
        region.write(RECORD)
        region.publish(5)
        before = bytes(region.memory)
        refused: list[tuple[type[Exception], str, dict[str, Any]]] = [
            (ValueError, "mode: 2 is none of off, on", {"mode": 2}),
            (ValueError, "mode: 'On' is none of off, on", {"mode": "On"}),
            (ValueError, "flags: 4 is none of run | fault", {"flags": 4}),
            (OverflowError, "axes: 2147483648 does not fit i32", {"axes": [0, 0, 2**31]}),
            (OverflowError, r"gain: 1e\+39 is too large for f32", {"gain": 1e39}),
            (ValueError, "axes: 2 values; give 3", {"axes": [0, 0]}),
            (ValueError, "tag: 3 bytes; give 6", {"tag": b"abc"}),
            (TypeError, "speed: 'fast' is not a number", {"speed": "fast"}),
        ]
        for error, message, values in refused:
            ((name, value),) = values.items()
            uses: list[Callable[[], object]] = [
                partial(region.write, RECORD | values, announce=True),
                # A good value before the bad one is not written either.
                partial(region.update, **{"speed": 9.0, "gain": 9.0} | values),
                partial(setattr, region.view, name, value),
            ]
            for use in uses:
                with pytest.raises(error, match=message):
                    use()
        with pytest.raises(ValueError, match="no field sped; there are speed, gain"):
            region.update(sped=1)
        with pytest.raises(ValueError, match="no field sped; there are speed, gain"):
            region.write(RECORD | {"sped": 1})
        with pytest.raises(ValueError, match="no value for gain, mode"):
            region.write({"speed": 1.0})
        with pytest.raises(AttributeError, match="sped"):
            region.view.sped = 1
        assert bytes(region.memory) == before


def test_enums_are_members_names_or_numbers(motor: rtshm.Control) -> None:
    with rtshm.open("motor") as region:
        mode = type(region.view.mode)
        for value in (mode.on, "on", 1):
            region.update(mode="off")
            region.update(mode=value)
            assert region.read()["mode"] is region.view.mode is mode.on
            region.view.mode = "off"
            region.view.mode = value
            assert region.read()["mode"] is mode.on
        # Somebody else stored what is none of them.
        region.memory[LAYOUT_OFFSET + 12] = 77
        assert region.view.mode == region.read()["mode"] == 77


@pytest.mark.promise("fields: update() leaves the fields that it does not name unchanged")
def test_update_leaves_what_it_does_not_name(motor: rtshm.Control) -> None:
    with rtshm.open("motor") as region:
        region.write(RECORD)
        region.publish(7)
        record = dict(RECORD)
        for values in (
            {"speed": 3.0, "gain": 0.5},
            {"tag": b"abcdef", "speed": -1.0},
            {"points": [{"x": 0, "y": 1}, {"x": 2, "y": 3}]},
            {"axes": [4, 5, 6], "mode": 0, "flags": 1},
            {},
        ):
            region.update(**values)
            record |= values
            assert region.read() == record
        assert (region.some_int, region.ready) == (7, True)


@pytest.mark.promise("fields: A record of more than a page is refused where it would not be whole")
def test_record_of_more_than_a_page_is_refused_and_its_fields_are_not(
    control: rtshm.Control,
) -> None:
    control.create("large", size=2 * PAGE, layout=f"first:u64 rest:bytes[{PAGE}] last:u64")
    with rtshm.open("large") as region:
        for use in (
            lambda: region.write({"first": 1, "rest": b"x" * PAGE, "last": 2}),
            lambda: region.read(),
            lambda: region.update(first=1, last=2),
        ):
            with pytest.raises(
                rtshm.LayoutError, match=f"{PAGE + 16} bytes are more than the {PAGE}"
            ):
                use()
        assert bytes(region.memory) == bytes(2 * PAGE)
        region.update(rest=b"y" * PAGE)
        region.view.last = 2
        assert bytes(region.memory[8:]) == bytes(8) + b"y" * PAGE + b"\2" + bytes(PAGE - 17)


# Access.


@pytest.mark.promise(
    "fields: The view of a region opened read-only is live and cannot be stored to"
)
def test_read_only_view_is_live_and_takes_no_store(motor: rtshm.Control) -> None:
    with rtshm.open("motor") as region, rtshm.open("motor", readonly=True) as other:
        region.write(RECORD)
        before = bytes(region.memory)
        view = other.view
        stores: list[Callable[[], object]] = [
            lambda: setattr(view, "speed", 2.0),
            lambda: setattr(view, "mode", "off"),
            lambda: setattr(view, "tag", b"abcdef"),
            lambda: setattr(view, "axes", [1, 2, 3]),
            lambda: view.axes.__setitem__(0, 1),
            lambda: view.axes.__setitem__(slice(0, 1), [1]),
            lambda: setattr(view.points[0], "x", 1),
            lambda: view.points.__setitem__(0, view.points[1]),
            lambda: other.write(RECORD),
            lambda: other.update(speed=2.0, announce=True),
        ]
        for store in stores:
            with pytest.raises(PermissionError, match="opened read-only") as caught:
                store()
            assert caught.value.errno == errno.EACCES
        for attribute in (lambda: view.sped, lambda: setattr(view, "sped", 1)):
            with pytest.raises(AttributeError, match="sped"):
                attribute()
        assert bytes(region.memory) == before
        region.view.speed = 4.0
        region.view.axes[1] = 9
        assert (view.speed, view.axes[1]) == (4.0, 9)
    with pytest.raises(rtshm.ClosedError):
        _ = view.speed


def test_view_is_valid_past_close_and_nothing_else_is(motor: rtshm.Control) -> None:
    region = rtshm.open("motor")
    view = region.view
    assert view is region.view
    region.close()
    view.speed = 6.0
    with rtshm.open("motor", readonly=True) as other:
        assert other.view.speed == view.speed == 6.0
    uses: list[Callable[[], object]] = [
        lambda: region.view,
        lambda: region.layout,
        lambda: region.read(),
        lambda: region.write(RECORD),
        lambda: region.update(speed=1.0),
    ]
    for use in uses:
        with pytest.raises(rtshm.ClosedError, match=r"Region .* closed"):
            use()


# Announcing.


@pytest.mark.promise("fields: A write announces only when asked")
def test_write_announces_only_when_asked(
    control: rtshm.Control,
) -> None:
    control.create("quick", layout=MOTOR, period=timedelta(milliseconds=10))

    def ticked() -> int:
        """Let two ticks go by; how many announcements were taken until now."""
        ticks = control.get("quick").counters.ticks
        while (counters := control.get("quick").counters).ticks < ticks + 2:
            pass
        return counters.published

    with rtshm.open("quick") as region:
        region.some_int = 11
        record = region.layout.build(RECORD)
        word = bytes(region.memory[:LAYOUT_OFFSET])
        assert word[4] == 0
        taken = 0
        # By write(2): after the word, and over it, with the flag as it was.
        for offset, data in ((LAYOUT_OFFSET, record), (0, word + record)):
            assert os.pwrite(region.fileno(), data, offset) == len(data)
            assert (region.some_int, region.read(), ticked()) == (11, RECORD, taken)
        # Over it, with the flag set; and after it, with the flag after that.
        announced = word[:4] + b"\1" + word[5:]
        os.pwrite(region.fileno(), announced + record, 0)
        region.wait_taken(PATIENCE)
        taken += 1
        assert (region.some_int, region.read(), ticked()) == (11, RECORD, taken)
        for announce in (
            partial(region.write, RECORD, announce=True),
            partial(region.update, speed=1.0, gain=2.0, announce=True),
        ):
            number = announce()
            region.wait_taken(PATIENCE)
            taken += 1
            assert (number, region.some_int, ticked()) == (11 + taken - 1, 11 + taken - 1, taken)
        for silent in (
            partial(region.write, RECORD),
            partial(region.update, speed=1.0, gain=2.0),
            partial(setattr, region.view, "speed", 2.0),
        ):
            silent()
            assert (region.ready, ticked()) == (False, taken)


@pytest.mark.promise(
    "fields: An announced record has a number, and the sample with that number has the record"
)
def test_announcement_names_the_record_that_its_sample_has(control: rtshm.Control) -> None:
    control.create("numbered", layout=PLAIN, period="1ms", history=4096)
    with rtshm.open("numbered") as region, region.samples() as samples:
        region.some_int = 7
        numbers, parts = [], []
        for value in range(200):
            record = {"first": value, "rest": [value] * (FIELDS - 2), "last": value}
            numbers.append(region.write(record, announce=True))
            if value % 2:
                region.wait_taken(PATIENCE)
                parts.append(samples.read_array(wait=False))
        array = numpy.concatenate(parts)
        assert numbers == [*range(8, 208)]
        # No tick has the fields of one record, and the announcement of another.
        announced = array[array["flags"] == 1]
        assert len(announced) >= 99
        assert (announced["some_int"] - 8 == announced["first"]).all()
        assert (announced["some_int"] - 8 == announced["last"]).all()
        region.some_int = 2**31 - 1
        assert region.update(first=1, announce=True) == 0


# With C.


@pytest.mark.promise(
    "fields: A C program with the generated header agrees with Python on each field"
)
def test_header_compiles_and_agrees_with_python_on_every_field(
    motor: rtshm.Control, tmp_path: Path
) -> None:
    (tmp_path / "motor.h").write_text(done("header", "motor"))
    program = compiled(Path(__file__).with_name("fields.c"), tmp_path / "fields")
    with rtshm.open("motor") as region:
        region.write(RECORD)
        told = subprocess.run([program], check=True, capture_output=True, text=True).stdout
        assert told == "1.5 -0.25 1 1 -2 2147483647 1 2 -3 -32768 3 motor 0 1 1 2\n"
        assert region.read() == {
            "speed": -0.1,
            "gain": ctypes.c_float(0.1).value,
            "mode": 0,
            "axes": [-10, 20, -30],
            "points": [{"x": 11, "y": 12}, {"x": 13, "y": 14}],
            "flags": 2,
            "tag": b"C\1\2\3\4\5",
        }


# Whole.


@pytest.fixture
def plain(control: rtshm.Control) -> Iterator[rtshm.Region]:
    control.create("plain", layout=PLAIN, period=timedelta(milliseconds=2))
    with rtshm.open("plain") as region:
        yield region


def whole(record: dict[str, Any]) -> bool:
    values = {record["first"], *record["rest"], record["last"]}
    return len(values) == 1


@pytest.mark.promise("fields: A reader never sees half of a record that write() or update() stored")
def test_of_records_by_write_and_update_none_is_torn(tear: Path, plain: rtshm.Region) -> None:
    with checked(tear, "plain", FIELDS) as seen, hostile(tear, "write", "plain", FIELDS, RECORDS):
        for number in range(1, 501):
            value = number * BOTH_HALVES
            record: dict[str, Any] = {"first": value, "rest": [value] * (FIELDS - 2), "last": value}
            if number % 2:
                plain.write(record)
            else:
                plain.update(**record)
            assert whole(plain.read())
    assert seen[0].changed > 0
    assert seen[0].torn == 0


@pytest.mark.promise("fields: A reader never sees half of a record that write() or update() stored")
def test_of_records_by_plain_stores_some_are_torn(tear: Path, plain: rtshm.Region) -> None:
    with checked(tear, "plain", FIELDS) as seen, hostile(tear, "store", "plain", FIELDS, RECORDS):
        pass
    assert seen[0].changed > 0
    assert seen[0].torn > 0
