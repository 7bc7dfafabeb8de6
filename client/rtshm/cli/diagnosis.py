"""rtshm log: the module's lines in the kernel log; rtshm doctor: why it does not work here."""

from __future__ import annotations

import json
import os
from contextlib import suppress
from dataclasses import asdict, dataclass
from io import FileIO
from pathlib import Path

import click

from rtshm.cli.parameters import json_option
from rtshm.errors import log_remedy, refusing

KMSG = Path("/dev/kmsg")
# A record is given whole or not at all; this is the kernel's own limit of one.
_RECORD_BYTES = 8192


@dataclass(frozen=True, slots=True)
class Line:
    """A line of the kernel log: its text, and seconds since boot."""

    seconds: float
    text: str

    def __str__(self) -> str:
        return f"[{self.seconds:12.6f}] {self.text}"


def open_log(*, new_only: bool) -> FileIO:
    """Open the kernel log at its oldest line, or at its end. Raises OSError with a remedy."""
    with refusing(KMSG, log_remedy):
        file = FileIO(KMSG)
    if new_only:
        file.seek(0, os.SEEK_END)
    return file


def read_line(file: FileIO) -> Line | None:
    """Return the next line, None if it was overwritten before: then the oldest kept follows."""
    try:
        record = os.read(file.fileno(), _RECORD_BYTES).decode(errors="replace")
    except BrokenPipeError:
        return None
    head, _, message = record.partition(";")
    return Line(int(head.split(",")[2]) / 1e6, message.partition("\n")[0])


@click.command()
@click.option("--new", is_flag=True, help="Only lines that come from now on.")
@click.option("--no-follow", is_flag=True, help="Only lines that the log has now.")
def log(new: bool, no_follow: bool) -> None:
    """Follow the module's lines in the kernel log.

    It prints the lines that the log has, then new ones as they come, until
    Control-C. With --no-follow it ends after the lines that the log has.
    """
    if new and no_follow:
        raise click.UsageError("--new and --no-follow leave no lines; give one of them")
    with open_log(new_only=new) as file:
        os.set_blocking(file.fileno(), not no_follow)
        # Raised after the last line, where read(2) would wait for the next one.
        with suppress(BlockingIOError):
            while True:
                line = read_line(file)
                if line and line.text.startswith("rtshm: "):
                    click.echo(line)


# 1 and 2 are those of every command.
STATUSES = {"error": 4, "warning": 3}


@click.command()
@click.option("--module", type=click.Path(path_type=Path), help="Check this file, for example "
              "rtshm.ko, instead of the installed module.")  # fmt: skip
@json_option("A list of objects: check, level, text and remedy.")
def doctor(module: Path | None, as_json: bool) -> int:
    """Check what rtshm needs on this machine, and print remedies.

    One line each: the module, whether it is loaded, built for this kernel and
    signed, its devices, group and netlink family, the kernel's headers, and what
    makes ticks late. The status is that of the worst: 0 ok, 3 warning, 4 error.
    """
    from rtshm.doctor import examine

    findings = examine(module)
    if as_json:
        click.echo(json.dumps([asdict(finding) for finding in findings], indent=2))
    else:
        for finding in findings:
            line = f"{finding.level:<9}{finding.check:<13}{finding.text}"
            click.echo(f"{line}; remedy: {finding.remedy}" if finding.remedy else line)
    return max(STATUSES.get(finding.level, 0) for finding in findings)
