from collections.abc import Callable
from mmap import mmap
from typing import NoReturn, SupportsIndex

def publisher(
    memory: mmap | bytearray | memoryview, /
) -> tuple[Callable[[SupportsIndex], None], Callable[[Callable[[], NoReturn]], None]]: ...
