"""A client with one socket for requests and notifications sees its reply first."""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING

import pytest

from tests.lib import genl
from tests.lib.genl import NLMSG_ERROR, NUMBERS, Genl, attrs

if TYPE_CHECKING:
    from tests.lib.fixtures import Load

pytestmark = pytest.mark.same_on_rt

NETLINK_ADD_MEMBERSHIP = 1
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
