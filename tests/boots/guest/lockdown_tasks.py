"""BPF tasks on a kernel that is locked down: `python3 -m tests.boots.guest.lockdown_tasks`.

Only a boot leads back, so tests/boots/test_lockdown.py gives it a machine of its own.
"""

from __future__ import annotations

import subprocess
from functools import partial
from pathlib import Path

import pytest
import rtshm

from tests.lib import module
from tests.lib.waiting import wait_until

COUNT = module.CHECKOUT / "tests/module/tasks/count.bpf.o"
PEEK = module.CHECKOUT / "tests/module/tasks/peek.bpf.o"
SAFE = "setpoint:i32 kp:i32 ki:i32 output:i32 error:i32 drive:i32 safe:i32"
LOCKDOWN = Path("/sys/kernel/security/lockdown")


def ticked(task: rtshm.Task) -> bool:
    return task.info.ticks > 1


def main() -> None:
    subprocess.run("mount -t securityfs none /sys/kernel/security", shell=True, check=True)
    module.load(print=0)
    with rtshm.Control() as control:
        control.create("r", period="1ms", layout=SAFE, history=100)
        for level in ("integrity", "confidentiality"):
            LOCKDOWN.write_text(level)
            with rtshm.Task("r", COUNT) as task:
                wait_until(partial(ticked, task), f"ticks under {level}")
            with rtshm.SafeValues("r", after="2ms", setpoint=0) as guard:
                guard.wait(timeout=60)
                guard.rearm()
            if level == "integrity":
                with rtshm.Task("r", PEEK) as task:
                    wait_until(partial(ticked, task), "ticks of a program that reads memory")
        with pytest.raises(rtshm.ProgramError, match="bpf_probe_read_kernel"):
            rtshm.Task("r", PEEK)
    module.unload()
    print("lockdown_tasks: passed")


if __name__ == "__main__":
    main()
