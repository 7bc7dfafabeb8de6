"""The command and the library in the hands of a member of the group, and of who is none."""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING

import pytest
import rtshm
from rtshm.control import INSIDE

from tests.lib import child
from tests.lib.command import done, run

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.lib.fixtures import Load

GROUP, USER, OUTSIDER = 4242, 1001, 1003


@pytest.fixture
def delegated(load: Load) -> None:
    load(print=0, group=GROUP, group_regions=1)


def by(user: int, *arguments: str, group: int | None = None) -> tuple[int, list[str], list[str]]:
    """Status, output and errors of the command."""
    finished = run(*arguments, user=user, group=group)
    return finished.returncode, finished.stdout.splitlines(), finished.stderr.splitlines()


def member(*arguments: str) -> list[str]:
    status, output, errors = by(USER, *arguments, group=GROUP)
    assert (status, errors) == (0, []), arguments
    return output


def in_child(user: int, act: Callable[[], None]) -> None:
    def run() -> None:
        os.setresgid(user, user, user)
        os.setgroups([])
        os.setresuid(user, user, user)
        act()

    assert child.status_of(run) == 0


@pytest.mark.usefixtures("delegated")
def test_member_makes_sets_finds_and_deletes_a_region() -> None:
    member("create", "motor", "--period", "20ms", "--layout", "speed:f64")
    member("set", "motor", "--history", "10")
    heading, default, motor = member("list")
    assert heading.split()[4] == "CREATOR"
    # What counts of a region that is not theirs is not theirs to see.
    assert default.split()[4:] == ["-", "0", "-", "-", "-"]
    assert motor.split()[4] == str(USER)
    assert motor.split()[6] != "-"
    assert f"  creator       {USER}" in member("show", "motor")
    assert "  inside        for those who may read the node" in member("show", "default")
    assert "  layout        speed:f64" in done("show", "motor").splitlines()
    member("delete", "motor")
    assert len(done("list").splitlines()) == 2


@pytest.mark.usefixtures("delegated")
def test_refusals_name_the_group_the_quota_and_the_remedy() -> None:
    words = f"this takes CAP_SYS_RESOURCE or group {GROUP} (module parameter group) (EPERM, 1)"
    join = f"use sudo, or join the group: sudo usermod -aG {GROUP} $USER, then log in again"
    refused = [f"rtshm: motor: {words}", f"rtshm: {join}"]
    assert by(OUTSIDER, "create", "motor") == (1, [], refused)

    member("create", "motor")
    status, _, errors = by(USER, "create", "second", group=GROUP)
    assert status == 1
    used = "name: 1 more: 1 of group_regions=1 are used (EDQUOT, 122)"
    assert errors[0] == f"rtshm: second: {used}"
    assert errors[1].startswith("rtshm: delete one of your regions, or have the module loaded")
    # Whom the group does not help, it is not named to.
    assert by(USER, "delete", "default", group=GROUP)[2] == [
        "rtshm: default: name: the region of another user takes CAP_SYS_RESOURCE (EPERM, 1)",
        "rtshm: use sudo, outside of containers",
    ]


@pytest.mark.usefixtures("delegated")
def test_doctor_says_who_may_make_regions() -> None:
    quotas = "group_regions=1, group_bytes=16777216, group_ticks_hz=4000"
    text = f"each member of {GROUP} creates regions of their own: {quotas}"
    found = {
        user: next(row for row in json.loads(output) if row["check"] == "delegated")
        for user, output in (
            (0, run("doctor", "--json").stdout),
            (USER, run("doctor", "--json", user=USER, group=GROUP).stdout),
            (OUTSIDER, run("doctor", "--json", user=OUTSIDER).stdout),
        )
    }
    for user in (0, USER):
        assert (found[user]["level"], found[user]["text"]) == ("ok", text)
    assert (found[OUTSIDER]["level"], found[OUTSIDER]["text"]) == (
        "warning",
        f"{text}; you are not one",
    )
    assert found[OUTSIDER]["remedy"] == f"sudo usermod -aG {GROUP} USER, then log in again"


def test_doctor_says_that_only_root_makes_regions(load: Load) -> None:
    load(print=0)
    rows = json.loads(run("doctor", "--json", user=USER).stdout)
    (found,) = (row for row in rows if row["check"] == "delegated")
    assert (found["level"], found["text"]) == ("ok", "only root creates regions")
    assert "docs/groups.md" in found["remedy"]


def test_reader_of_the_node_sees_the_details(control: rtshm.Control) -> None:
    control.create("open", period="20ms", layout="speed:f64", mode=0o604)
    control.create("shut", layout="speed:f64")
    with rtshm.open("shut", readonly=True) as kept:

        def act() -> None:
            with rtshm.Control() as own:
                assert not any(region.readable for region in own.list())
                assert own.get("open").layout == "speed:f64"
                assert own.get("open").users == 0
                assert not own.get("shut").readable
                with rtshm.open("open", readonly=True) as region:
                    assert region.info.layout == "speed:f64"
                    assert region.info.users == 1
                # A descriptor that was handed over is as good as one that was opened.
                assert own.get("shut", fd=kept.fileno()).readable

        in_child(OUTSIDER, act)
        for command in ("list", "top --count 1 --interval 100ms"):
            output = run(*command.split(), user=OUTSIDER).stdout.splitlines()
            lines = {line.split()[0]: line.split() for line in output}
            assert lines["open"].count("-") < lines["shut"].count("-")
        found = json.loads(run("list", "--json", user=OUTSIDER).stdout)
        assert {row["name"]: set(INSIDE) <= set(row) for row in found} == {
            "default": False,
            "open": True,
            "shut": False,
        }
    refused = run("save", user=OUTSIDER)
    assert refused.returncode == 1
    assert "default: layout: sent only to those who may read the region" in refused.stderr


def test_events_have_what_is_inside_for_root_only(control: rtshm.Control) -> None:
    with control.watch(timeout=5) as watch:
        control.create("motor", layout="speed:f64")
        event = next(watch)
    assert isinstance(event, rtshm.Created)
    assert event.region.layout == "speed:f64"

    def act() -> None:
        os.setresuid(OUTSIDER, OUTSIDER, 0)
        with rtshm.Control() as own, own.watch(timeout=20) as watch:
            os.setresuid(0, 0, 0)
            with rtshm.Control() as root:
                root.delete("motor")
            event = next(watch)
        assert isinstance(event, rtshm.Deleted)
        assert event.region.name == "motor"
        assert not event.region.readable

    assert child.status_of(act) == 0
