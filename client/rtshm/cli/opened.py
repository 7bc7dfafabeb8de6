"""The control plane, as commands open it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

import click

from rtshm.errors import ProgramError

if TYPE_CHECKING:
    from rtshm.control import Control, RegionInfo


@contextmanager
def opened() -> Iterator[Control]:
    """A Control; what no message can carry, a name that is not UTF-8, is a usage error."""
    from rtshm.control import Control

    with Control() as control:
        try:
            yield control
        except ProgramError:
            raise
        except ValueError as error:
            raise click.UsageError(str(error)) from error


def told(control: Control, region: RegionInfo) -> RegionInfo:
    """Return a region of a list with layout, counters and tasks, if this process may read it."""
    if not region.readable:
        # Deleted since.
        with suppress(FileNotFoundError):
            found = control.get(region.name)
            return found if found.id == region.id else region
    return region
