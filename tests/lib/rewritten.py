"""The bytecode of a suite's tests, as pytest makes it of their assertions.

To rewrite and compile them takes an emulated guest six seconds in each suite.
"""

from __future__ import annotations

import struct
import subprocess
from typing import TYPE_CHECKING

from tests.lib.payload import TABLE
from vm.host import cache, debian, image, programs

if TYPE_CHECKING:
    from pathlib import Path

# Runs in the root of the guest's disk: its own Python and pytest. The guest has the files at
# another place, which tracebacks show.
SCRIPT = """
import _imp
import sys
from pathlib import Path

from _pytest.assertion import rewrite
from _pytest.config import _prepareconfig

top = Path("/build")
config = _prepareconfig([])
for path in [*top.rglob("*.py")]:
    status, code = rewrite._rewrite_test(path, config)
    _imp._fix_co_filename(code, f"{sys.argv[1]}/{path.relative_to(top)}")
    folder = rewrite.get_cache_dir(path)
    folder.mkdir(exist_ok=True)
    with open(folder / (path.stem + rewrite.PYC_TAIL), "wb") as file:
        rewrite._write_pyc_fp(file, status, code)
"""
# Of checkouts in use at once, each with some suites.
KEEP = 24

# Read by pytest in each suite, and rewritten.
COMMON = ("tests/conftest.py", "tests/lib/fixtures.py")
LIBRARY = "tests/lib"


def bytecode(source: Path, folder: str) -> dict[str, bytes]:
    """The bytecode of the tests in `folder` and of what they import, by its place in `source`."""
    root = image.root(TABLE, TABLE.space.suite)
    top = source / folder
    paths = [*(source / name for name in COMMON), *top.glob("conftest.py"), *top.glob("test_*.py")]
    texts = {str(path.relative_to(source)): path.read_text() for path in sorted(paths)}

    def build(path: Path) -> None:
        programs.write(path, texts)
        command = ["python3", "-c", SCRIPT, str(source)]
        done = subprocess.run(
            debian.inside(root.tree, command, binds={path: "/build"}),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr

    made = cache.artefact(
        "rewritten", [root.path.name, texts, str(source), SCRIPT], build, keep=KEEP
    )
    found = programs.bytecode(TABLE, source, LIBRARY)
    for path in made.rglob("*.pyc"):
        data = bytearray(path.read_bytes())
        # Behind the magic number and the flags is the time of the source, as the guest has it.
        of = source / path.relative_to(made).parent.parent / f"{path.name.partition('.')[0]}.py"
        struct.pack_into("<L", data, 8, int(of.stat().st_mtime) & 0xFFFF_FFFF)
        found[str(path.relative_to(made))] = bytes(data)
    return found
