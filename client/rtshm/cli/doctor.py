"""rtshm doctor: why it does not work here."""

from __future__ import annotations

import json
from pathlib import Path

import click

from rtshm.cli.parameters import json_option

# 1 and 2 are those of every command.
STATUSES = {"error": 4, "warning": 3}


@click.command()
@click.option(
    "--module",
    type=click.Path(path_type=Path),
    help="Check this file, for example rtshm.ko, instead of the installed module.",
)
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
        rows = [
            {
                "check": finding.check,
                "level": finding.level.value,
                "text": finding.text,
                "remedy": finding.remedy,
            }
            for finding in findings
        ]
        click.echo(json.dumps(rows, indent=2))
    else:
        for finding in findings:
            line = f"{finding.level.value:<9}{finding.check:<13}{finding.text}"
            click.echo(f"{line}; remedy: {finding.remedy}" if finding.remedy else line)
    levels = {finding.level.value for finding in findings}
    return next((status for level, status in STATUSES.items() if level in levels), 0)
