"""The group of all commands, and how it ends.

A command imports what only it needs, and what takes pyroute2 or numpy, when it runs.
"""

from __future__ import annotations

import errno
import io
import os
import sys

import click
from click.shell_completion import ShellComplete, get_completion_class

from rtshm._version import __version__
from rtshm.cli.blame import blame
from rtshm.cli.diagnosis import doctor, log
from rtshm.cli.fields import get, header, kick, put, queue, read, write
from rtshm.cli.record import play, plot, record, recover
from rtshm.cli.regions import create, delete, events, list_, set_, show
from rtshm.cli.save import load, save
from rtshm.cli.scope import scope
from rtshm.cli.stream import stream
from rtshm.cli.task import task
from rtshm.cli.top import top
from rtshm.kernel_files import module_version


class InOrder(click.Group):
    """A group that lists its commands as they were added."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(self.commands)


@click.group(
    cls=InOrder,
    context_settings={"help_option_names": ["-h", "--help"]},
    epilog=(
        "Exit status: 0 success, 1 error (reason and hint on standard error), 2 usage error, "
        "130 interrupted."
    ),
    invoke_without_command=True,
)
@click.option("--version", is_flag=True, help="Print the versions of package and module.")
@click.pass_context
def rtshm(context: click.Context, version: bool) -> None:
    """Memory shared with a periodic task inside the Linux kernel."""
    if version:
        click.echo(f"rtshm {__version__} (module: {module_version()})")
        context.exit()
    if context.invoked_subcommand is None:
        # Whatever the release of click does with it.
        click.echo(context.get_help())
        context.exit()


@click.command()
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
@click.pass_context
def completion(context: click.Context, shell: str) -> None:
    """Print the script for completion in a shell.

    It completes commands, options, regions and fields. To install it for bash,
    for zsh (into a directory of $fpath) or for fish:

    \b
    rtshm completion bash > ~/.local/share/bash-completion/completions/rtshm
    rtshm completion zsh > ~/.zfunc/_rtshm
    rtshm completion fish > ~/.config/fish/completions/rtshm.fish
    """
    root = context.find_root()
    shell_complete = get_completion_class(shell)
    assert shell_complete
    # Not bash's own source(), which starts a bash to ask for its version.
    script = ShellComplete.source(shell_complete(root.command, {}, "rtshm", "_RTSHM_COMPLETE"))
    click.echo(script)


for command in (
    *(write, read, kick),
    *(get, put, header),
    *(list_, show, top, scope, stream, events),
    *(record, recover, play, plot),
    *(create, set_, delete),
    *(task, queue),
    *(save, load),
    *(blame, log, doctor, completion),
):
    rtshm.add_command(command)


class _Closed(io.TextIOBase):
    """Standard output that was closed before the command began."""

    def write(self, _text: str) -> int:
        raise OSError(errno.EBADF, os.strerror(errno.EBADF), "standard output")


def run() -> int:
    """The exit status. Raises OSError as the kernel gave it."""
    try:
        if sys.stdout is None:
            # Closed, as by >&-: what a command printed would be lost, and the status be 0.
            sys.stdout = _Closed()
        status = rtshm.main(prog_name="rtshm", standalone_mode=False)
        sys.stdout.flush()
    except click.Abort:
        return 130
    except click.ClickException as error:
        error.show()
        return error.exit_code
    return status or 0
