"""rtshm completion: what a shell needs to complete commands, options and names of regions."""

from __future__ import annotations

import click
from click.shell_completion import ShellComplete, get_completion_class


@click.command()
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
@click.pass_context
def completion(context: click.Context, shell: str) -> None:
    """Print the script for completion in a shell.

    It completes commands, options and names of regions. To install it for bash,
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
