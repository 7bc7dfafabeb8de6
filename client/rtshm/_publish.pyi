from collections.abc import Callable
from mmap import mmap
from typing import SupportsIndex

def publisher(memory: mmap | bytearray | memoryview, /) -> Callable[[SupportsIndex], None]: ...
