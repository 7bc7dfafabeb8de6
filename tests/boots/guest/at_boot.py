"""A machine that boots with regions described: `python3 -m tests.boots.guest.at_boot`.

A program, and no test of this suite: process 1 is a script that waits for GO and becomes
systemd, see tests/boots/test_at_boot.py.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import time
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

CHECKOUT = Path(__file__).parents[3]
MODULES = Path("/lib/modules", os.uname().release, "updates")
GO = Path("/run/go")
PATIENCE = 600.0

LAYOUT = "setpoint:i32 kp:i32 ki:i32 output:i32 error:i32 drive:i32"
FILES = {
    "/etc/rtshm/regions.toml": f"""
[motor]
period = "10ms"
layout = "{LAYOUT}"

[motor.values]
setpoint = 7
output = 1000

[motor.tasks]
count = "count.bpf.o"
""",
    "/etc/rtshm/regions.d/arm.toml": """
[left-arm]
period = "10ms"
""",
    # As docs/at-boot.md has them.
    "/etc/systemd/system/controller.service": """
[Unit]
BindsTo=dev-rtshm-left\\x2darm.device
After=dev-rtshm-left\\x2darm.device

[Service]
ExecStart=sleep infinity

[Install]
WantedBy=multi-user.target
""",
    "/etc/systemd/system/rtshm-pi.service": """
[Unit]
Requires=rtshm.service
After=rtshm.service

[Service]
Type=oneshot
RemainAfterExit=yes
ExecStart=modprobe rtshm_pi region=motor
ExecStop=modprobe -r rtshm_pi

[Install]
WantedBy=multi-user.target
""",
}


def run(*command: str | Path) -> str:
    done = subprocess.run(
        [str(word) for word in command],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        cwd="/",
    )
    assert done.returncode == 0, f"{command}: status {done.returncode}\n{done.stdout}"
    return done.stdout


def state(unit: str) -> str:
    return subprocess.run(
        ["systemctl", "is-active", unit], capture_output=True, text=True
    ).stdout.strip()


def wait(what: str, holds: Callable[[], bool]) -> None:
    deadline = time.monotonic() + PATIENCE
    while not holds():
        if time.monotonic() > deadline:
            journal = run("journalctl", "-b", "--no-pager", "-n", "100")
            raise AssertionError(f"not within {PATIENCE} s: {what}\n{journal}")
        time.sleep(0.2)


def install() -> None:
    """What an administrator did before the boot; DKMS is left out, tests/install has it."""
    run("dpkg", "--unpack", *(CHECKOUT / "dist").glob("*.deb"))
    MODULES.mkdir(parents=True, exist_ok=True)
    for module in ("rtshm.ko", "kmod/examples/pi/rtshm_pi.ko"):
        shutil.copy(CHECKOUT / module, MODULES)
    run("depmod")
    run("systemd-sysusers")
    for path, text in FILES.items():
        Path(path).parent.mkdir(parents=True, exist_ok=True)
        Path(path).write_text(text)
    shutil.copy(CHECKOUT / "tests/module/tasks/count.bpf.o", "/etc/rtshm")
    run("systemctl", "enable", "rtshm", "rtshm-pi", "controller")


def main() -> None:
    install()
    assert not Path("/sys/module/rtshm").exists()
    GO.touch()

    wait("controller.service is active", lambda: state("controller.service") == "active")
    wait("rtshm-pi.service is active", lambda: state("rtshm-pi.service") == "active")
    assert state("rtshm.service") == "active"
    assert Path("/dev/rtshm/motor").group() == "rtshm"
    # Which neither task stores.
    assert "setpoint 7\n" in run("rtshm", "get", "motor")
    tasks = json.loads(run("rtshm", "task", "list", "motor", "--json"))
    assert [(task["name"], task["ticks"] > 0) for task in tasks] == [("count", True), ("pi", True)]

    # A reload creates the regions that are new in the files, and leaves the others alone.
    arm = Path("/etc/rtshm/regions.d/arm.toml")
    arm.write_text(arm.read_text() + "[right-arm]\n")
    run("systemctl", "reload", "rtshm")
    assert Path("/dev/rtshm/right-arm").exists()
    assert state("controller.service") == "active"

    run("rtshm", "delete", "left-arm")
    wait("controller.service ends with its region", lambda: state("controller.service") != "active")
    print("at_boot: passed")


if __name__ == "__main__":
    main()
