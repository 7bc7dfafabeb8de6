"""What the reader of docs/guide.md types as a user: building, and installing the package.

And docs/virtual-machine.md, all of it, and docs/bpf.md, which takes a compiler.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

from rtshm.layout import Layout

from tests.lib import guide, payload
from tests.lib.payload import TABLE, TASK_ROOT
from vm.host import debian, image

if TYPE_CHECKING:
    from tests.boots.program import Program

CHECKOUT = Path(__file__).resolve().parents[2]
EXAMPLE = Path("kmod/examples/pi")


def test_guide_builds_the_modules_and_installs_the_command(copy: Path, tmp_path: Path) -> None:
    files = image.files(TABLE, TABLE[""])
    mine = shutil.copytree(copy, tmp_path / "checkout", symlinks=True)
    typed = [each for each in guide.read(guide.GUIDE.read_text()) if each.where == "$"]
    making = [each.text for each in typed if each.text.startswith("make")]
    # The headers are in a root of Debian's, Python is here.
    script = "\n".join(["set -e", f"export KDIR={files.headers}", "cd /build", *making])
    subprocess.run(files.command(["sh", "-c", script], {mine: "/build"}), check=True)
    assert (mine / "rtshm.ko").exists()
    assert (mine / EXAMPLE / "rtshm_pi.ko").exists()
    build_out_of_the_tree(files, mine, tmp_path / "pi")

    environment = {**os.environ, "HOME": str(tmp_path)}
    for each in typed:
        if each.text not in making:
            subprocess.run(["sh", "-c", each.text], cwd=mine, env=environment, check=True)
    command = tmp_path / "rtshm/bin/rtshm"
    shown = subprocess.run([command, "plot", "--help"], stdout=subprocess.PIPE, check=True).stdout
    assert b"Draw a recording." in shown
    # With what the guide goes on to use.
    using = "import matplotlib, numpy, plotext, rich"
    subprocess.run([tmp_path / "rtshm/bin/python", "-c", using], check=True)


def build_out_of_the_tree(files: image.Files, tree: Path, mine: Path) -> None:
    """Build the example by its own Makefile where it is not in the module's tree."""
    sources = {path.name for path in payload.tree(CHECKOUT).files() if path.parent == EXAMPLE}
    mine.mkdir()
    for name in sources:
        shutil.copy(CHECKOUT / EXAMPLE / name, mine)
    binds = {tree: "/build", mine: "/mnt"}
    command = ["make", "-s", "-C", "/mnt", "RTSHM=/build", f"KDIR={files.headers}"]
    subprocess.run(files.command(command, binds), check=True)
    assert (mine / "rtshm_pi.ko").exists()
    subprocess.run(files.command([*command, "clean"], binds), check=True)
    assert {path.name for path in mine.iterdir()} == sources


def test_virtual_machine_takes_files_and_returns_results(copy: Path) -> None:
    for each in guide.page("virtual-machine"):
        if each.text.startswith("make vm"):
            continue
        done = subprocess.run(
            ["sh", "-c", each.text], cwd=copy, stdout=subprocess.PIPE, text=True, check=True
        )
        assert guide.agrees(each.shown, done.stdout), f"$ {each.text}\n{done.stdout}"


COMPILE = """
import sys
from pathlib import Path
from rtshm import bpf

source = Path("/build/follow.bpf.c")
source.with_suffix(".o").write_bytes(bpf.compiled(source, sys.argv[1]))
"""


def test_page_of_bpf_programs_does_what_it_shows(guest_program: Program, tmp_path: Path) -> None:
    typed = guide.page("bpf")
    (source,) = [each.shown for each in typed if each.text == "cat follow.bpf.c"]
    (created,) = [each.text for each in typed if each.text.startswith("rtshm create")]
    layout = created.partition("--layout ")[2].strip('"')
    (tmp_path / "follow.bpf.c").write_text(source)
    header = Layout(layout).declaration("region_motor", bpf=True)
    root = image.plain_root("compilers", "trixie", TASK_ROOT)
    command = ["env", "PYTHONPATH=/mnt", "python3", "-B", "-c", COMPILE, header]
    binds = {tmp_path: "/build", CHECKOUT / "client": "/mnt"}
    subprocess.run(debian.inside(root.tree, command, binds=binds), check=True)
    made = (tmp_path / "follow.bpf.o").read_bytes()
    guest_program("bpf_page", warm=True, extra={"follow.bpf.o": made})
