"""Every refusal has its remedy."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest
from rtshm import errors

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.parametrize(
    ("code", "loaded", "remedy"),
    [
        (errno.ENOENT, False, "the module is not loaded: sudo insmod rtshm.ko"),
        (errno.ENXIO, False, "the module is not loaded: sudo insmod rtshm.ko"),
        (errno.ENOENT, True, "there is no such region; {0} has: one, two"),
        (errno.ENXIO, True, "this is no region; those of the module are in /dev/rtshm"),
        (errno.ENODEV, True, "this is no region; those of the module are in /dev/rtshm"),
        (errno.EACCES, True, "you may not: use sudo, or have root give you access"),
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
    errors.add_remedy(error, nodes / "x", errors.region_remedy(code, nodes / "x"))
    assert error.filename == str(nodes / "x")
    assert error.__notes__[0].startswith(remedy.format(nodes))


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
