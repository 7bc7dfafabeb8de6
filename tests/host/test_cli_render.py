"""What list, show, events and top print, to the letter."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import pytest
import yaml
from rich.console import Console
from rtshm.cli import render, top
from rtshm.control import Changed, Clock, Created, Deleted, Overrun, PrintMode, TaskInfo

from tests.host.cli import counters, hidden, region

SPEC = Path(__file__).parents[2] / "kmod/netlink/rtshm.yaml"

DEFAULT = region(
    print=PrintMode.EVERY_TICK,
    counters=counters({10: 1230, 13: 4}, missed=2, published=3, lateness_max_ns=12_345),
)
MOTOR = region(
    "motor",
    id=2,
    size=65536,
    period_ns=1_500_000,
    history=1024,
    record_bytes=64,
    layout="speed:f64 gain:f32",
    mode=0o660,
    gid=4_000_000_000,
    cpu=1,
    timer_cpu=1,
    users=12,
    creator=4_000_000_000,
)
HIDDEN = hidden("theirs", id=3, mode=0o600, uid=0, creator=0)


def test_list_is_an_aligned_table() -> None:
    assert render.region_list([DEFAULT, MOTOR]) == [
        "NAME     SIZE  PERIOD  PRINT       CREATOR     USERS  TICKS  MISSED  LATENESS MAX",
        "default    4K   500ms  every-tick  -               0   1234       2       12.3 us",
        "motor     64K   1.5ms  off         4000000000     12      0       0             -",
    ]


def test_region_that_may_not_be_read_is_shown_without_what_is_inside() -> None:
    assert render.region_list([HIDDEN])[1].split() == "theirs 4K 500ms off root 0 - - -".split()
    page = render.region_page(HIDDEN, 80)
    assert page[-1] == "  inside        for those who may read the node"
    assert not {line.split()[0] for line in page} & {"layout", "ticks", "missed", "published"}
    assert render.event_line(Deleted(region=HIDDEN)) == "deleted theirs: ticks=- missed=-"
    told, every = render.region_json(HIDDEN), render.region_json(MOTOR)
    assert set(every) - set(told) == {"layout", "counters", "tasks"}
    sight = top.Sight(1.0, [HIDDEN], {})
    assert top.lines(sight, sight)[1].split() == "theirs - 2.0 - - - - 0".split()


def test_list_of_no_region_is_its_heading() -> None:
    assert render.region_list([]) == [
        "NAME  SIZE  PERIOD  PRINT  CREATOR  USERS  TICKS  MISSED  LATENESS MAX"
    ]


def test_show_has_every_field_and_the_histogram() -> None:
    seen = counters(
        {9: 1, 10: 400, 12: 100},
        missed=7,
        published=5,
        lateness_min_ns=600,
        lateness_max_ns=8000,
        lateness_sum_ns=1_252_500,
    )
    assert render.region_page(region(counters=seen, print=PrintMode.CHANGES), 50) == [
        "default",
        "  id            1",
        "  size          4K (4096 bytes)",
        "  period        500ms (2 ticks/s)",
        "  print         changes",
        "  history       none",
        "  record bytes  8",
        "  node          /dev/rtshm/default 0600 root:root",
        "  cpu           0 (chosen by the kernel)",
        "  grid          monotonic, from the first tick on",
        "  creator       -",
        "  users         0",
        "  layout        -",
        "  ticks         501",
        "  missed        7",
        "  published     5",
        "  lateness      min 600 ns, mean 2.5 us, max 8.0",
        "                us",
        "",
        "  LATENESS          TICKS",
        "  512 ns .. 1.0 us      1  #",
        "  1.0 us .. 2.0 us    400  #######################",
        "  2.0 us .. 4.1 us      0",
        "  4.1 us .. 8.2 us    100  ######",
    ]


def test_show_says_where_a_timer_waits_for_its_cpu() -> None:
    page = render.region_page(region(cpu=1, timer_cpu=0), 80)
    assert "  cpu           0 (until 1 is online)" in page


def test_show_without_a_tick_says_so() -> None:
    assert render.region_page(MOTOR, 80) == [
        "motor",
        "  id            2",
        "  size          64K (65536 bytes)",
        "  period        1.5ms (666.667 ticks/s)",
        "  print         off",
        "  history       1024 samples",
        "  record bytes  64",
        "  node          /dev/rtshm/motor 0660 root:4000000000",
        "  cpu           1",
        "  grid          monotonic, from the first tick on",
        "  creator       4000000000",
        "  users         12",
        "  layout        speed:f64 gain:f32",
        "  ticks         0",
        "  missed        0",
        "  published     0",
        "  lateness      no tick yet",
    ]


@pytest.mark.parametrize(
    ("phys", "keep", "memory"),
    [
        (2**40, False, "raw, at 0x10000000000, zeroed"),
        (0x1000, True, "raw, at 0x1000, kept"),
        (0, True, "raw, at an address for CAP_SYS_RAWIO to see, kept"),
    ],
)
def test_show_says_where_raw_memory_is(phys: int, keep: bool, memory: str) -> None:
    page = render.region_page(region(phys=phys, keep=keep), 80)
    assert page[2:4] == ["  size          4K (4096 bytes)", f"  memory        {memory}"]


def test_show_has_the_tasks_and_the_grid() -> None:
    tasks = (
        TaskInfo("pid", 1000, 1234, 5, False, 24, 7, 120),
        TaskInfo("log", 3, 600_000, 3, True),
    )
    page = render.region_page(region(tasks=tasks, task_budget_ns=20_000, phase_ns=0), 80)
    assert "  grid          monotonic, phase 0ns" in page
    assert page[-3:] == [
        "  TASK  TICKS   LONGEST     OVERRUNS              MOST  STATE",
        "  pid    1000    1.2 us  5 (of 20us)  120 instructions  runs",
        "  log       3  600.0 us  3 (of 20us)                 -  stopped",
    ]
    start = region(clock=Clock.TAI, start_ns=7, tasks=(TaskInfo("pid", 0, 0, 0, False),))
    page = render.region_page(start, 80)
    assert "  grid          tai, from 7 ns on" in page
    assert page[-1].split() == ["pid", "0", "-", "0", "(no", "budget)", "-", "runs"]
    page = render.region_page(region(lead_ns=12_500), 80)
    assert "  grid          monotonic, from the first tick on, lead 12.5us" in page


def test_show_lets_no_layout_speak_to_the_terminal() -> None:
    page = render.region_page(region(layout="\x1b[2J\n"), 80)
    assert r"  layout        '\x1b[2J\n'" in page


def test_histogram_bars_fill_the_width_and_no_more() -> None:
    for width in (60, 80, 200):
        lines = render.histogram(counters({3: 10, 5: 1_000_000}).lateness_histogram, width)
        assert max(map(len, lines)) == width
        assert [line.count("#") > 0 for line in lines[1:]] == [True, False, True]


def test_histogram_in_a_narrow_terminal_keeps_its_numbers() -> None:
    assert render.histogram(counters({0: 5, 1: 10}).lateness_histogram, 5) == [
        "LATENESS      TICKS",
        "0 ns .. 2 ns      5  #####",
        "2 ns .. 4 ns     10  ##########",
    ]


def test_histogram_ends_with_an_open_bin() -> None:
    assert render.histogram(counters({30: 1, 31: 12_345_678}).lateness_histogram, 40) == [
        "LATENESS           TICKS",
        "1.1 s .. 2.1 s         1  #",
        "2.1 s ..        12345678  ##############",
    ]


def test_events_are_a_line_each() -> None:
    settings = "size=64K period=1.5ms print=off history=1024 record-bytes=64"
    assert render.event_line(Created(region=MOTOR)) == f"created motor: {settings}"
    assert render.event_line(Changed(region=MOTOR)) == f"changed motor: {settings}"
    assert render.event_line(Deleted(region=DEFAULT)) == "deleted default: ticks=1234 missed=2"
    lost = "overrun: events were lost; there are now: "
    assert render.event_line(Overrun(regions=[DEFAULT, MOTOR])) == f"{lost}default, motor"
    assert render.event_line(Overrun(regions=[])) == f"{lost}none"


def test_json_of_events_names_the_event() -> None:
    motor = render.region_json(MOTOR)
    assert render.event_json(Deleted(region=MOTOR)) == {"event": "deleted", "region": motor}
    assert render.event_json(Overrun(regions=[MOTOR])) == {"event": "overrun", "regions": [motor]}


def attributes(name: str) -> set[str]:
    spec = yaml.safe_load(SPEC.read_text())
    (found,) = (group for group in spec["attribute-sets"] if group["name"] == name)
    return {attribute["name"] for attribute in found["attributes"]} - {"pad"}


def test_json_has_every_field_as_the_spec_names_it() -> None:
    fields = render.region_json(MOTOR)
    assert set(fields) == attributes("region") - {"fd", "reset-counters"}
    assert set(fields["counters"]) == attributes("counters")
    assert fields["period-ns"] == 1_500_000
    assert fields["mode"] == 0o660


def sight(seconds: float, *regions: Any, **values: int) -> top.Sight:
    return top.Sight(seconds, regions, {int(number[1:]): value for number, value in values.items()})


def test_top_at_first_has_no_rates() -> None:
    assert top.lines(sight(100.0, DEFAULT, MOTOR, _1=-42), None) == [
        "NAME     TICKS/S    SET  VALUE  LATENESS MEAN      MAX  MISSED  USERS",
        "default        -    2.0    -42              -  12.3 us       2      0",
        "motor          -  666.7      -              -        -       0     12",
    ]


def test_top_measures_between_two_looks() -> None:
    before = counters(ticks=100, lateness_sum_ns=900_000, lateness_max_ns=9_000_000)
    after = counters(ticks=120, lateness_sum_ns=950_000, lateness_max_ns=9_000_000, missed=3)
    # A region of the same name that is another has nothing in common with it.
    again = region("probe", id=9, counters=counters(ticks=5, lateness_max_ns=5))
    first = sight(10.0, region(counters=before), region("probe", id=2, counters=before), MOTOR)
    second = sight(14.0, region(counters=after, users=1), MOTOR, again, _1=2**31 - 1)
    assert top.lines(second, first) == [
        "NAME     TICKS/S    SET       VALUE  LATENESS MEAN     MAX  MISSED  USERS",
        "default      5.0    2.0  2147483647         2.5 us  9.0 ms       3      1",
        "motor        0.0  666.7           -              -       -       0     12",
        "probe          -    2.0           -              -    5 ns       0      0",
    ]


def test_no_line_is_wider_than_a_narrow_terminal_and_what_is_left_out_is_named() -> None:
    long = region(
        "a-name-as-long-as-names-may-be1",
        id=3,
        layout="speed:f64 gain:f32 mode:u8",
        tasks=(TaskInfo("pid", 1000, 1234, 5, False),),
        print=PrintMode.EVERY_TICK,
    )
    regions = [DEFAULT, MOTOR, long]
    for width in range(30, 120):
        for lines in (
            render.region_list(regions, width),
            top.lines(sight(1.0, *regions), sight(0.0, *regions), width),
            *([render.region_page(each, width) for each in regions] if width >= 40 else []),
        ):
            assert max(map(len, lines)) <= width, "\n".join(lines)
    assert render.region_list([DEFAULT, MOTOR], 40) == [
        "NAME     PERIOD  MISSED  LATENESS MAX",
        "default   500ms       2       12.3 us",
        "motor     1.5ms       0             -",
        "(no room for PRINT, CREATOR, USERS,",
        "SIZE, TICKS)",
    ]


@pytest.mark.parametrize("size", [(40, 10), (100, 24), (20, 3)])
def test_picture_of_top_is_as_large_as_the_terminal(size: tuple[int, int]) -> None:
    width, height = size
    regions = [region(f"region{number}", id=number) for number in range(30)]
    console = Console(width=width, height=height, file=io.StringIO(), force_terminal=True)
    picture = top._picture(sight(1.0, *regions), None, 10**9, width, height)
    lines = console.render_lines(picture, console.options, pad=False)
    assert len(lines) <= height
    text = ["".join(segment.text for segment in line).rstrip() for line in lines]
    assert max(map(len, text)) <= width
    assert text[0].startswith("regions: 30 (")
    assert any(line.startswith("(no room for ") for line in text) is (width < 80)


@pytest.mark.parametrize("command", ["list", "show", "events", "top", "save", "load", "set"])
def test_every_command_has_a_line_in_the_help_that_fits(command: str) -> None:
    from rtshm.cli.commands import rtshm

    assert not rtshm.commands[command].get_short_help_str(60).endswith("...")
