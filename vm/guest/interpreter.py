"""In a snapshot of the guest: an interpreter with imports done, which forks for each caller.

Under emulation the imports take most of the time of a short program. What it has
imported in the snapshot is of the guest's disk alone. The client comes from the checkout
of the run: it is imported when that is there, while the host still builds, and a fork
whose caller would get another becomes an interpreter of its own. A caller (call.c) that a
fork of this process would not be like gets none, and starts one.
"""

from __future__ import annotations

import array
import atexit
import contextlib
import fcntl
import gc
import importlib
import io
import os
import random
import runpy
import select
import signal
import socket
import struct
import sys
import tempfile
import threading
import traceback
from pathlib import Path
from typing import NamedTuple

HERE = Path("/run/warm")
RNDRESEEDCRNG = 0x5207  # linux/random.h

# The attributes of a process that its programs inherit, as /proc shows them.
ALIKE = (
    *("Umask", "TracerPid", "Uid", "Gid", "Groups", "CapInh", "CapPrm", "CapEff"),
    *("CapBnd", "CapAmb", "NoNewPrivs", "Seccomp", "Cpus_allowed", "Mems_allowed"),
)
SPACES = ("cgroup", "ipc", "mnt", "net", "pid", "time", "user", "uts")


def main() -> list[str]:
    """Serve; returns in each fork, with the arguments of the module to run."""
    for module in named((HERE / "imports").read_text()):
        importlib.import_module(module)
    # A shell's background process has them ignored.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGQUIT, signal.SIG_DFL)
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    listener.bind(str(HERE / "socket"))
    listener.listen()
    gc.freeze()
    (HERE / "seeded").write_text("imported\n")
    # Here the snapshot is made. No two runs may have random numbers in common.
    seed = (HERE / "seed").read_bytes()
    with open("/dev/urandom", "wb", buffering=0) as file:
        file.write(bytes.fromhex(seed.decode()))
        fcntl.ioctl(file, RNDRESEEDCRNG)
    random.seed()
    (HERE / "seeded").write_text("seeded\n")
    poll = select.poll()
    poll.register(listener, select.POLLIN)
    # What to import of the checkout, and from where, once: run.sh.
    told = os.open(HERE / "client", os.O_RDWR)
    poll.register(told, select.POLLIN)
    client: Client | None = None
    workers: dict[int, Worker] = {}
    while True:
        for descriptor, _ in poll.poll():
            if descriptor == told:
                client = Client(*os.read(told, 4096).decode().strip().split(":", 1))
                break
            if descriptor in workers:
                worker = workers[descriptor]
                # The caller sends nothing: it hands on its signals itself, until it is killed.
                if descriptor != worker.end:
                    os.kill(worker.pid, signal.SIGKILL)
                status = os.waitpid(worker.pid, 0)[1]
                for each in (worker.end, worker.connection.fileno()):
                    poll.unregister(each)
                    del workers[each]
                with contextlib.suppress(OSError):
                    worker.connection.send(struct.pack("i", status))
                worker.connection.close()
                os.close(worker.end)
                # What else was reported may be of this one.
                break
            connection, _ = listener.accept()
            # One fork and no more: under emulation each takes a tenth of a second.
            pid, arguments = attend(connection)
            if pid == 0:
                connection.close()
                listener.close()
                os.close(told)
                if client is not None and not client.is_what_this_would_import():
                    os.execv(sys.executable, [sys.executable, "-m", *arguments])
                return arguments
            if pid > 0:
                worker = Worker(pid, os.pidfd_open(pid), connection)
                for each in (worker.end, connection.fileno()):
                    poll.register(each, select.POLLIN)
                    workers[each] = worker
                with contextlib.suppress(OSError):
                    connection.send(struct.pack("i", pid))
            else:
                connection.close()


class Client:
    """The modules of the checkout's client that are imported here, for the callers.

    While nobody calls there is time for it, which nobody else wants: it is not urgent.
    """

    def __init__(self, modules: str, folder: str) -> None:
        self._folder = folder
        self._modules = named(modules)
        self._tops = {module.split(".")[0] for module in self._modules}
        os.setpriority(os.PRIO_PROCESS, 0, 19)
        said = self._import()
        os.setpriority(os.PRIO_PROCESS, 0, 0)
        # What goes wrong, or is said, is for who calls to see: none of this is what it gets.
        self._files = None if said else self.files()
        gc.freeze()

    def _import(self) -> bytes:
        """Import the client; what it printed, or why it could not be."""
        streams = [os.dup(1), os.dup(2)]
        with tempfile.TemporaryFile() as file:
            os.dup2(file.fileno(), 1)
            os.dup2(file.fileno(), 2)
            sys.path.insert(0, self._folder)
            try:
                for module in self._modules:
                    importlib.import_module(module)
            except Exception:
                traceback.print_exc()
            sys.path.remove(self._folder)
            sys.stdout.flush()
            sys.stderr.flush()
            for number, stream in enumerate(streams, start=1):
                os.dup2(stream, number)
                os.close(stream)
            file.seek(0)
            return file.read()

    def is_what_this_would_import(self) -> bool:
        """Whether a caller with this directory and this path would get the same modules."""
        return (
            sys.path[1] == self._folder
            and not any(Path(top + end).exists() for top in self._tops for end in ("", ".py"))
            and self._files == self.files()
        )

    def files(self) -> dict[str, tuple[int, ...]]:
        """Of each module its source, as it is now."""
        found: dict[str, tuple[int, ...]] = {}
        for name, module in sys.modules.items():
            if name.split(".")[0] in self._tops:
                path = module.__file__ or ""
                with contextlib.suppress(OSError):
                    status = os.stat(path)
                    times = status.st_mtime_ns, status.st_ctime_ns
                    found[path] = status.st_dev, status.st_ino, status.st_size, *times
        return found


def named(text: str) -> list[str]:
    """The modules in a list with commas."""
    return [module for module in text.strip().split(",") if module]


class Worker(NamedTuple):
    pid: int
    end: int
    """A descriptor that is readable when the process has ended."""
    connection: socket.socket


def attend(connection: socket.socket) -> tuple[int, list[str]]:
    """Fork for a caller, whose place the fork takes; -1 if none would be like it."""
    credentials = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12)
    caller = struct.unpack("3i", credentials)[0]
    descriptors = array.array("i")
    try:
        data = receive(connection, descriptors)
        count, *texts = [os.fsdecode(text) for text in data.split(b"\0")[:-1]]
        arguments, environment = texts[: int(count)], texts[int(count) :]
        variables = dict(text.split("=", 1) for text in environment)
        if inherited(caller) != inherited(os.getpid()):
            return -1, []
        if settings(variables) != settings(os.environ):
            return -1, []
        # One that came before the fork is what it was would be forgotten there.
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
        pid = os.fork()
        if pid == 0:
            become(list(descriptors), variables)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})
        return pid, arguments
    except (OSError, ValueError):
        # The caller is gone, or sent what is none of ours.
        return -1, []
    finally:
        for descriptor in descriptors:
            os.close(descriptor)


def receive(connection: socket.socket, descriptors: array.array[int]) -> bytes:
    room = socket.CMSG_SPACE(4 * descriptors.itemsize)
    data, ancillary, _, _ = connection.recvmsg(1 << 18, room)
    for _, _, passed in ancillary:
        descriptors.frombytes(passed)
    return data


def inherited(pid: int) -> list[object]:
    """What a program started by this process would have of it."""
    process = Path("/proc", str(pid))
    status = dict(line.split(":", 1) for line in (process / "status").read_text().splitlines())
    # Python ignores two signals for itself.
    ignored = int(status["SigIgn"], 16) & ~(1 << signal.SIGPIPE - 1 | 1 << signal.SIGXFSZ - 1)
    return [
        ignored,
        # A kernel of our own does without some of them.
        *(status.get(name) for name in ALIKE),
        *(space(process / "ns" / name) for name in SPACES),
        (process / "limits").read_text(),
        os.stat(process / "root")[1:3],
        (process / "oom_score_adj").read_text(),
        os.getpriority(os.PRIO_PROCESS, pid),
        os.sched_getscheduler(pid),
    ]


def space(link: Path) -> str | None:
    return os.readlink(link) if link.is_symlink() else None


def settings(variables: os._Environ[str] | dict[str, str]) -> dict[str, str]:
    """The variables that an interpreter reads when it starts, but for those that are set here."""
    return {
        name: text
        for name, text in variables.items()
        if name.startswith(("PYTHON", "LC_", "LANG", "MALLOC_", "LD_")) and name != "PYTHONPATH"
    }


def become(descriptors: list[int], variables: dict[str, str]) -> None:
    """Take the caller's directory, streams and variables."""
    directory, *streams = descriptors
    for number, descriptor in enumerate(streams):
        os.dup2(descriptor, number)
    os.fchdir(directory)
    os.environ.clear()
    os.environ.update(variables)
    # As with -m: the directory, $PYTHONPATH, then what is on the disk.
    own = [path for path in variables.get("PYTHONPATH", "").split(":") if path]
    sys.path[:1] = [os.getcwd(), *own]


def waited_for(thread: threading.Thread) -> bool:
    return not thread.daemon and thread is not threading.main_thread()


def end(status: int) -> None:
    """End as an interpreter does, but without freeing all that it has imported.

    Under emulation that takes 0.2 s, which is half of the time of a short program. Returns
    where the interpreter is to say what it cannot write.
    """
    while threads := [each for each in threading.enumerate() if waited_for(each)]:
        threads[0].join()
    atexit._run_exitfuncs()
    # What the program left open; what is older is not among these.
    for each in gc.get_objects():
        if issubclass(type(each), io.IOBase):
            with contextlib.suppress(OSError, ValueError):
                each.flush()
    try:
        for stream in (sys.stdout, sys.stderr):
            if stream is not None and not stream.closed:
                stream.flush()
    except (OSError, ValueError):
        return
    os._exit(status & 0xFF)


module, *sys.argv[1:] = main()
status = 0
try:
    runpy.run_module(module, run_name="__main__", alter_sys=True)
except SystemExit as left:
    if isinstance(left.code, int | None):
        status = left.code or 0
    else:
        print(left.code, file=sys.stderr)
        status = 1
end(status)
sys.exit(status)
