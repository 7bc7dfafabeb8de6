"""A client with one socket for requests and notifications sees its reply first."""

from __future__ import annotations

import os
import signal
import socket
import struct
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.lib import genl, module
from tests.lib.child import killed
from tests.lib.genl import NLMSG_ERROR, NUMBERS, Genl, attrs
from tests.lib.waiting import wait_until

if TYPE_CHECKING:
    from tests.lib.fixtures import Load

pytestmark = pytest.mark.same_on_rt

NETLINK_ADD_MEMBERSHIP = 1
NETLINK_KOBJECT_UEVENT, KERNELS_GROUP = 15, 1
RUN = Path("/sys/module/rtshm_probe/parameters/run")
CTRL_ATTR_MCAST_GROUPS, CTRL_ATTR_MCAST_GRP_NAME, CTRL_ATTR_MCAST_GRP_ID = 7, 1, 2
NEW_NTF, SET_NTF = (NUMBERS[f"RTSHM_CMD_REGION_{name}_NTF"] for name in ("NEW", "SET"))


def subscribe(link: Genl) -> None:
    family, link.family = link.family, genl.GENL_ID_CTRL
    name = genl.raw(genl.CTRL_ATTR_FAMILY_NAME, b"rtshm\0")
    (reply,) = link.ask(genl.CTRL_CMD_GETFAMILY, name)
    link.family = family
    groups = dict(genl.walk(reply.payload[4:]))[CTRL_ATTR_MCAST_GROUPS]
    each = [dict(genl.walk(group)) for _, group in genl.walk(groups)]
    (found,) = [group for group in each if group[CTRL_ATTR_MCAST_GRP_NAME] == b"regions\0"]
    (number,) = struct.unpack("=I", found[CTRL_ATTR_MCAST_GRP_ID])
    link.socket.setsockopt(genl.SOL_NETLINK, NETLINK_ADD_MEMBERSHIP, number)


def commands(link: Genl, count: int) -> list[int]:
    """Of the next messages about regions."""
    found: list[int] = []
    link.socket.settimeout(20)
    while len(found) < count:
        try:
            messages = link.receive()
        except TimeoutError:
            raise AssertionError(f"only {found}") from None
        found += [message.payload[0] for message in messages if message.kind != NLMSG_ERROR]
    return found


def test_reply_comes_before_the_notification(load: Load) -> None:
    load(print=0)
    with Genl() as link:
        subscribe(link)
        link.send(link.message(genl.NEW, attrs(name="a")))
        assert commands(link, 2) == [genl.NEW, NEW_NTF]
        link.send(link.message(genl.SET, attrs(name="a", print=1)))
        assert commands(link, 2) == [genl.SET, SET_NTF]


def test_region_is_told_of_before_its_tasks(load: Load) -> None:
    """Though a module adds one as soon as the device is there."""
    load(print=0)
    module.insert(module.PROBE)
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {0})

    def add() -> None:
        # Before whoever makes the region comes to its next step.
        os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(90))
        while b"/rtshm/a\0" not in devices.recv(8192):
            pass
        RUN.write_text("add 1 a")
        signal.pause()

    try:
        with (
            Genl() as link,
            socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, NETLINK_KOBJECT_UEVENT) as devices,
        ):
            subscribe(link)
            devices.bind((0, KERNELS_GROUP))
            with killed(add) as pid:
                wait_until(lambda: os.sched_getscheduler(pid) == os.SCHED_FIFO, "the listener")
                link.send(link.message(genl.NEW, attrs(name="a")))
                assert commands(link, 3) == [genl.NEW, NEW_NTF, SET_NTF]
    finally:
        os.sched_setaffinity(0, before)
        module.remove("rtshm_probe")
