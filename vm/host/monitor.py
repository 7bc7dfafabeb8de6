"""QMP: what QEMU is told and asked while it runs."""

from __future__ import annotations

import json
import socket
from typing import Any

from vm.host.errors import HarnessError

ANSWER_SECONDS = 30.0


class Monitor:
    """A conversation over the socket of qemu.py."""

    def __init__(self, port: socket.socket) -> None:
        self._port = port
        port.settimeout(ANSWER_SECONDS)
        self._lines = port.makefile("rb")
        self._read()
        self.execute("qmp_capabilities")

    def execute(self, command: str, *, descriptor: int | None = None, **arguments: object) -> Any:
        """The answer to a command, with which a file may be handed over."""
        line = json.dumps({"execute": command, "arguments": arguments}).encode()
        try:
            socket.send_fds(self._port, [line], [] if descriptor is None else [descriptor])
        except OSError as error:
            raise HarnessError(f"QEMU's monitor: {command}: {error.strerror}") from error
        while True:
            answer = self._read()
            if "error" in answer:
                raise HarnessError(f"QEMU's monitor: {command}: {answer['error']['desc']}")
            if "return" in answer:
                return answer["return"]

    def _read(self) -> dict[str, Any]:
        try:
            line = self._lines.readline()
        except OSError as error:
            raise HarnessError(f"QEMU's monitor: {error}") from error
        if not line:
            raise HarnessError("QEMU's monitor: closed")
        answer: dict[str, Any] = json.loads(line)
        return answer
