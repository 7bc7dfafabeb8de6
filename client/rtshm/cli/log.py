"""rtshm log: the module's lines in the kernel log."""

from __future__ import annotations

import click

from rtshm.kmsg import KernelLog


@click.command()
@click.option("--new", is_flag=True, help="Only lines that come from now on.")
def log(new: bool) -> None:
    """Follow the module's lines in the kernel log.

    It prints the lines that the log has, then new ones as they come.
    """
    with KernelLog(new_only=new) as kernel_log:
        for line in kernel_log.lines():
            click.echo(str(line))
