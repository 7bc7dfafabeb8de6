"""rtshm(1) has all that the command has, and mandoc and groff have nothing to say of it."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import click
import pytest
from rtshm.cli.commands import rtshm

CHECKOUT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def page() -> str:
    environment = {**os.environ, "SOURCE_DATE_EPOCH": "86400"}
    done = subprocess.run(
        [sys.executable, CHECKOUT / "docs/man.py"],
        stdout=subprocess.PIPE,
        text=True,
        check=True,
        env=environment,
    )
    return done.stdout


def formatted(page: str) -> str:
    command = ["mandoc", "-T", "utf8", "-O", "width=200"]
    done = subprocess.run(command, input=page, stdout=subprocess.PIPE, text=True, check=True)
    # Bold and underlined, as a terminal that prints on paper does it.
    return re.sub(".\b", "", done.stdout)


def complaints(page: str) -> list[str]:
    """What mandoc and groff say of a page."""
    found = []
    for command in (["mandoc", "-T", "lint"], ["groff", "-ww", "-mandoc", "-Tutf8", "-z"]):
        done = subprocess.run(command, input=page, capture_output=True, text=True, check=False)
        found += (done.stdout + done.stderr).splitlines()
    # The footer has the name and version of this and not of an operating system.
    return [line for line in found if "operating system explicitly specified" not in line]


def test_mandoc_and_groff_have_nothing_to_say(page: str) -> None:
    assert complaints(page) == []


def test_mandoc_and_groff_say_what_is_wrong(page: str) -> None:
    """The control."""
    said = complaints(page.replace(".Ss write", ".Sz write\nUndefined: \\*[no-such-string]"))
    assert any(line.startswith("mandoc:") for line in said)
    assert any(line.startswith("troff") for line in said)


def test_date_is_that_of_the_source(page: str) -> None:
    assert page.startswith(".Dd January 2, 1970\n")


def test_every_command_option_and_sentence_of_the_help_is_there(page: str) -> None:
    sections = re.split(r"^   (\S+)$", formatted(page), flags=re.MULTILINE)
    names = sections[1::2]
    assert names == list(rtshm.commands)
    for name, section in zip(names, sections[2::2], strict=True):
        command = rtshm.commands[name]
        words = " ".join(section.split())
        for param in command.params:
            expected = param.opts + param.secondary_opts
            if isinstance(param, click.Option):
                assert param.help
                for option in expected:
                    assert re.search(rf"(^|[ ,/]){re.escape(option)}[ ,]", words), (name, option)
                assert " ".join(param.help.split()) in words, (name, param.help)
        assert command.help
        for paragraph in command.help.split("\n\n"):
            text = " ".join(paragraph.replace("\b", "").split())
            assert text in words, (name, text)
