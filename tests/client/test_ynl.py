"""The kernel's own YNL command line as a client that knows nothing but the spec."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest

from tests.lib import module
from tests.lib.libc import PAGE
from tests.lib.needs import YNL

if TYPE_CHECKING:
    from collections.abc import Mapping

    from tests.lib.fixtures import Load

pytestmark = pytest.mark.needs("ynl")

# `make lint` holds the spec against the schema; here that would double the time of each start.
SPEC = ["--no-schema", "--spec", str(module.CHECKOUT / "kmod/netlink/rtshm.yaml")]
COMMAND = [sys.executable, "cli.py", *SPEC, "--output-json"]

# cli.py sleeps between subscribing and reading what came. Here the sleep begins with a
# line and ends with standard input, and nobody has to guess how long is long enough.
LISTENER = """
import runpy, sys, time
def sleep(seconds):
    print("subscribed", flush=True)
    sys.stdin.read()
time.sleep = sleep
runpy.run_path("cli.py", run_name="__main__")
"""

NEW = {
    "name": "motor",
    "size": 2 * PAGE,
    "period-ns": 3_600_000_000_000,
    "print": "changes",
    "layout": "speed:f64",
    "mode": 0o640,
    "gid": 7,
    "cpu": 0,
}
NAME = {"name": "motor"}


def ynl(*arguments: str, status: int = 0) -> str:
    done = subprocess.run(
        [*COMMAND, *arguments], cwd=YNL, capture_output=True, text=True, timeout=120
    )
    assert (done.returncode, done.stderr) == (status, "")
    return done.stdout


def multi(operations: Mapping[str, Mapping[str, object]]) -> list[dict[str, Any] | None]:
    """The replies to all these operations, which one start does: a start takes seconds here."""
    arguments: list[str] = []
    for name, values in operations.items():
        arguments += ["--multi", name, json.dumps(values)]
    replies: list[dict[str, Any] | None] = json.loads(ynl(*arguments))
    return replies


@pytest.mark.promise("regions: The kernel's YNL tool needs only the description of the family")
def test_each_change_is_answered_and_announced(load: Load) -> None:
    load(print=0)
    with subprocess.Popen(
        [sys.executable, "-c", LISTENER, *COMMAND[2:], "--subscribe", "regions", "--sleep", "1"],
        cwd=YNL,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as listener:
        assert listener.stdout is not None
        assert listener.stdout.readline() == "subscribed\n"
        replies = multi(
            {
                "region-new": NEW,
                "region-set": {**NAME, "period-ns": 3_599_000_000_000, "print": "off"},
                "region-get": NAME,
                "region-del": NAME,
            }
        )
        announced = json.loads(listener.communicate(timeout=120)[0])
    new, changed, found, gone = replies
    assert new is not None
    assert {key: new[key] for key in NEW} == NEW
    assert (new["id"], new["uid"], new["users"], new["history"]) == (2, 0, 0, 0)
    assert len(new["counters"]["lateness-histogram"]) == 32
    # The first tick may come at any time.
    before, *others = [
        {key: value for key, value in reply.items() if key != "counters"}
        for reply in (new, changed, found)
        if reply
    ]
    after = {**before, "period-ns": 3_599_000_000_000, "print": "off"}
    assert others == [after, after]
    # The group `regions` is told neither counters nor the layout.
    del before["layout"], after["layout"]
    assert [event["msg"] for event in announced] == [before, after, after]
    assert gone is None
    names = [event["name"] for event in announced]
    assert names == ["region-new-ntf", "region-set-ntf", "region-del-ntf"]


def test_dump_has_every_region(load: Load) -> None:
    load(print=0, period_ns=3_600_000_000_000)
    (region,) = json.loads(ynl("--dump", "region-get"))
    assert region["name"] == "default"
    assert (region["size"], region["period-ns"]) == (PAGE, 3_600_000_000_000)
    assert (region["print"], region["layout"], region["mode"]) == ("off", "", 0o600)
    assert "cpu" not in region
    assert region["timer-cpu"] in os.sched_getaffinity(0)


def test_refusal_shows_the_kernels_own_words(load: Load) -> None:
    load(print=0)
    output = ynl("--do", "region-new", "--json", json.dumps({**NEW, "period-ns": 99_999}), status=1)
    assert output.startswith("Netlink error: Numerical result out of range\n")
    assert re.search(r"'msg': 'period-ns: [^']*\b100000\b[^']*period_min_ns", output)
