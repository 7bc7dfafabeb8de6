"""`make test-here`: the guest's tests on any machine, tried in a guest."""

from __future__ import annotations

from tests.lib import payload

CHOSEN = "closing_line or set_back or cpu_while_that_is_offline or read_prints_the_value"
FILES = "tests/module/test_module.py tests/module/test_grid.py tests/module/test_regions.py "
FILES += "tests/client/test_command.py"
SCRIPT = f"""
python3 -m tests.here --module absent.ko && exit 1
python3 -m tests.here && exit 1
insmod rtshm.ko print=0
python3 -m tests.here --module rtshm.ko && exit 1
rmmod rtshm

exec python3 -m tests.here --module rtshm.ko -- -q -k "{CHOSEN}" {FILES}
"""


def test_suites_run_here_without_what_disturbs_others() -> None:
    done = payload.run(SCRIPT, deadline=240, warm=True)
    said, refused = done.stdout.decode(), done.stderr.decode().splitlines()
    assert (done.outcome.lost, done.outcome.status) == (None, 0), said
    assert refused == [
        "test-here: absent.ko is not there: make",
        "test-here: which module? --module rtshm.ko, as built by make",
        "test-here: rtshm is loaded, maybe in use: rmmod rtshm",
    ]
    assert "test-here: loads and unloads rtshm.ko on 6." in said
    assert "test-here: 2 tests left out: sets the clock\n" in said
    assert "test-here: 1 tests left out: takes a cpu offline\n" in said
    assert "\n2 passed, " in said
