"""One run of the virtual machine: a command in the guest, or a machine that was lost."""

from __future__ import annotations

import contextlib
import math
import os
import selectors
import sys
import time
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, BinaryIO

from vm.host import (
    accel,
    cache,
    checkout,
    gdb,
    image,
    job,
    kmsg,
    qemu,
    runs,
    snapshot,
    splats,
    um,
)
from vm.host.errors import HarnessError
from vm.host.payload import begun
from vm.host.progress import say
from vm.host.terminal import Left, Terminal

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from vm.host.kernels import Kernel, Table
    from vm.host.payload import Payload

# What a run is in.
Machine = qemu.Qemu | um.Um

DEADLINE_SECONDS = 600.0
LOST_STATUS = 255
LOST_LINES = 40
LOG = "dmesg.log"

# In place of a command: see terminal.py of the guest.
SHELL = "exec python3 -IS /run/vm/terminal.py bash"

# A guest that goes on from a snapshot says so in a second.
AWAKE_SECONDS = 30.0

# The log's end follows the command's at once, unless the guest is in a bad way.
LOG_END_SECONDS = 5.0


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a run ended: with the command's `status`, or `lost` for the reason given."""

    status: int
    lost: str | None
    dmesg: Path
    release: str
    accelerator: str
    warm: bool
    boot_seconds: float
    seconds: float
    allowed: tuple[splats.Allowed, ...] = ()

    def log(self) -> list[str]:
        return self.dmesg.read_text(errors="replace").splitlines()

    def splats(self) -> list[str]:
        """The lines of the log that must not be there."""
        return splats.scan(self.log(), self.accelerator, self.allowed)


@dataclass(slots=True)
class Sinks:
    """Where the guest's output goes as it comes."""

    stdout: BinaryIO = field(default_factory=lambda: sys.stdout.buffer)
    stderr: BinaryIO = field(default_factory=lambda: sys.stderr.buffer)
    log_line: Callable[[str], None] = lambda line: None


def run(
    table: Table,
    kernel: Kernel,
    payload: Payload,
    command: str | None,
    *,
    icount: bool = False,
    warm: bool = False,
    debugged: bool = False,
    deadline: float = DEADLINE_SECONDS,
    environment: Mapping[str, str] | None = None,
    sinks: Sinks | None = None,
    arguments: str = "",
    memory: str = qemu.MEMORY,
    disk: Path | None = None,
) -> Outcome:
    """Run `command` by `sh -c` in the guest, in a copy of the payload's checkout.

    Without a command, run a shell on the terminal of this process.

    What the payload builds is built while the machine comes up; not so where the guest
    counts instructions, which nothing may come between. `deadline` is in seconds from the
    start of QEMU, without what the guest waits for the build. `warm` begins with a snapshot
    of the booted guest, which is made if there is none; a guest that counts instructions
    always boots, and so does one that is `debugged`: QEMU serves gdb, and the command to start
    it is printed. `arguments` are added to the kernel's command line. `memory` is QEMU's
    `-m`. `disk` replaces the guest's usual one.
    """
    sinks = sinks or Sinks()
    boot = image.boot_files(table, kernel)
    release = image.files(table, kernel).release
    with begun(payload) as built:
        if kernel.um:
            um.check(kernel, icount=icount, debugged=debugged)
            accelerator, why = um.ACCELERATOR, um.WHY
        elif icount:
            accelerator, why = "icount", "ICOUNT=1: TCG, virtual time is instructions executed"
            built.result()
        else:
            accelerator, why = accel.choose(boot)
        disks = (disk or image.guest_image(table, kernel.processor),)
        words = f"{payload.arguments} {arguments} {gdb.ARGUMENTS if debugged else ''}".strip()
        guest = qemu.Guest(boot, accelerator, disks, words, memory)
        kept = None
        # A snapshot has a history of its own, which virtual time is to be free of.
        if warm and not icount and not debugged and not kernel.um:
            try:
                kept = snapshot.of(guest)
            except HarnessError as error:
                say(f"no snapshot, this is a whole boot: {error.args[0]}")
        origin = ", from a snapshot" if kept is not None else ""
        say(f"{kernel.name} ({release}) under {accelerator.upper()}{origin} ({why})")
        with runs.directory() as directory:
            path = directory / "job.tar"
            told = {"VM_KERNEL": kernel.name, "VM_ACCELERATOR": accelerator}
            if command is None:
                told["TERM"] = os.environ.get("TERM", "")
                say(f"a shell in {payload.source}; exit leaves, Control-] three times kills it")
            if debugged:
                guest = replace(guest, gdb=gdb.place(directory))
                payload = gdb.with_symbols(payload, directory, built)
                for line in gdb.lines(guest, kernel, payload):
                    say(line)
            told |= environment or {}
            try:
                checkout.write(path, payload, SHELL if command is None else command, told)
                with contextlib.closing(job.Job(path, payload.source, built)) as work:
                    went = on_its_way(directory, guest, work, sinks, deadline, kept)
            finally:
                path.unlink(missing_ok=True)
            # If it was not built, that is what there is to say.
            built.result()
            return Outcome(
                status=LOST_STATUS if went.status is None else went.status,
                lost=went.lost,
                dmesg=directory / LOG,
                release=release,
                accelerator=accelerator,
                warm=went.restored,
                boot_seconds=went.boot_seconds,
                seconds=time.monotonic() - went.begin,
                allowed=payload.allowed,
            )


def on_its_way(
    directory: Path,
    guest: qemu.Guest,
    work: job.Job,
    sinks: Sinks,
    deadline: float,
    kept: Path | None,
) -> Conversation:
    """Have a machine do its job; by a boot, if the snapshot in `kept` does not come back."""
    guest = snapshot.with_job(guest, work.path)
    if kept is not None:
        went = converse(directory, guest, work, sinks, deadline, kept)
        if not went.asleep or work.failed:
            return went
        say(f"the snapshot did not come back, this is a whole boot: {went.lost}")
        cache.remove(kept)
        for file in [*directory.iterdir()]:
            if file != work.path:
                file.rename(directory / f"snapshot-{file.name}")
        deadline -= time.monotonic() - went.begin
    return converse(directory, guest, work, sinks, deadline)


def converse(
    directory: Path,
    guest: qemu.Guest,
    work: job.Job,
    sinks: Sinks,
    deadline: float,
    kept: Path | None = None,
) -> Conversation:
    """Have a machine do its job, from power-on or from the snapshot in `kept`; it is off then."""
    ram = qemu.Ram(kept / "ram", saved=True) if kept is not None else None
    log = directory / LOG
    with log.open("wb") as file:
        machine: Machine
        if guest.accelerator == um.ACCELERATOR:
            machine = um.start(directory, guest)
        else:
            machine = qemu.start(directory, guest, ram=ram)
        try:
            conversation = Conversation(machine, file, sinks, work, deadline)
            if kept is not None:
                conversation.resume(kept)
            conversation.run()
        except HarnessError as error:
            conversation.lost = str(error)
        finally:
            machine.close()
    if conversation.lost is not None:
        kmsg.append_console(log, machine.console)
        conversation.lost = machine.reason(conversation.lost)
    return conversation


class Conversation:
    """Reads the ports until the guest reports the command's end, or no longer can."""

    def __init__(
        self, machine: Machine, dmesg: BinaryIO, sinks: Sinks, work: job.Job, deadline: float
    ) -> None:
        self.status: int | None = None
        self.lost: str | None = None
        self.begin = time.monotonic()
        self.boot_seconds = 0.0
        self._machine = machine
        self._log = kmsg.Log(dmesg, sinks.log_line)
        self._sinks = sinks
        self._work = work
        self._waits_since: float | None = None
        self._deadline = self.begin + deadline
        self._seconds = deadline
        self._words = b""
        self.restored = False
        self._awake = False
        self._late = False
        self._selector = selectors.DefaultSelector()
        self._terminal: Terminal | None = None

    @property
    def asleep(self) -> bool:
        """Whether the machine had its time and did not go on from the snapshot."""
        return self.restored and not self._awake and not self._late

    def resume(self, kept: Path) -> None:
        """Have the machine go on from the snapshot in `kept`."""
        self.restored = True
        try:
            assert isinstance(self._machine, qemu.Qemu)
            snapshot.restore(self._machine, kept)
            # The whole log, as of a boot: what is of before the snapshot, too.
            self._log.feed((kept / "log").read_bytes())
        except OSError as error:
            raise HarnessError(f"{error.filename}: {error.strerror}") from error
        self._go()

    def _go(self) -> None:
        words = ["go", self._work.size, int(time.time())]
        words += [os.urandom(32).hex()] * self.restored
        self._tell(*words)

    def _tell(self, *words: object) -> None:
        # If it is gone, run() finds so, with the reason.
        with contextlib.suppress(OSError):
            self._machine.ports["status"].sendall(" ".join(map(str, words)).encode() + b"\n")

    def _bring(self) -> None:
        """What is built, when the guest waits for it and it is there."""
        if self._waits_since is not None and self._work.built.done():
            self._tell("built", *self._work.bring())
            waited = self._waited()
            self._deadline += waited
            self.boot_seconds -= waited
            self._waits_since = None

    def _waited(self) -> float:
        """Seconds that the guest has had nothing to do, since it waits for what is built."""
        return time.monotonic() - self._waits_since if self._waits_since is not None else 0.0

    def run(self) -> None:
        try:
            with self._selector:
                self._read_ports()
            if self.status is not None:
                self.lost = None
            self._machine.stop()
            # What was written before the end is in the sockets by now.
            for name in self._machine.ports:
                while self._read(name):
                    pass
        finally:
            if self._terminal is not None:
                self._terminal.close()

    def _read_ports(self) -> None:
        selector = self._selector
        for name, port in self._machine.ports.items():
            selector.register(port, selectors.EVENT_READ, name)
        selector.register(self._machine.pidfd, selectors.EVENT_READ, "process")
        selector.register(self._work, selectors.EVENT_READ, "build")
        while not self._finished():
            left = self._deadline + self._waited() - time.monotonic()
            if left <= 0:
                self.lost = f"no end within the deadline of {self._seconds:g} s"
                self._late = True
                break
            if self.restored and not self._awake:
                left = min(left, self.begin + AWAKE_SECONDS - time.monotonic())
                if left <= 0:
                    self.lost = f"no word from it within {AWAKE_SECONDS:g} s"
                    break
            events = selector.select(left if left < math.inf else None)
            if [key.data for key, _ in events] == ["process"]:
                self.lost = "it stopped without a status"
                break
            for key, _ in events:
                if key.data == "build":
                    selector.unregister(key.fileobj)
                    # A guest without what it is for has no more to do.
                    self._work.built.result()
                elif key.data == "typed":
                    assert self._terminal is not None
                    try:
                        self._terminal.read()
                    except Left:
                        self.lost = "ended from the terminal"
                        return
                elif key.data != "process" and not self._read(key.data):
                    selector.unregister(key.fileobj)
            self._bring()

    def _finished(self) -> bool:
        if self.status is None:
            return False
        if not self._log.ended:
            self._deadline = min(self._deadline, time.monotonic() + LOG_END_SECONDS)
        return self._log.ended

    def _read(self, name: str) -> bool:
        """Take what a port has; False at its end."""
        try:
            data = self._machine.ports[name].recv(65536)
        except ConnectionResetError:
            data = b""
        if name == "log":
            self._log.feed(data)
        elif name == "status":
            self._take_status(data)
        else:
            sink = self._sinks.stderr if name == "stderr" else self._sinks.stdout
            sink.write(data)
            sink.flush()
        return bool(data)

    def _take_status(self, data: bytes) -> None:
        *words, self._words = (self._words + data).split(b"\n")
        for word in words:
            if word == b"ready":
                self._go()
            elif word == b"awake":
                self._awake = True
            elif word == b"unbuilt":
                self._waits_since = time.monotonic()
            elif word == b"run":
                self.boot_seconds += time.monotonic() - self.begin
            elif word == b"terminal":
                port = self._machine.ports["terminal"]
                self._terminal = Terminal(port, lambda *size: self._tell("size", *size))
                self._selector.register(self._terminal, selectors.EVENT_READ, "typed")
            elif word.startswith(b"exit "):
                self.status = int(word.removeprefix(b"exit "))


def report(outcome: Outcome) -> int:
    """Say on standard error what a run left to say; the status to exit with."""
    log = outcome.log()
    if outcome.lost is not None:
        for line in log[-LOST_LINES:]:
            print(line, file=sys.stderr)
        say(f"machine lost: {outcome.lost}")
    else:
        for line in outcome.splats():
            say(f"in the kernel's log: {line}")
    say(f"dmesg: {outcome.dmesg}")
    return outcome.status
