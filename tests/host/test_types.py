"""mypy --strict and pyright know the types of a layout's fields, and of the documents' examples."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable

CHECKOUT = Path(__file__).parents[2]
CLIENT = CHECKOUT / "client"
DOCUMENTS = (CHECKOUT / "README.md", *sorted((CHECKOUT / "docs").glob("*.md")))

DECLARED = """\
from __future__ import annotations
import enum
from typing import Annotated, assert_type
import rtshm

class Mode(enum.IntEnum):
    OFF = 0
    ON = 1

@rtshm.struct
class Point:
    x: rtshm.i16
    y: rtshm.i16

@rtshm.struct
class Motor:
    speed: rtshm.f64
    gain: rtshm.f32
    mode: Annotated[Mode, rtshm.u8]
    axes: Annotated[rtshm.Array[int], rtshm.i32, 3]
    ok: rtshm.bool8
    tag: Annotated[bytes, 4]
    where: Point

region = rtshm.open("motor", Motor)
"""
RIGHT = """\
assert_type(region, rtshm.Region[Motor])
assert_type(region.view.speed, float)
assert_type(region.view.mode, Mode)
assert_type(region.view.axes[0], int)
assert_type(region.view.where.x, int)
assert_type(region.read().tag, bytes)
region.view.speed = 3
region.view.axes[1] = 5
region.view.axes = [1, 2, 3]
region.view.where = Point(1, 2)
region.write(region.view)
region.write(Motor(1.0, 0.5, Mode.ON, [0, 0, 0], True, b"abcd", Point(1, 2)), announce=True)
whole = {"speed": 1.0, "gain": 0.5, "mode": "ON", "axes": [0, 0, 0], "ok": True, "tag": b"abcd"}
region.write({**whole, "where": {"x": 1, "y": 2}})
region.update(gain=0.25, announce=True)
made = rtshm.create("motor", Motor, period="1ms", history=10_000, exist_ok=True)
assert_type(made, rtshm.Region[Motor])
rtshm.Control().create("motor", period=1_000_000, layout=Motor, history=8)
rtshm.Control().set("motor", lead="20us", cpu=1, print=rtshm.PrintMode.OFF, reset_counters=True)
made.wait_taken(timeout=0.5)
by_text = rtshm.open("motor", "speed:f64")
by_text.view.anything = 1
plain: rtshm.Region = rtshm.open("motor")
plain.read()["speed"]
"""
# Each of these lines is an error.
WRONG = """\
region.view.speeed = 3.0
region.view.speed = "fast"
region.view.mode = 7
region.read().speeed
Motor(1.0, 0.5, Mode.ON, [0, 0, 0], True, b"abcd")
Motor(1.0, 0.5, Mode.ON, [0, 0, 0], True, "abcd", Point(1, 2))
Motor(speed=1.0, gain=0.5, mode=Mode.ON, axis=[0], ok=True, tag=b"", where=Point(1, 2))
region.view.axes[0] = "a"
region.view.where.z = 1
region.write(Point(1, 2))
region.speed = 3.0
rtshm.create("motor", Motor, period=1)
rtshm.create("motor", Motor, perid="1ms")
rtshm.create("motor", Motor, depth=8)
rtshm.Control().create("motor", mode="0600")
rtshm.Control().create("motor", reset_counters=True)
rtshm.Control().set("motor", size=4096)
"""


Lines = set[tuple[str, int]]


def mypy(folder: Path) -> Lines:
    """The lines with an error, of all programs in the folder."""
    files = sorted(folder.glob("*.py"))
    done = subprocess.run(
        [sys.executable, "-m", "mypy", "--strict", "--config-file=", "--no-error-summary", *files],
        cwd=folder,
        capture_output=True,
        text=True,
        env={"MYPYPATH": str(CLIENT), "PATH": "/usr/bin:/bin"},
    )
    assert done.returncode in (0, 1), done.stderr + done.stdout
    found = re.findall(r"^(\w+\.py):(\d+): error", done.stdout, re.MULTILINE)
    return {(name, int(line)) for name, line in found}


def pyright(folder: Path) -> Lines:
    """The lines with an error, of all programs in the folder."""
    config = {"extraPaths": [str(CLIENT)], "typeCheckingMode": "standard"}
    (folder / "pyrightconfig.json").write_text(json.dumps(config))
    done = subprocess.run(
        [sys.executable, "-m", "pyright", "--outputjson", "--pythonpath", sys.executable],
        cwd=folder,
        capture_output=True,
        text=True,
    )
    found = json.loads(done.stdout)
    # The stub of construct is one.
    assert found["summary"]["filesAnalyzed"] == len([*folder.glob("*.py*")])
    return {
        (Path(each["file"]).name, each["range"]["start"]["line"] + 1)
        for each in found["generalDiagnostics"]
        if each["severity"] == "error"
    }


@pytest.mark.parametrize("checker", [mypy, pyright])
def test_checker_knows_the_types_takes_the_examples_and_refuses_what_is_wrong(
    checker: Callable[[Path], Lines], tmp_path: Path
) -> None:
    (tmp_path / "program.py").write_text(DECLARED + RIGHT + WRONG)
    first = (DECLARED + RIGHT).count("\n") + 1
    examples = [
        (document.stem, block)
        for document in DOCUMENTS
        for block in re.findall(r"^```python\n(.*?)^```$", document.read_text(), re.M | re.S)
        if re.search("^import rtshm$", block, re.MULTILINE)
    ]
    assert len(examples) >= 2
    assert any("@rtshm.struct" in block for _, block in examples)
    # construct comes without types: for a checker all of it is Any.
    (tmp_path / "construct.pyi").write_text(
        "from typing import Any\ndef __getattr__(name: str) -> Any: ...\n"
    )
    for number, (name, block) in enumerate(examples):
        file = f"{name}_{number}.py".lower().replace("-", "_")
        (tmp_path / file).write_text(block)
    wrong = range(first, first + WRONG.count("\n"))
    assert checker(tmp_path) == {("program.py", line) for line in wrong}
