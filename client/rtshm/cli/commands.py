"""The group of all commands, and how it ends."""

from __future__ import annotations

import sys

import click

from rtshm.cli.log import log
from rtshm.cli.state import read, write


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
def rtshm() -> None:
    """Memory shared with a periodic task inside the Linux kernel."""


rtshm.add_command(write)
rtshm.add_command(read)
rtshm.add_command(log)


def run() -> int:
    """The exit status. Raises OSError as the kernel gave it."""
    try:
        status = rtshm.main(prog_name="rtshm", standalone_mode=False)
        if sys.stdout:
            sys.stdout.flush()
    except click.Abort:
        return 130
    except click.ClickException as error:
        error.show()
        return error.exit_code
    return status or 0
