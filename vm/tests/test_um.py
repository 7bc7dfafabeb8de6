"""User-mode Linux: a run in it is like a run in QEMU, needs no root, and leaves no process."""

from __future__ import annotations

import contextlib
import os
import subprocess
import time
from pathlib import Path
from typing import Any

import pytest

from vm.host import cache, captured, checkout, image, kmsg, machine
from vm.host.errors import HarnessError
from vm.tests.example.payload import TABLE, UM, of

CHECKOUT = Path(__file__).resolve().parents[2]
KERNEL = TABLE[UM]
NOBODY = 65534
PATIENCE = 60.0

# Processes that start and end all the time, on both cpus.
FORKS = "while :; do /bin/true & /bin/true; wait; done"


def run(source: Path, command: str, **options: Any) -> captured.Done:
    taken = of(source, KERNEL)
    return captured.run(TABLE, KERNEL, taken, command, deadline=300, **options)


def test_run_is_like_a_run_in_qemu(copy: Path) -> None:
    done = run(
        copy,
        """
        pwd; cat 'new file'; nproc; id -u
        python3 -c 'import os; os.write(1, bytes(range(256)) * 4096)'
        echo late >/dev/stderr
        insmod hello.ko && cat /sys/module/hello/refcnt && rmmod hello
        mount | grep -c -e tracefs -e devpts -e 'on /dev/shm type tmpfs'
        exit 3
        """,
    )
    assert (done.outcome.status, done.outcome.lost) == (3, None)
    head = f"{copy}\nuntracked\n2\n0\n".encode()
    assert done.stdout == head + bytes(range(256)) * 4096 + b"0\n3\n"
    assert done.stderr == b"late\n"
    log = done.outcome.log()
    assert "Linux version" in log[0]
    assert log[-1].endswith(kmsg.END)
    assert done.outcome.splats() == []
    # Neither the disk's changes nor a socket stay.
    assert {path.name for path in done.outcome.dmesg.parent.iterdir()} == {
        *("dmesg.log", "console.log", "console.log.uml")
    }


@pytest.mark.parametrize(
    ("command", "lost"),
    [
        ("echo c >/proc/sysrq-trigger", "panic: sysrq triggered crash"),
        ("echo before; poweroff -f", "it stopped without a status"),
    ],
)
def test_lost_machine_is_told_apart(copy: Path, command: str, lost: str) -> None:
    done = run(copy, command)
    assert (done.outcome.status, done.outcome.lost) == (machine.LOST_STATUS, lost)


def test_option_of_qemu_only_is_refused(copy: Path) -> None:
    with pytest.raises(HarnessError, match="ICOUNT=1 is for QEMU"):
        run(copy, "true", icount=True)
    with pytest.raises(HarnessError, match="GDB=1 is for QEMU"):
        run(copy, "true", debugged=True)


def of_run(pid: int) -> str:
    """The pid namespace of the kernel that this harness started, or nothing."""
    for path in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            if f"-{pid}/um/disk.cow".encode() in (path / "cmdline").read_bytes():
                if (found := os.readlink(path / "ns/pid")) != os.readlink("/proc/self/ns/pid"):
                    return found
    return ""


def processes(namespace: str) -> int:
    found = 0
    for path in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            found += os.readlink(path / "ns/pid") == namespace
    return found


@pytest.mark.parametrize("seconds", [0.0, 0.5, 2.0, 10.0])
def test_killed_harness_leaves_no_process(copy: Path, seconds: float) -> None:
    """While the kernel boots, and while processes come and go in it."""
    with subprocess.Popen(
        [copy / "vm/run", FORKS],
        env={**os.environ, "KERNEL": KERNEL.name},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    ) as harness:
        try:
            deadline = time.monotonic() + PATIENCE
            while not (namespace := of_run(harness.pid)):
                assert time.monotonic() < deadline, "no kernel was started"
                time.sleep(0.01)
            time.sleep(seconds)
            # A shell is there first, then the kernel that it starts.
            while processes(namespace) < 2:
                assert time.monotonic() < deadline + seconds, "the kernel has ended"
                time.sleep(0.01)
        finally:
            harness.kill()
    deadline = time.monotonic() + PATIENCE
    while processes(namespace):
        assert time.monotonic() < deadline, "processes of the guest are left"
        time.sleep(0.01)


# A run without what takes root to make: the disks are there.
AS_NOBODY = """\
import sys
from concurrent.futures import Future
from pathlib import Path
from vm.host import image, job, machine, qemu, um

directory, kernel, initrd, disk = map(Path, sys.argv[1:])
built = Future()
built.set_result({})
guest = qemu.Guest(image.Boot(kernel, initrd), um.ACCELERATOR, (disk,))
work = job.Job(directory / "job.tar", Path("/nowhere"), built)
went = machine.on_its_way(directory, guest, work, machine.Sinks(), 300, None)
sys.exit(went.lost or went.status)
"""


@pytest.mark.skipif(os.geteuid() != 0, reason="the other tests show it")
def test_ordinary_user_runs_it(copy: Path, tmp_path: Path) -> None:
    boot = image.boot_files(TABLE, KERNEL)
    disk = image.guest_image(TABLE)
    directory = tmp_path / "run"
    directory.mkdir()
    checkout.write(directory / "job.tar", of(copy, KERNEL), "id -u; nproc", {})
    for path in (directory, directory / "job.tar"):
        os.chown(path, NOBODY, NOBODY)
    # Where this user may look; the mounts end with the process.
    script = """
    set -e
    mount -t tmpfs none /mnt
    mkdir /mnt/run /mnt/cache /mnt/checkout
    mount --bind "$1" /mnt/run; mount --bind "$2" /mnt/cache; mount --bind "$3" /mnt/checkout
    cd /mnt/checkout
    shift 3
    exec setpriv --reuid 65534 --regid 65534 --clear-groups /usr/bin/python3 -c "$@"
    """
    inside = [f"/mnt/cache/{path.relative_to(cache.root())}" for path in (*boot_paths(boot), disk)]
    done = subprocess.run(
        [
            *("unshare", "--mount", "sh", "-c", script, "sh", directory, cache.root(), CHECKOUT),
            *(AS_NOBODY, "/mnt/run", *inside),
        ],
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stdout) == (0, "0\n2\n"), done.stderr


def boot_paths(boot: image.Boot) -> tuple[Path, Path]:
    return boot.kernel, boot.initrd
