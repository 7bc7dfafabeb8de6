"""The control plane, as commands open it."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from collections.abc import Iterator

    from rtshm.control import Control


@contextmanager
def opened() -> Iterator[Control]:
    """A Control; what no message can carry, a name that is no UTF-8, is a usage error."""
    from rtshm.control import Control

    with Control() as control:
        try:
            yield control
        except ValueError as error:
            raise click.UsageError(str(error)) from error
