"""The machine with this project in it: the command by a fork is what an interpreter has."""

from __future__ import annotations

import subprocess

from tests.lib import payload
from tests.lib.payload import CHECKOUT

# The command, by the interpreter of a snapshot or one of its own: also where it has no
# standard stream.
SESSION = r"""
insmod rtshm.ko period_ns=10000000
tried() { "$@"; echo "status $?"; }
echo $value >value; tried $rtshm write <value
tried timeout 20 grep -q -m1 "shared mem=$value\$" /dev/kmsg
tried $rtshm write nonsense
tried sh -c "$rtshm read >/dev/full"
tried setpriv --reuid=65534 --clear-groups $rtshm read
$rtshm list | cut -d ' ' -f 1
for closed in '>&-' '<&- >&-' '>&- 2>&-'; do
	tried sh -c "$rtshm list $closed"
done
tried rmmod rtshm
"""
BOTH = f"""
rtshm=rtshm value=43
{SESSION}
echo "of its own"
echo "of its own" >&2
rtshm="python3 -m rtshm" value=44
{SESSION}
"""


def test_command_has_the_same_results_by_a_fork_and_by_an_interpreter_of_its_own() -> None:
    done = payload.run(BOTH, warm=True, deadline=600)
    assert (done.outcome.splats(), done.outcome.warm, done.outcome.status) == ([], True, 0)
    said, complained = (text.split(b"of its own\n") for text in (done.stdout, done.stderr))
    assert said[0] == said[1]
    assert complained[0] == complained[1]
    assert said[0].count(b"status 0\n") == 3
    assert complained[0].count(b"rtshm: standard output: Bad file descriptor (EBADF, 9)\n") == 2


def test_make_vm_hands_over_quotes_dollars_and_newlines() -> None:
    command = "echo \"$((6 * 7))\" 'a  b' `echo $0`\n# $(shell false)\nprintf '%s' '$x \\'"
    done = subprocess.run(
        ["make", "-s", "-C", CHECKOUT, "vm", f"CMD={command}"], capture_output=True, check=True
    )
    assert done.stdout == b"42 a  b /run/vm/command\n$x \\"
