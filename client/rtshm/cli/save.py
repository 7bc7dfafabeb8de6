"""rtshm save, load: all regions as a file."""

from __future__ import annotations

import errno
import os
import sys
import tempfile
from contextlib import suppress
from pathlib import Path

import click

from rtshm.cli.opened import opened, told

REGIONS = Path("/etc/rtshm/regions.toml")
"""Describes the regions to create at boot, together with regions.d in the same directory."""


@click.command()
@click.argument("file", type=click.Path(allow_dash=True), default="-")
@click.option("--values", is_flag=True, help="Describe the values of the fields, too.")
def save(file: str, values: bool) -> None:
    """Describe all regions in a file, for load.

    In TOML, on standard output if FILE is not given. FILE is replaced when the
    description is complete.
    """
    from rtshm.cli import description

    with opened() as control:
        text = description.save([told(control, region) for region in control.list()], values=values)
    if file == "-":
        click.echo(text, nl=False)
    else:
        write_text(file, text)


@click.command()
@click.argument("files", metavar="[FILE]...", nargs=-1, type=click.Path(allow_dash=True))
def load(files: tuple[str, ...]) -> None:
    """Create the regions that files describe, with their tasks.

    FILE is as save wrote it, - for standard input. Without FILE, load reads
    /etc/rtshm/regions.toml and the files of /etc/rtshm/regions.d, as at boot. A region
    that exists is set to what can be set, which set --help lists, and the values
    of its fields are stored. If anything else differs, nothing is done at all;
    nor if a region would get its first cpu, phase, mode, owner or group, which
    load could not undo: use set. Regions that no file describes stay as they
    are. If the kernel refuses a region or a task, what was done for others is
    undone.
    """
    from rtshm.cli import description

    texts = {file: _read(file) for file in files or _installed()}
    steps: list[description.Step] = []
    wrong: list[str] = []
    with opened() as control:
        there = [told(control, region) for region in control.list()]
        for file, text in texts.items():
            try:
                described = description.parse(text.decode("utf-8-sig"), Path(file).parent)
                for name in described.keys() & {step.name for step in steps}:
                    raise ValueError(f"{name}: another file describes it, too")
                steps += description.plan(described, there)
            except ValueError as error:
                wrong += [f"rtshm: {file}: {line}" for line in str(error).splitlines()]
        if wrong:
            sys.exit("\n".join(wrong))
        description.run(control, steps)
    for step in steps:
        click.echo(step.what)


def _read(file: str) -> bytes:
    # If it was closed, descriptor 0 may be another file by now: a shared library, for example.
    if file == "-" and not sys.stdin:
        raise OSError(errno.EBADF, os.strerror(errno.EBADF))
    with open(0 if file == "-" else file, "rb") as stream:
        return stream.read()


def _installed() -> list[str]:
    """Return the files that describe the regions of this machine."""
    more = REGIONS.with_suffix(".d")
    found = [*REGIONS.parent.glob(REGIONS.name), *sorted(more.glob("*.toml"))]
    if not found:
        sys.exit(f"rtshm: there is no {REGIONS}, and no *.toml in {more}")
    return [str(path) for path in found]


def write_text(path: str, text: str) -> None:
    """Write a temporary file and rename it when it is whole and on the disk.

    What is not a regular file, as a FIFO or /dev/stdout, is written through.
    Raises OSError, with the file's name; what was there is then as it was.
    """
    place = Path(os.path.realpath(path))
    if place.exists() and not place.is_file():
        place.write_text(text, encoding="utf-8")
        return
    try:
        number, part = tempfile.mkstemp(prefix=f".{place.name}.", suffix=".part", dir=place.parent)
        try:
            with open(number, "w", encoding="utf-8") as file:
                os.fchmod(number, _mode(place))
                file.write(text)
                file.flush()
                os.fsync(number)
            os.replace(part, place)
        except BaseException:
            with suppress(OSError):
                os.unlink(part)
            raise
    except OSError as error:
        error.filename, error.filename2 = path, None
        raise


def _mode(place: Path) -> int:
    """Of the file that is replaced, or as open(2) would make it."""
    try:
        return place.stat().st_mode & 0o7777
    except FileNotFoundError:
        mask = os.umask(0)
        os.umask(mask)
        return 0o666 & ~mask
