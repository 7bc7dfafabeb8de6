"""The group of all commands, and how it ends.

A command imports what only it needs, and what takes pyroute2 or numpy, when it runs.
"""

from __future__ import annotations

import sys

import click

from rtshm.cli.completion import completion
from rtshm.cli.doctor import doctor
from rtshm.cli.fields import get, header, put
from rtshm.cli.log import log
from rtshm.cli.play import play
from rtshm.cli.plot import plot
from rtshm.cli.record import record, recover
from rtshm.cli.regions import create, delete, events, list_, set_, show
from rtshm.cli.save import load, save
from rtshm.cli.scope import scope
from rtshm.cli.state import read, write
from rtshm.cli.stream import stream
from rtshm.cli.top import top


class InOrder(click.Group):
    """A group that lists its commands as they were added."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(self.commands)


@click.group(
    cls=InOrder,
    context_settings={"help_option_names": ["-h", "--help"]},
    epilog=(
        "Exit status: 0 if all is well, 1 if it was refused, with the reason and what to do on "
        "standard error, 2 if the command is not one, 130 if Control-C cut it off."
    ),
)
def rtshm() -> None:
    """Memory shared with a periodic task inside the Linux kernel."""


for command in (
    *(write, read),
    *(get, put, header),
    *(list_, show, top, scope, stream, events),
    *(record, recover, play, plot),
    *(create, set_, delete),
    *(save, load),
    *(log, doctor, completion),
):
    rtshm.add_command(command)


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
