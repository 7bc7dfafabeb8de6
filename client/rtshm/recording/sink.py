"""Where the library of a format writes: bytes that the recorder then appends to the file."""

from __future__ import annotations

import io
from typing import Any


class Sink(io.BufferedIOBase):
    """Keeps what the library of a format writes, until it is appended to the file."""

    def __init__(self) -> None:
        self._data = bytearray()
        self._at = 0

    def writable(self) -> bool:
        return True

    def write(self, data: Any) -> int:
        self._data += data
        self._at += memoryview(data).nbytes
        return memoryview(data).nbytes

    def tell(self) -> int:
        return self._at

    def take(self) -> bytearray:
        data, self._data = self._data, bytearray()
        return data
