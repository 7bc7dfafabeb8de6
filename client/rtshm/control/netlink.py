"""Requests, replies and events of generic netlink, as whole messages.

Not by pyroute2's own GenericNetlinkSocket: in 0.9 its calls fail inside a
running event loop, and its first ENOBUFS is raised for ever after.
"""

# pyroute2 has no types.
# mypy: disallow-subclassing-any=False
from __future__ import annotations

import errno
import os
import socket
import struct
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from pyroute2.netlink import (
    CTRL_CMD_DELFAMILY,
    CTRL_CMD_GETFAMILY,
    GENL_ID_CTRL,
    NETLINK_ADD_MEMBERSHIP,
    NETLINK_EXT_ACK,
    NETLINK_GENERIC,
    NLM_F_ACK,
    NLM_F_DUMP,
    NLM_F_DUMP_INTR,
    NLM_F_REQUEST,
    NLMSG_DONE,
    NLMSG_ERROR,
    SOL_NETLINK,
    ctrlmsg,
    nlmsg,
)

from rtshm.errors import ModuleNotLoadedError, family_remedy, refusing, socket_remedy

# The kernel answers in the course of send(), however long that takes: this is for an
# answer that was lost.
ANSWER_SECONDS = 30
# A kernel fills up to 32 KiB at a time.
DATAGRAM_BYTES = 65536
DUMP_TRIES = 20

_NETLINK_CAP_ACK = 10
_HEADER = struct.Struct("=IHHI4x")
# Type, flags and sequence number, after the length.
_ADDRESS = struct.Struct("=HHI")


class _done(nlmsg):
    """The end of a dump."""

    fields: tuple[tuple[str, str], ...] = (("error", "i"),)
    nla_map = (("NLMSGERR_ATTR_UNUSED", "none"), ("NLMSGERR_ATTR_MSG", "asciiz"))


class _error(_done):
    """The end of another request, with the header of that request: pyroute2's nlmsgerr has none."""

    fields = (("error", "i"), ("request", "16s"))


_ENDS = {NLMSG_DONE: _done, NLMSG_ERROR: _error}


@dataclass(frozen=True, slots=True)
class Family:
    """A generic netlink family: its number, and those of its multicast groups by name."""

    id: int
    groups: dict[str, int]


class Link:
    """A generic netlink socket. Threads may share it; a forked child may not."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._socket = _open()
        self._sequence = 0
        self._unanswered = False
        self._joined = 0

    def find(self, name: str) -> Family:
        """The family of this name; FileNotFoundError with a remedy."""
        message = ctrlmsg()
        message["cmd"] = CTRL_CMD_GETFAMILY
        message["version"] = 1
        message["attrs"].append(("CTRL_ATTR_FAMILY_NAME", name))
        message.encode()
        (reply,) = self.request(GENL_ID_CTRL, message.data)
        family = ctrlmsg(reply)
        family.decode()
        groups = family.get_attr("CTRL_ATTR_MCAST_GROUPS", [])
        return Family(
            family.get_attr("CTRL_ATTR_FAMILY_ID"),
            {
                group.get_attr("CTRL_ATTR_MCAST_GRP_NAME"): group.get_attr("CTRL_ATTR_MCAST_GRP_ID")
                for group in groups
            },
        )

    def request(self, kind: int, message: bytearray) -> list[bytes]:
        """The replies. Raises what the kernel refused with, in its own words where it gave some.

        An exchange that an exception ends, Control-C for one, disturbs no later one.
        """
        return self._exchange(kind, message, 0)[0]

    def dump(self, kind: int, message: bytearray) -> list[bytes]:
        """The replies of a dump during which nothing changed; BlockingIOError if there is none."""
        for _ in range(DUMP_TRIES):
            replies, interrupted = self._exchange(kind, message, NLM_F_DUMP)
            if not interrupted:
                return replies
        raise OSError(
            errno.EAGAIN, f"the list changed while it was read, {DUMP_TRIES} times in a row"
        )

    def join(self, family: Family, group: str) -> None:
        """Have receive() give the events of a group of the family."""
        # The other group tells when a family goes, and with it, without a word, its groups.
        for number in (family.groups[group], GENL_ID_CTRL):
            self._socket.setsockopt(SOL_NETLINK, NETLINK_ADD_MEMBERSHIP, number)
        self._joined = family.id

    def receive(self) -> list[bytes] | None:
        """Events that came, maybe none of the group's; None if there is nothing. Never waits.

        Raises OSError: ENOBUFS, once, when events were lost, ENODEV when the family went.
        """
        try:
            datagram = self._datagram(socket.MSG_DONTWAIT)
        except BlockingIOError:
            return None
        events = []
        for kind, _, _, message in _messages(datagram):
            if kind == self._joined:
                events.append(message)
            elif kind == GENL_ID_CTRL and _removed(message) == self._joined:
                raise OSError(errno.ENODEV, "the module was unloaded")
        return events

    def drain(self) -> None:
        """Drop the events that came, and what says that some were lost."""
        while True:
            try:
                if self.receive() is None:
                    return
            except OSError as error:
                if error.errno != errno.ENOBUFS:
                    raise

    def fileno(self) -> int:
        return self._socket.fileno()

    def close(self) -> None:
        self._socket.close()

    def _exchange(self, kind: int, message: bytearray, flags: int) -> tuple[list[bytes], bool]:
        """The replies, and whether what they tell changed meanwhile."""
        with self._lock:
            if self._unanswered:
                # Answers that were not waited for may still come, and a dump that was not
                # read to its end makes the kernel refuse the next one with EBUSY.
                self._socket.close()
                self._socket = _open()
            self._sequence += 1
            flags |= NLM_F_REQUEST | NLM_F_ACK
            _ADDRESS.pack_into(message, 4, kind, flags, self._sequence)
            self._unanswered = True
            self._socket.send(message)
            replies: list[bytes] = []
            interrupted = False
            while True:
                for what, marks, sequence, reply in _messages(self._answer()):
                    if sequence != self._sequence:
                        continue
                    interrupted |= bool(marks & NLM_F_DUMP_INTR)
                    if what not in _ENDS:
                        replies.append(reply)
                        continue
                    self._unanswered = False
                    _raise_error(_ENDS[what](reply))
                    return replies, interrupted

    def _answer(self) -> bytes:
        try:
            return self._datagram()
        except BlockingIOError:
            words = f"the kernel did not answer within {ANSWER_SECONDS} s"
            raise OSError(errno.ETIMEDOUT, words) from None

    def _datagram(self, flags: int = 0) -> bytes:
        """The next one that is from the kernel."""
        while True:
            datagram, _, got, (sender, _) = self._socket.recvmsg(DATAGRAM_BYTES, 0, flags)
            if got & socket.MSG_TRUNC:
                raise OSError(errno.EMSGSIZE, f"an answer of more than {DATAGRAM_BYTES} bytes")
            if sender == 0:
                return datagram


def _open() -> socket.socket:
    with refusing("netlink", socket_remedy):
        link = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, NETLINK_GENERIC)
    link.setsockopt(SOL_NETLINK, NETLINK_EXT_ACK, 1)
    link.setsockopt(SOL_NETLINK, _NETLINK_CAP_ACK, 1)
    # Python's own timeout would wait in spite of MSG_DONTWAIT, and cost a poll each time.
    timeout = struct.pack("ll", ANSWER_SECONDS, 0)
    link.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, timeout)
    link.bind((0, 0))
    return link


def _raise_error(end: Any) -> None:
    end.decode()
    number = -end["error"]
    if not number:
        return
    words = end.get_attr("NLMSGERR_ATTR_MSG")
    if number == errno.ENOENT and not words:
        # Of a region that is not there the module says so.
        raise ModuleNotLoadedError(number, "the module does not answer", None, family_remedy())
    raise OSError(number, words or os.strerror(number))


def _removed(message: bytes) -> int | None:
    """The family that an event of GENL_ID_CTRL's says is no more."""
    event = ctrlmsg(message)
    event.decode()
    family: int = event.get_attr("CTRL_ATTR_FAMILY_ID")
    return family if event["cmd"] == CTRL_CMD_DELFAMILY else None


def _messages(datagram: bytes) -> Iterator[tuple[int, int, int, bytes]]:
    """Type, flags, sequence number and the whole of each message."""
    offset = 0
    while offset < len(datagram):
        length, kind, flags, sequence = _HEADER.unpack_from(datagram, offset)
        yield kind, flags, sequence, datagram[offset : offset + length]
        offset += length + 3 & ~3
