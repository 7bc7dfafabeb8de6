"""Processes of tear.c, which write records, or look for one that is not whole."""

from __future__ import annotations

import signal
import subprocess
from contextlib import ExitStack, contextmanager
from datetime import timedelta
from typing import TYPE_CHECKING, NamedTuple

import rtshm
from rtshm.paths import DEVICES

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

BOTH_HALVES = 0x1_0000_0001


class Seen(NamedTuple):
    """What a reader of records saw."""

    reads: int
    changed: int
    torn: int


@contextmanager
def checked(tear: Path, name: str, fields: int) -> Iterator[list[Seen]]:
    """A process that reads records of the region until the block ends; then what it saw."""
    seen: list[Seen] = []
    with begun(tear, "check", name, fields) as reader:
        yield seen
        seen.append(Seen(*map(int, ended(reader).split())))


@contextmanager
def hostile(tear: Path, role: str, name: str, fields: int, records: int = 0) -> Iterator[None]:
    """Two processes that write records to the region until the block ends, so many at least."""
    half = str(records // 2)
    with ExitStack() as stack:
        writers = [
            stack.enter_context(begun(tear, role, name, fields, first, half)) for first in "12"
        ]
        yield
        for writer in writers:
            ended(writer)


def store_one_field(control: rtshm.Control, tear: Path, stores: int) -> None:
    """Store numbers through the view and by two processes, `stores` at least: none is torn."""
    control.create("plain", layout="first:u64", period=timedelta(milliseconds=2))
    with (
        rtshm.open("plain") as region,
        checked(tear, "plain", 1) as seen,
        hostile(tear, "store", "plain", 1, stores),
    ):
        for low in range(stores // 100):
            region.view.first = low * BOTH_HALVES
            assert region.view.first % BOTH_HALVES == 0
    assert seen[0].changed > 0
    assert seen[0].torn == 0


@contextmanager
def begun(
    tear: Path, role: str, name: str, fields: int, *arguments: str
) -> Iterator[subprocess.Popen[str]]:
    command: list[str | Path] = [tear, role, DEVICES / name, str(fields), *arguments]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout
            assert process.stdout.readline() == "begun\n"
            yield process
        finally:
            process.kill()


def ended(process: subprocess.Popen[str]) -> str:
    """What it printed; it goes on until here."""
    assert process.poll() is None
    process.send_signal(signal.SIGTERM)
    output, _ = process.communicate()
    assert process.returncode == 0
    return output
