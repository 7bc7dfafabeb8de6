"""Which kernels a run is about: that of $KERNEL, or all."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Protocol, TypeVar

if TYPE_CHECKING:
    from collections.abc import Iterable

CHOSEN = os.environ.get("KERNEL", "")


class OfKernel(Protocol):
    @property
    def kernel(self) -> str: ...


T = TypeVar("T", bound=OfKernel)


def of_kernel(things: Iterable[T]) -> list[T]:
    return [thing for thing in things if CHOSEN in ("", thing.kernel)]
