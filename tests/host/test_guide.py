"""How pages of docs/ are read, which test_pages.py, tests/client and tests/boots type; and the
pictures of the guide."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import numpy
import pytest

from tests.host.recordings import made, written
from tests.lib import guide

if TYPE_CHECKING:
    from pathlib import Path

CLIENT = guide.DOCS.parent / "client"
FIELDS = ("setpoint", "kp", "ki", "output", "error", "drive")

TEXT = """\
# Heading

```console
$ make
# rtshm create a \\
      --period 1ms
# rtshm get a
speed 0
gain 1
```

```python
program()
```

```pycon
>>> 1 + 1
2
```
"""


def test_commands_are_found_with_their_output() -> None:
    assert list(guide.read(TEXT)) == [
        guide.Typed("$", "make"),
        guide.Typed("#", "rtshm create a \\\n      --period 1ms"),
        guide.Typed("#", "rtshm get a", "speed 0\ngain 1\n"),
        guide.Typed("python", "program()\n"),
        guide.Typed(">>>", ">>> 1 + 1\n2\n"),
    ]


def test_shown_output_is_compared_except_where_it_differs() -> None:
    assert guide.agrees("speed 0\ngain 1\n", "speed 0\ngain 1\n")
    assert not guide.agrees("speed 0\ngain 1\n", "speed 0\ngain 2\n")
    assert not guide.agrees("speed 0\n", "speed 0\ngain 1\n")
    assert guide.agrees("within ... ms; theory: 230 ms\n", "within 229 ms; theory: 230 ms\n")
    assert not guide.agrees("within ... ms; theory: 230 ms\n", "within 229 ms; theory: 31 ms\n")
    assert guide.agrees("", "whatever\n")


def test_guide_has_all_that_it_is_for() -> None:
    typed = list(guide.read(guide.GUIDE.read_text()))
    assert {each.where for each in typed} == {"$", "#", ">>>"}
    text = "\n".join(each.text for each in typed)
    for wanted in ("create", "put", "get", "show", "scope", "record", "plot", "delete"):
        assert f"rtshm {wanted} " in text
    # Every fence is one that is read.
    blocks = guide.GUIDE.read_text().count("```")
    assert blocks == 2 * len(guide.FENCED.findall(guide.GUIDE.read_text()))


def test_every_page_with_something_to_type_has_its_test() -> None:
    pages = {"../README", *(path.stem for path in guide.DOCS.glob("*.md"))}
    assert {page for page in pages if guide.page(page)} == {
        *guide.HOST,
        *guide.GUEST,
        *guide.ELSEWHERE,
    }
    for tests in (*guide.ELSEWHERE.values(), *guide.UNTYPED.values()):
        for path in re.findall(r"`(tests/.*?)`", tests):
            assert (guide.DOCS.parent / path).exists()


def test_commands_of_a_user_in_other_pages_are_in_the_guide() -> None:
    """tests/boots/test_guide.py types the guide's."""
    own = {each.text for each in guide.page("guide")}
    others = [each for page in guide.GUEST for each in guide.page(page) if each.where == "$"]
    assert {each.text for each in others} <= own


def test_program_of_the_readme_and_its_commands_are_those_of_the_page() -> None:
    """tests/boots/test_guide.py types the page's."""
    own = {each.text: each.shown for each in guide.page("bpf")}
    readme = (guide.DOCS.parent / "README.md").read_text()
    (program,) = [text for language, text in guide.FENCED.findall(readme) if language == "c"]
    assert re.sub(r"\s*/\*.*?\*/", "", program) == own["cat follow.bpf.c"]
    axis = [each.text for each in guide.page("../README") if " axis " in each.text]
    assert len(axis) == 3
    assert {text.replace("sudo ", "").replace(" axis ", " motor ") for text in axis} <= {*own}


def step() -> Any:
    """The samples of a step as theory has it."""
    dtype = [(name, "i8") for name in ("time_ns", "lateness_ns")]
    samples = numpy.zeros(2100, [*dtype, *((name, "f8") for name in FIELDS)])
    samples["time_ns"] = numpy.arange(-100, 2000) * 1_000_000 + 10**12
    samples["lateness_ns"] = numpy.arange(2100)
    samples["setpoint"][100:] = 1
    samples["output"][100:] = 1 - numpy.exp(-numpy.arange(2000) / 50)
    return samples


@pytest.mark.parametrize("page", ["guide", "history", "recording"])
def test_pictures_are_drawn(page: str, tmp_path: Path) -> None:
    """By the page's commands, of files like those that tests/client/test_guide.py makes by it."""
    layout = " ".join(f"{name}:q16" for name in FIELDS)
    for name in ("run.csv", "run.arrows", "sweep.arrows"):
        written(made(layout, 2100, name="pi"), tmp_path / name)
    numpy.savez(tmp_path / "step.npz", samples=step())
    typed = [each for each in guide.page(page) if guide.draws(each)]
    assert typed
    for each in typed:
        command = each.text.replace("rtshm ", f"{sys.executable} -m rtshm ", 1)
        command = command.replace("python3 client/", f"{sys.executable} {CLIENT}/")
        done = subprocess.run(
            shlex.split(command, comments=True),
            cwd=tmp_path,
            stdout=subprocess.PIPE,
            text=True,
            check=True,
        )
        assert guide.agrees(each.shown, done.stdout), f"# {each.text}\n{done.stdout}"
        assert (tmp_path / guide.draws(each)).read_bytes().startswith(b"\x89PNG")
