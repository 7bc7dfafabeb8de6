"""rtshm(1), made of the command's own help: python3 docs/man.py >rtshm.1"""

from __future__ import annotations

import os
import re
import textwrap
import time
from inspect import cleandoc
from typing import TYPE_CHECKING

import click
import rtshm
from rtshm.cli.commands import rtshm as command

if TYPE_CHECKING:
    from collections.abc import Iterator

FILES = """\
.Sh FILES
.Bl -tag -width Ds
.It Pa /dev/rtshm/ Ns Ar NAME
The memory of a region.
.It Pa /dev/rtshm/ Ns Ar NAME Ns Pa .samples
Its history, if it keeps one.
.It Pa /etc/rtshm/regions.toml , Pa /etc/rtshm/regions.d/
What
.Cm load
reads without a
.Ar FILE ,
as
.Pa rtshm.service
does at boot.
.El"""


def page() -> Iterator[str]:
    """The lines of the page, in mdoc(7)."""
    # https://reproducible-builds.org/specs/source-date-epoch/
    date = time.gmtime(int(os.environ.get("SOURCE_DATE_EPOCH") or time.time()))
    context = made(command, None)
    yield f".Dd {time.strftime('%B', date)} {date.tm_mday}, {date.tm_year}"
    yield ".Dt RTSHM 1"
    yield f".Os rtshm {rtshm.__version__}"
    yield ".Sh NAME"
    yield ".Nm rtshm"
    yield f".Nd {escaped((command.help or '').rstrip('.'))}"
    yield ".Sh SYNOPSIS"
    yield ".Nm"
    yield ".Cm COMMAND"
    yield ".Op Ar OPTIONS"
    yield ".Op Ar ARGUMENTS"
    yield ".Sh DESCRIPTION"
    yield "Each command has"
    yield f".{argument('--help')} ."
    for name in command.list_commands(context):
        yield from described(made(command.commands[name], context))
    yield FILES
    yield ".Sh EXIT STATUS"
    yield from text((command.epilog or "").removeprefix("Exit status: "))


def made(of: click.Command, parent: click.Context | None) -> click.Context:
    return click.Context(of, info_name=of.name, parent=parent, **of.context_settings)


def described(context: click.Context) -> Iterator[str]:
    """The subsection of a command; those of its own commands follow."""
    of = context.command
    path = context.command_path.partition(" ")[2]
    yield f".Ss {path}"
    yield ".Nm"
    yield f".Cm {path}"
    for piece in of.collect_usage_pieces(context):
        name = piece.removesuffix("...")
        optional = "Op " if name.startswith("[") else ""
        more = " ..." if piece.endswith("...") else ""
        yield f".{optional}{argument(name.strip('[]'))}{more}"
    yield ".Pp"
    yield from text(of.help or "")
    options = [param for param in of.params if isinstance(param, click.Option)]
    if options:
        yield ".Bl -tag -width Ds"
        for names, help in filter(None, (each.get_help_record(context) for each in options)):
            words = names.replace(",", " ,").split()
            yield f".It {' '.join(map(argument, words))}"
            yield from text(help)
        yield ".El"
    if isinstance(of, click.Group):
        for name in of.list_commands(context):
            yield from described(made(of.commands[name], context))


def argument(word: str) -> str:
    """A word of a usage as mdoc marks it: an option, a choice of words, or what to give."""
    if word in (",", "/"):
        return word
    if word.startswith("-"):
        return f"Fl {escaped(word[1:])}"
    literal = word[0] in "[{" and word[-1] in "]}"
    words = " | ".join(map(escaped, (word[1:-1] if literal else word).split("|")))
    return f"{'Cm' if literal else 'Ar'} {words}"


def text(help: str) -> Iterator[str]:
    """Paragraphs as click has them: one that begins with \\b is kept line by line."""
    for number, paragraph in enumerate(cleandoc(help).split("\n\n")):
        if paragraph.startswith("\b\n"):
            yield ".Bd -literal -offset 2n"
            yield from map(escaped, paragraph.splitlines()[1:])
            yield ".Ed"
            continue
        if number:
            yield ".Pp"
        # mdoc wants each sentence on a line of its own, for the space behind it.
        for sentence in re.split(r"(?<=[.!?:])\s+", " ".join(paragraph.split())):
            yield from map(escaped, textwrap.wrap(sentence, 78, break_on_hyphens=False))


def escaped(line: str) -> str:
    r"""Escape a line, or a word of one, so that roff prints it as it is.

    \- is what can be copied to a shell, and found, as the option that it is.
    """
    line = line.replace("\\", "\\e").replace("-", "\\-").replace("^", "\\(ha")
    line = line.replace("~", "\\(ti").replace("`", "\\(ga").replace("'", "\\(aq")
    return f"\\&{line}" if re.match(r"[.']|[A-Z%][a-z]\w?$", line) else line


if __name__ == "__main__":
    print("\n".join(page()))
