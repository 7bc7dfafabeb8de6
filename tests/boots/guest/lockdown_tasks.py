"""BPF tasks on a kernel that is locked down: `python3 -m tests.boots.guest.lockdown_tasks`.

Only a boot leads back, so tests/boots/test_lockdown.py gives it a machine of its own.
"""

from __future__ import annotations

import subprocess
from functools import partial
from pathlib import Path

import rtshm

from tests.lib import module
from tests.lib.waiting import wait_until

COUNT = module.CHECKOUT / "tests/module/tasks/count.bpf.o"
LOCKDOWN = Path("/sys/kernel/security/lockdown")


def ticked(task: rtshm.Task) -> bool:
    return task.info.ticks > 1


def main() -> None:
    subprocess.run("mount -t securityfs none /sys/kernel/security", shell=True, check=True)
    module.load(print=0)
    with rtshm.Control() as control:
        control.create("r", period="1ms")
        for level in ("integrity", "confidentiality"):
            LOCKDOWN.write_text(level)
            with rtshm.Task("r", COUNT) as task:
                wait_until(partial(ticked, task), f"ticks under {level}")
    module.unload()
    print("lockdown_tasks: passed")


if __name__ == "__main__":
    main()
