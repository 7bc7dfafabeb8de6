"""The control plane against whoever asks anything of it."""

from __future__ import annotations

import errno
import os
import subprocess
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.lib import genl, module
from tests.lib.child import status_of
from tests.lib.genl import DEL, NEW, Genl, Refused, attrs
from tests.lib.kmsg import KernelLog
from tests.lib.libc import PAGE

if TYPE_CHECKING:
    from tests.lib.fixtures import Load
    from tests.stress.program import Count, Stress


FUZZ_ROUNDS = 20
HOUR_NS = 3_600_000_000_000
ROOM = {"bytes_max": 2**20, "regions_max": 8}


@pytest.mark.promise("robustness: Whatever a request contains, the answer is a known errno")
@pytest.mark.amounts("fuzz")
def test_fuzzed_requests_are_answered_and_leave_nothing(
    stress: Stress, amounts: list[int], load: Load, count: Count
) -> None:
    (requests,) = amounts
    load(print=0, period_ns=HOUR_NS, **ROOM)
    done: Counter[str] = Counter()
    for _ in range(FUZZ_ROUNDS):
        done.update(stress("fuzz", requests // FUZZ_ROUNDS))
        with Genl() as link:
            # No request of the fuzzer's has the names that come of turned bits.
            for message in link.dump():
                link.ask(DEL, attrs(name=genl.name_of(message)))
            # Nothing but the family is left: all of the room is there again.
            link.ask(NEW, attrs(name="all", size=ROOM["bytes_max"]))
            link.ask(DEL, attrs(name="all"))
    assert done["requests"] >= requests
    assert min(done["accepted"], done["refused"]) > requests // 100
    assert {"EINVAL", "ERANGE", "EEXIST", "ENOENT", "ENOSPC", "EOPNOTSUPP"} <= set(done)
    count("fuzz-requests", done["requests"])


@pytest.mark.promise("log: Bad requests log nothing")
@pytest.mark.amounts("refused")
def test_refusals_are_not_logged(stress: Stress, amounts: list[int], load: Load) -> None:
    (requests,) = amounts
    load(print=0)
    with KernelLog(new_only=True, prefix="") as everything:
        assert stress("refused", requests)["refused"] >= requests
        assert len(list(everything.lines(0))) <= 20


@pytest.mark.promise(
    "limits: At a limit a request is refused without a warning and without killing a process"
)
@pytest.mark.amounts("fills")
def test_limits_are_met_exactly_again_and_again(amounts: list[int], load: Load) -> None:
    (fills,) = amounts
    load(print=0, period_ns=HOUR_NS, **ROOM)
    before = module.meminfo("MemAvailable")
    with Genl() as link:
        for fill in range(fills):
            # By the number of regions, then by their bytes.
            size = PAGE if fill % 2 else ROOM["bytes_max"] // 4
            names = []
            with pytest.raises(Refused) as refused:
                for number in range(ROOM["regions_max"]):
                    link.ask(NEW, attrs(name=f"fill{number}", size=size, period_ns=HOUR_NS))
                    names.append(f"fill{number}")
            assert refused.value.errno == errno.ENOSPC
            assert refused.value.text.startswith("name:" if fill % 2 else "size:")
            assert len(names) == (ROOM["regions_max"] - 1 if fill % 2 else 3)
            for name in names:
                link.ask(DEL, attrs(name=name))
    assert module.meminfo("MemAvailable") > before - 2 * 2**20


@pytest.mark.promise(
    "limits: At a limit a request is refused without a warning and without killing a process"
)
@pytest.mark.amounts("memcg")
def test_memory_is_that_of_the_group_of_who_makes_the_region(
    amounts: list[int], load: Load
) -> None:
    """And a group that has no more is refused: nobody is killed for a size that is too large."""
    (times,) = amounts
    load(print=0, period_ns=HOUR_NS)
    root = Path("/run/cgroup")
    root.mkdir()
    subprocess.run(["mount", "-t", "cgroup2", "none", root], check=True)
    try:
        (root / "cgroup.subtree_control").write_text("+memory")
        group = root / "creator"
        group.mkdir()
        (group / "memory.max").write_text(str(16 * 2**20))

        def create() -> int:
            (group / "cgroup.procs").write_text(str(os.getpid()))
            with Genl() as link:
                for number in range(times):
                    with pytest.raises(Refused) as refused:
                        link.ask(NEW, attrs(name=f"big{number}", size=64 * 2**20))
                    assert refused.value.errno == errno.ENOMEM
                    assert refused.value.text == "size: not enough free memory"
                link.ask(NEW, attrs(name="small", size=4 * 2**20))
            stat = dict(line.split() for line in (group / "memory.stat").read_text().splitlines())
            assert int(stat["kernel"]) >= 4 * 2**20
            return 0

        assert status_of(create) == 0
        with Genl() as link:
            assert [genl.name_of(message) for message in link.dump()] == ["default", "small"]
            link.ask(DEL, attrs(name="small"))
        killed = (group / "memory.events").read_text().split("oom_kill ")[1].split()[0]
        assert killed == "0"
        group.rmdir()
    finally:
        subprocess.run(["umount", root], check=True)
        root.rmdir()
