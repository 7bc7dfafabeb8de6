"""Runs a program on a terminal of its own, whose other end is a port of the machine.

terminal.py PROGRAM ARGUMENT...: exits with the program's status, 128 + N for a signal. The host
sends the size of its own terminal through the status port, at the start and on each change.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import pty
import select
import struct
import sys
import termios

# See qemu.py.
STATUS, TERMINAL = "/dev/vport0p1", "/dev/vport0p5"

# What Debian's ncurses-base has not is taken for this one.
USUAL = "xterm-256color"


def main(command: list[str]) -> int:
    status, port = (os.open(name, os.O_RDWR) for name in (STATUS, TERMINAL))
    os.write(status, b"terminal\n")
    words = os.read(status, 4096)
    if not is_known(os.environ.get("TERM", "")):
        os.environ["TERM"] = USUAL
    pid, master = pty.fork()
    if pid == 0:
        resize(0, words)
        os.closerange(3, 256)
        os.execvp(command[0], command)
    end = os.pidfd_open(pid)
    copy(status, port, master, end)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) % 256


def is_known(name: str) -> bool:
    tops = ("/lib", "/etc", "/usr/share")
    return any(os.path.isfile(f"{top}/terminfo/{name[:1]}/{name}") for top in tops)


def resize(terminal: int, words: bytes) -> None:
    """Set the size of the last `size ROWS COLUMNS` in `words`; its foreground gets SIGWINCH."""
    rows, columns = map(int, words.splitlines()[-1].split()[1:])
    fcntl.ioctl(terminal, termios.TIOCSWINSZ, struct.pack("4H", rows, columns, 0, 0))


def copy(status: int, port: int, master: int, end: int) -> None:
    """Copy between port and terminal until the program ends, and what it wrote until then."""
    os.set_blocking(master, False)
    typed = b""
    poll = select.poll()
    for descriptor in (status, end):
        poll.register(descriptor, select.POLLIN)
    while True:
        # Typed text waits here while the terminal takes no more; then none is read, either.
        poll.register(port, 0 if typed else select.POLLIN)
        poll.register(master, select.POLLIN | (select.POLLOUT if typed else 0))
        ready = {descriptor for descriptor, _ in poll.poll()}
        if status in ready:
            resize(master, os.read(status, 4096))
        if port in ready and not typed:
            typed = os.read(port, 4096)
        if typed:
            with contextlib.suppress(BlockingIOError):
                typed = typed[os.write(master, typed) :]
        written = b""
        try:
            written = os.read(master, 65536)
        except OSError:
            # EAGAIN: there is nothing now. EIO: nobody has the terminal open any more.
            if end in ready:
                return
        rest = memoryview(written)
        while rest:
            rest = rest[os.write(port, rest) :]


sys.exit(main(sys.argv[1:]))
