"""The machine with this project in it: its modules are built, its command is what a boot has."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

from tests.lib import payload
from tests.lib.payload import CHECKOUT, TABLE
from vm.host import image, kbuild

if TYPE_CHECKING:
    from vm.host.captured import Done

EXAMPLE = Path("kmod/examples/pi")

# The command, by the interpreter of a snapshot or one of its own: also where it has no
# standard stream.
SESSION = r"""
insmod rtshm.ko period_ns=10000000
tried() { "$@"; echo "status $?"; }
echo 43 >value; tried rtshm write <value
tried timeout 20 grep -q -m1 'shared mem=43$' /dev/kmsg
tried rtshm write nonsense
tried sh -c 'rtshm read >/dev/full'
tried setpriv --reuid=65534 --clear-groups rtshm read
rtshm list | cut -d ' ' -f 1
for closed in '>&-' '<&- >&-' '>&- 2>&-'; do
	tried sh -c "rtshm list $closed"
done
tried rmmod rtshm
"""


def test_command_has_the_same_results_from_a_snapshot_and_booted() -> None:
    def run(warm: bool) -> Done:
        done = payload.run(SESSION, warm=warm, deadline=300)
        assert done.outcome.splats() == []
        assert done.outcome.warm == warm
        return done

    warm, cold = run(True), run(False)
    assert warm.stdout == cold.stdout
    assert warm.stderr == cold.stderr
    assert warm.outcome.status == cold.outcome.status == 0
    assert warm.stdout.count(b"status 0\n") == 3
    assert warm.stderr.count(b"rtshm: standard output: Bad file descriptor (EBADF, 9)\n") == 2


def test_make_vm_hands_over_quotes_dollars_and_newlines() -> None:
    command = "echo \"$((6 * 7))\" 'a  b' `echo $0`\n# $(shell false)\nprintf '%s' '$x \\'"
    done = subprocess.run(
        ["make", "-s", "-C", CHECKOUT, "vm", f"CMD={command}"], capture_output=True, check=True
    )
    assert done.stdout == b"42 a  b /run/vm/command\n$x \\"


def test_example_is_built_out_of_the_tree_by_its_own_makefile(tmp_path: Path) -> None:
    kernel = TABLE[""]
    files = image.files(TABLE, kernel)
    tree, mine = tmp_path / "rtshm", tmp_path / "mine"
    sources = payload.tree(CHECKOUT).files()
    kbuild.synchronise(tree, {path: (CHECKOUT / path).read_bytes() for path in sources})
    kbuild.make(files, kernel, tree, [])
    shutil.copytree(tree / EXAMPLE, mine)
    binds = {tree: "/build", mine: "/mnt"}
    command = ["make", "-s", "-C", "/mnt", "RTSHM=/build", f"KDIR={files.headers}"]
    subprocess.run(files.command(command, binds), check=True)
    assert (mine / f"rtshm_{EXAMPLE.name}.ko").exists()
    subprocess.run(files.command([*command, "clean"], binds), check=True)
    there = {path.name for path in sources if path.parent == EXAMPLE}
    assert {path.name for path in mine.iterdir()} == there
