"""Snapshots: a guest that was booted once, from which later runs begin.

A snapshot is taken where init.sh waits: nothing was written to the disk yet, so that it
is memory and devices alone; nothing was read of the job's disk, so that another may be
there afterwards. The file of the memory is mapped private by each run, and only read:
any number of runs begin with it at once, and what they do not touch is never copied.

Two things are taken up anew: the clock, and the seed of all random numbers. What stays
the same is what the kernel and the interpreter drew before: the seed of hash(), the
places of what was running already.
"""

from __future__ import annotations

import contextlib
import selectors
import time
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from vm.host import cache, job, qemu
from vm.host.errors import HarnessError
from vm.host.monitor import Monitor
from vm.host.progress import say, step

if TYPE_CHECKING:
    from vm.host.qemu import Guest

KIND = "snapshot"
KEEP = 4

# To `ready` a slow guest takes a minute.
MAKING_SECONDS = 300.0
SAVING_SECONDS = 60.0
LOADING_SECONDS = 30.0
CONSOLE_LINES = 20

HOST = Path("/proc/sys/kernel/random/boot_id")

POLL_SECONDS = 0.01


def of(guest: Guest) -> Path:
    """The directory of the snapshot of this guest, which is made if it is not there.

    The guest has the disk that is written by no one, and is given that of its job.
    """
    parts = [made_of(guest), Path(__file__).read_text(encoding="utf-8")]

    def build(path: Path) -> None:
        with step("making a snapshot of the booted guest; COLD=1 does without", "10 s"):
            make(path, guest)

    def waiting() -> None:
        say("waiting for another run that makes the snapshot")

    return cache.artefact(KIND, parts, build, waiting=waiting, keep=KEEP)


def made_of(guest: Guest) -> list[object]:
    """All that a snapshot depends on."""
    anywhere = Path("/")
    ports = dict.fromkeys((qemu.MONITOR, *qemu.PORTS), 0)
    ram = qemu.Ram(anywhere, saved=False)
    command = qemu.command_line(with_job(guest, anywhere), anywhere, ports, ram)
    files = [qemu.identity(each) for each in (guest.boot.kernel, guest.boot.initrd, *guest.disks)]
    # The host's boot stands for its kernel and its processor, which KVM's guest has; and
    # after a crash of the host no file here need be whole.
    host = HOST.read_text().strip()
    return [command, job.BYTES, qemu.identity(qemu.binary(guest.boot.processor)), files, host]


def with_job(guest: Guest, disk: Path) -> Guest:
    return replace(guest, disks=(*guest.disks, disk))


def make(path: Path, guest: Guest) -> None:
    disk = path / "job"
    disk.touch()
    job.pad(disk)
    ram = qemu.Ram(path / "ram", saved=False)
    machine = qemu.start(path, with_job(guest, disk), ram=ram)
    try:
        log = ready(machine)
        save(machine, path / "devices")
        log += drained(machine)
    except (HarnessError, OSError) as error:
        machine.stop()
        console = machine.console.read_text(errors="replace").splitlines()[-CONSOLE_LINES:]
        raise HarnessError("\n".join([machine.reason(str(error)), *console])) from error
    finally:
        machine.close()
    disk.unlink()
    (path / "log").write_bytes(log)


def ready(machine: qemu.Qemu) -> bytes:
    """See the guest through until it waits with an interpreter; its log so far."""
    status, log = machine.ports["status"], machine.ports["log"]
    words = records = b""
    asked = False
    deadline = time.monotonic() + MAKING_SECONDS
    with selectors.DefaultSelector() as selector:
        selector.register(status, selectors.EVENT_READ, status)
        selector.register(log, selectors.EVENT_READ, log)
        while words.count(b"ready\n") < 2:
            events = selector.select(deadline - time.monotonic())
            if not events:
                raise HarnessError(f"the guest was not ready within {MAKING_SECONDS:g} s")
            for key, _ in events:
                data = key.data.recv(65536)
                if not data:
                    raise HarnessError("the guest stopped before it was ready")
                if key.data is log:
                    records += data
                else:
                    words += data
            if b"ready\n" in words and not asked:
                status.sendall(b"warm\n")
                asked = True
    return records


def save(machine: qemu.Qemu, target: Path) -> None:
    monitor = Monitor(machine.monitor)
    deadline = time.monotonic() + SAVING_SECONDS
    memory_stays(monitor)
    with target.open("wb") as file:
        monitor.execute("getfd", descriptor=file.fileno(), fdname="devices")
    monitor.execute("migrate", uri="fd:devices")
    while (state := monitor.execute("query-migrate"))["status"] != "completed":
        if state["status"] in ("failed", "cancelled"):
            raise HarnessError(f"QEMU cannot save the guest: {state.get('error-desc', state)}")
        if time.monotonic() > deadline:
            raise HarnessError(f"QEMU did not save the guest within {SAVING_SECONDS:g} s")
        time.sleep(POLL_SECONDS)
    for drive in monitor.execute("query-blockstats"):
        if written := drive["stats"]["wr_bytes"]:
            raise HarnessError(f"the guest wrote {written} bytes to a disk before it was ready")


def memory_stays(monitor: Monitor) -> None:
    """The memory is in its own file: QEMU is to save, and to load, the devices alone."""
    capability = {"capability": "x-ignore-shared", "state": True}
    monitor.execute("migrate-set-capabilities", capabilities=[capability])


def drained(machine: qemu.Qemu) -> bytes:
    """What of the log came until the guest was stopped."""
    log = machine.ports["log"]
    log.setblocking(False)
    data = b""
    with contextlib.suppress(BlockingIOError):
        while more := log.recv(65536):
            data += more
    return data


def restore(machine: qemu.Qemu, path: Path) -> None:
    """Let the machine, which was started with the memory of the snapshot, go on from it."""
    monitor = Monitor(machine.monitor)
    memory_stays(monitor)
    with (path / "devices").open("rb") as file:
        monitor.execute("getfd", descriptor=file.fileno(), fdname="devices")
    monitor.execute("migrate-incoming", uri="fd:devices")
    # QEMU exits if it cannot load them, and closes the monitor.
    deadline = time.monotonic() + LOADING_SECONDS
    while monitor.execute("query-status")["status"] == "inmigrate":
        if time.monotonic() > deadline:
            raise HarnessError(f"QEMU did not load the devices within {LOADING_SECONDS:g} s")
        time.sleep(POLL_SECONDS)
