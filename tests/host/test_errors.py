"""Every refusal has its remedy."""

from __future__ import annotations

import errno
import os
import pickle
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest
from rtshm import cli, errors

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.parametrize(
    ("code", "loaded", "remedy"),
    [
        (errno.ENOENT, False, errors.NOT_LOADED),
        (errno.ENXIO, False, errors.NOT_LOADED),
        (errno.ENOENT, True, "no such region; {0} has: one, two"),
        (errno.ENXIO, True, "this is not a region; those of the module are in /dev/rtshm"),
        (errno.ENODEV, True, "this is not a region; those of the module are in /dev/rtshm"),
        (errno.EACCES, True, "use sudo, or join the group of the node"),
        (errno.EBUSY, True, "another program holds it for itself: see fuser -v {0}/x"),
    ],
)
def test_errno_has_its_remedy(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: int, loaded: bool, remedy: str
) -> None:
    nodes = tmp_path / "nodes"
    nodes.mkdir()
    (nodes / "one").touch()
    (nodes / "two").touch()
    monkeypatch.setattr(errors, "MODULE", tmp_path if loaded else tmp_path / "absent")
    error = OSError(code, os.strerror(code))
    refused = errors.refused(error, nodes / "x", errors.region_remedy(code, nodes / "x"))
    assert isinstance(refused, errors.RtshmError)
    assert isinstance(refused, type(error))
    assert (refused.errno, refused.filename) == (code, str(nodes / "x"))
    name = errno.errorcode[code]
    expected = f"{nodes}/x: {os.strerror(code)} ({name}); {remedy.format(nodes)}"
    assert str(refused).startswith(expected)
    assert str(pickle.loads(pickle.dumps(refused))) == str(refused)


def test_errors_are_what_programs_catch() -> None:
    caught: list[tuple[int, type[Exception], type[Exception]]] = [
        (errno.ENOENT, errors.RegionNotFoundError, FileNotFoundError),
        (errno.EEXIST, errors.RegionExistsError, FileExistsError),
        (errno.EPERM, errors.AccessError, PermissionError),
        (errno.EACCES, errors.AccessError, PermissionError),
        (errno.EINVAL, errors.RefusedError, OSError),
    ]
    for number, kind, builtin in caught:
        error = errors.refused(OSError(number, "words"), "motor", None)
        assert type(error) is kind
        assert isinstance(error, builtin)
    missing = errors.refused(OSError(errno.ENOENT, "words"), "motor", errors.NOT_LOADED)
    assert type(missing) is errors.ModuleNotLoadedError
    assert issubclass(errors.ClosedError, errors.RtshmError)
    assert issubclass(errors.LayoutError, errors.RtshmError)


def test_without_sysfs_the_module_is_not_said_to_be_missing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "nodes").mkdir()
    monkeypatch.setattr(errors, "MODULE", tmp_path / "absent" / "rtshm")
    monkeypatch.setattr(errors, "DEVICES", tmp_path / "nodes")
    assert not errors.module_missing()
    monkeypatch.setattr(errors, "DEVICES", tmp_path / "none")
    assert errors.module_missing()


@pytest.mark.parametrize(
    ("words", "shown"),
    [
        (
            "period-ns: give 100000 (module parameter period_min_ns) to 3600000000000",
            "period: give 100us (module parameter period_min_ns) to 3600s",
        ),
        (
            "lead-ns: give at most 100000, and a quarter of period-ns",
            "lead: give at most 100us, and a quarter of period",
        ),
        (
            "period-ns: all regions: at most 100000 ticks/s",
            "period: all regions: at most 100000 ticks/s",
        ),
        ("start-ns: give it or phase-ns, not both", "start-ns: give it or phase-ns, not both"),
        (
            "name: a region with this name already exists",
            "name: a region with this name already exists",
        ),
        ("size: give 4096", "size: give 4096"),
    ],
)
def test_limits_are_in_the_units_of_the_option(words: str, shown: str) -> None:
    error = errors.refused(OSError(errno.ERANGE, words), "motor", None)
    assert cli._refusal(error) == f"rtshm: motor: {shown} (ERANGE, 34)"


def test_control_c_during_the_imports_leaves_with_130() -> None:
    code = (
        "import sys\n"
        "class Interrupt:\n"
        "    def find_spec(self, name, *_):\n"
        "        if name == 'rtshm.cli.commands': raise KeyboardInterrupt\n"
        "sys.meta_path.insert(0, Interrupt())\n"
        "from rtshm.cli import main\n"
        "main()\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (130, "")


LIBRARIES = {"numpy": "numpy", "plot": "matplotlib"}

# An interpreter in which none of the optional libraries is found.
BARE = """
import runpy
from importlib.machinery import PathFinder

def find_spec(name, path=None, target=None, found=PathFinder.find_spec):
    hidden = ("matplotlib", "mcap", "numpy", "plotly", "plotext", "pyarrow")
    return None if name.partition(".")[0] in hidden else found(name, path, target)

PathFinder.find_spec = staticmethod(find_spec)
"""


def bare(program: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", BARE + program, *arguments], capture_output=True, text=True
    )


@pytest.mark.parametrize(
    ("arguments", "extra"),
    [
        ("record motor -o run.csv", "numpy"),
        ("record motor -o run.arrows", "numpy"),
        ("recover run.arrows -o run.csv", "numpy"),
        ("play motor run.csv", "numpy"),
        ("plot run.csv -o run.png", "plot"),
        ("stream motor --to udp://127.0.0.1:9870", "numpy"),
    ],
)
def test_command_names_the_extra_with_the_library_that_is_missing(
    tmp_path: Path, arguments: str, extra: str
) -> None:
    program = f"import os; os.chdir({str(tmp_path)!r}); runpy.run_module('rtshm', None, '__main__')"
    done = bare(program, *arguments.split())
    assert done.returncode == 1
    assert done.stderr.endswith(f" takes {LIBRARIES[extra]}: pip install 'rtshm[{extra}]'\n")
    assert done.stderr.count("\n") == 1


@pytest.mark.parametrize(
    "use",
    [
        "rtshm.record('motor', 'run.csv')",
        "rtshm.load('run.csv')",
        "rtshm.Live('motor')",
        "rtshm.Layout('speed:f32').dtype",
    ],
)
def test_name_that_takes_numpy_says_so_without_it(use: str) -> None:
    program = f"""
import rtshm
try:
    {use}
except rtshm.ExtraError as error:
    print(error.name, str(error))
"""
    done = bare(program)
    assert done.stderr == ""
    name, _, words = done.stdout.partition(" ")
    assert name == "numpy"
    assert words.endswith(" takes numpy: pip install 'rtshm[numpy]'\n")
