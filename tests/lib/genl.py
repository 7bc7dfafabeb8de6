"""Generic netlink by hand, on a plain socket: for what a well-behaved client never sends."""

from __future__ import annotations

import os
import re
import socket
import struct
from dataclasses import dataclass
from typing import TYPE_CHECKING, Self

from tests.lib.module import CHECKOUT

if TYPE_CHECKING:
    from collections.abc import Iterator

HEADER = CHECKOUT / "kmod/include/uapi/linux/rtshm_netlink.h"

NETLINK_GENERIC = 16
NLMSG_ERROR, NLMSG_DONE = 2, 3
NLM_F_REQUEST, NLM_F_ACK, NLM_F_DUMP, NLM_F_DUMP_INTR = 0x1, 0x4, 0x300, 0x10
NLMSGERR_ATTR_MSG = 1
NLA_F_NESTED = 0x8000
NLA_TYPE = 0x3FFF
GENL_ID_CTRL, CTRL_CMD_GETFAMILY, CTRL_ATTR_FAMILY_ID, CTRL_ATTR_FAMILY_NAME = 16, 3, 1, 2
SOL_NETLINK, NETLINK_CAP_ACK, NETLINK_EXT_ACK = 270, 10, 11


def _numbers() -> dict[str, int]:
    """Every number that an enum of the header gives a name, by this name."""
    found: dict[str, int] = {}
    for body in re.findall(r"enum[^{;]*\{([^}]*)\}", HEADER.read_text()):
        value = -1
        for name, given in re.findall(r"^\t(RTSHM_\w+)(?: = (\d+))?,$", body, re.MULTILINE):
            value = int(given) if given else value + 1
            found[name] = value
    return found


NUMBERS = _numbers()
GET, NEW, DEL, SET = (NUMBERS[f"RTSHM_CMD_REGION_{name}"] for name in ("GET", "NEW", "DEL", "SET"))


def number(name: str) -> int:
    """Of an attribute of a region, by its name in the spec."""
    return NUMBERS["RTSHM_A_REGION_" + name.upper().replace("-", "_")]


def raw(kind: int, payload: bytes, length: int | None = None) -> bytes:
    """An attribute as it lies on the wire, padded; `length` may lie about it."""
    size = 4 + len(payload) if length is None else length
    return struct.pack("=HH", size, kind) + payload + bytes(-len(payload) % 4)


WIDTH = {"print": "B"} | dict.fromkeys(
    ("size", "period-ns", "phys", "lead-ns", "cpu-latency-ns", "task-budget-ns"), "Q"
)


def attr(name: str, value: int | str | bytes) -> bytes:
    """A well-formed attribute: a string with its NUL, a number of the spec's width, or bytes."""
    if isinstance(value, int):
        value = struct.pack("=" + WIDTH.get(name, "I"), value)
    elif isinstance(value, str):
        value = value.encode() + b"\0"
    return raw(number(name), value)


def attrs(**values: int | str | bytes) -> bytes:
    return b"".join(attr(name.replace("_", "-"), value) for name, value in values.items())


class Refused(OSError):
    """An error message of the kernel; `text` is what it says in words, empty if nothing."""

    def __init__(self, code: int, text: str) -> None:
        super().__init__(code, os.strerror(code))
        self.text = text


@dataclass(frozen=True, slots=True)
class Message:
    kind: int
    flags: int
    payload: bytes


def walk(data: bytes) -> Iterator[tuple[int, bytes]]:
    while len(data) >= 4:
        length, kind = struct.unpack_from("=HH", data)
        yield kind & NLA_TYPE, data[4:length]
        data = data[(length + 3) & ~3 :]


def name_of(message: Message) -> str:
    """The name in a message about a region."""
    return dict(walk(message.payload[4:]))[number("name")].rstrip(b"\0").decode()


class Genl:
    """A socket that talks to the family rtshm. A context manager."""

    def __init__(self) -> None:
        self.socket = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, NETLINK_GENERIC)
        self.socket.setsockopt(SOL_NETLINK, NETLINK_CAP_ACK, 1)
        self.socket.setsockopt(SOL_NETLINK, NETLINK_EXT_ACK, 1)
        self.socket.bind((0, 0))
        self.family = GENL_ID_CTRL
        try:
            reply = self.ask(CTRL_CMD_GETFAMILY, raw(CTRL_ATTR_FAMILY_NAME, b"rtshm\0"))
        except BaseException:
            self.socket.close()
            raise
        self.family = struct.unpack("=H", dict(walk(reply[0].payload[4:]))[CTRL_ATTR_FAMILY_ID])[0]

    def message(self, command: int, attributes: bytes = b"", flags: int = NLM_F_ACK) -> bytes:
        body = struct.pack("=BBH", command, 1, 0) + attributes
        head = struct.pack("=IHHII", 16 + len(body), self.family, flags | NLM_F_REQUEST, 1, 0)
        return head + body

    def send(self, message: bytes) -> None:
        self.socket.send(message)

    def receive(self) -> list[Message]:
        """The messages of one datagram."""
        data = self.socket.recv(1 << 20)
        found = []
        while data:
            length, kind, flags, _, _ = struct.unpack_from("=IHHII", data)
            found.append(Message(kind, flags, data[16:length]))
            data = data[(length + 3) & ~3 :]
        return found

    def ask(self, command: int, attributes: bytes = b"", flags: int = NLM_F_ACK) -> list[Message]:
        """The replies to one request, up to its acknowledgement. Raises Refused."""
        self.send(self.message(command, attributes, flags))
        found: list[Message] = []
        while True:
            for message in self.receive():
                if message.kind not in (NLMSG_ERROR, NLMSG_DONE):
                    found.append(message)
                    continue
                (code,) = struct.unpack_from("=i", message.payload)
                if code < 0:
                    raise Refused(-code, refusal(message))
                return found

    def dump(self) -> list[Message]:
        return self.ask(GET, flags=NLM_F_DUMP)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.socket.close()


def refusal(message: Message) -> str:
    """The words of an error message: with NETLINK_CAP_ACK, 4 + 16 bytes come before them."""
    text = dict(walk(message.payload[20:])).get(NLMSGERR_ATTR_MSG, b"")
    return text.rstrip(b"\0").decode()
