"""A recording that is being written: append-only, and readable up to its last chunk."""

from __future__ import annotations

import errno
import os
import stat
import sys
import threading
import time
from collections.abc import Sequence
from contextlib import suppress
from io import FileIO
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from rtshm.device import once
from rtshm.handle import Handle
from rtshm.recording import check_format, suffix_of
from rtshm.recording.conditions import Conditions
from rtshm.recording.sink import Sink

if TYPE_CHECKING:
    from rtshm.recording import Array

CHUNK_SECONDS = 1.0
"""Seconds of samples that a chunk has at most, and so that a kill can lose."""
_PIPE_SECONDS = 0.1
# Of samples that wait for the end of their chunk.
_CHUNK_BYTES = 1 << 23


class Writer(Protocol):
    """What a format makes of a recording: bytes, into the sink that it was made with."""

    def write(self, parts: Sequence[tuple[int, Array]]) -> None:
        """A chunk: pairs of a region's number and its samples."""

    def end(self, conditions: Sequence[Conditions], *, whole: bool) -> None:
        """The end; `whole` unless a chunk that was written before is not in the file."""


class Recorder(Handle):
    """Write a recording of one or several regions, as a context manager.

    The file grows by whole chunks, one a second. An existing file is replaced only with
    `force`. A FIFO or a character device is written through. "-" is standard output, and
    `suffix` its format. If an exception leaves the context, the file is completed with
    the samples so far, and Conditions.ended has the text of the exception. close() completes
    the file, too; a forked child has it closed, and completes nothing. Raises OSError,
    ValueError for several regions of one name, ClosedError after the end, and what
    check_format() raises.
    """

    __slots__ = {
        **dict.fromkeys("_begun _counts _dtypes _due _ends _file _pending _pending_bytes".split()),
        **dict.fromkeys("_regular _sink _sync _torn _writer".split()),
        "path": "The file.",
    }

    def __init__(
        self,
        path: str | os.PathLike[str],
        conditions: Conditions | Sequence[Conditions],
        *,
        force: bool = False,
        suffix: str | None = None,
    ) -> None:
        module = check_format(suffix or suffix_of(path))
        begun = [conditions] if isinstance(conditions, Conditions) else list(conditions)
        if not once([each.region for each in begun]):
            raise ValueError("a recording without a region")
        from rtshm.recording.columns import Counts, dtype_of

        super().__init__()
        self.path = Path(path)
        self._begun = begun
        self._dtypes = [dtype_of(each) for each in begun]
        self._pending: list[tuple[int, Array]] = []
        self._pending_bytes = 0
        self._counts = [Counts() for _ in begun]
        # Where the last two whole chunks end, and what was counted up to there.
        self._ends: list[tuple[int, list[Counts]]] = []
        self._sink = Sink()
        fd, self._regular = _opened(self.path, force)
        self._file = FileIO(fd, "w")
        self._torn = False
        try:
            self._writer: Writer = module.Writer(
                self._sink, begun, self.path if self._regular else None, force
            )
            self._append()
        except BaseException:
            self._release()
            if self._regular:
                os.unlink(os.path.realpath(self.path))
            raise
        self._due = time.monotonic() + self._seconds
        self._sync = _Sync(fd)
        if self._regular:
            self._sync.start()
        self._opened()

    @property
    def samples(self) -> int:
        """Samples that were written, of all regions."""
        return sum(c.samples for c in self._counts) + sum(len(array) for _, array in self._pending)

    @property
    def _seconds(self) -> float:
        return CHUNK_SECONDS if self._regular else _PIPE_SECONDS

    def write(self, array: Array, region: int = 0) -> None:
        """Append samples of a region, by its number, as Samples.read_array() returns them."""
        self._check_open()
        if len(array):
            dtype = self._dtypes[region]
            names = dtype.names or ()
            there = array.dtype.names or ()
            wrong = [n for n in names if n not in there or array.dtype[n] != dtype[n]]
            if wrong:
                raise TypeError(f"{self.path}: not samples of the region: {', '.join(wrong)}")
            # A copy: the array may be the small part of a large one that something was read
            # into, and may have been made without its padding.
            own = array[list(names)].astype(dtype)
            self._pending.append((region, own))
            self._pending_bytes += own.nbytes
        if self.due and len(self._begun) == 1:
            self.flush()

    @property
    def due(self) -> bool:
        """Whether it is time to append a chunk: once a second, or after many samples."""
        return time.monotonic() >= self._due or self._pending_bytes >= _CHUNK_BYTES

    def flush(self, before_ns: int = 2**63 - 1) -> None:
        """Append the chunk of the samples that wait, in the order of their times.

        write() does when it is due; of several regions the caller does, with
        the time before which it has the samples of all of them.
        """
        self._check_open()
        self._due = time.monotonic() + self._seconds
        waiting, self._pending, self._pending_bytes = self._pending, [], 0
        parts = []
        for region, array in waiting:
            at = int(array["time_ns"].searchsorted(before_ns))
            parts += [(region, array[:at])] if at else []
            if at < len(array):
                self._pending.append((region, array[at:]))
                self._pending_bytes += array[at:].nbytes
        if self._sync.error:
            raise self._sync.error
        if parts:
            counts = list(self._counts)
            for region, array in parts:
                counts[region] = counts[region].and_of(array)
            try:
                self._writer.write(parts)
                self._append()
            except BaseException:
                # What the library made of a part of it is not written after it.
                self._torn = True
                self._sink.take()
                raise
            self._counts = counts
            self._ends[-1] = self._ends[-1][0], counts

    def finish(self, ended: str) -> list[Conditions]:
        """Complete the file; `ended` says what ended the recording.

        Returns the conditions of each region as they are in the file.
        """
        self.flush()
        done = self._end(ended)
        self._close()
        return done

    def close(self) -> None:
        """Complete the file, if finish() did not; a second call does nothing."""
        if not self.closed:
            with self:
                self.finish("the program left off")

    def __exit__(self, *exc: Any) -> None:
        _, error, _ = exc
        if error is None:
            self.close()
        if self.closed:
            return
        if isinstance(error, OSError):
            why = error.strerror or str(error)
        else:
            why = ": ".join(filter(None, (type(error).__name__, str(error))))
        note = f"{self.path} has the samples that the disk took"
        # The error that came first says more.
        with suppress(OSError):
            try:
                ended = self._salvage(why)
            finally:
                self._close()
            if ended:
                note = f"the {self.samples} samples so far are in {self.path}"
        if isinstance(error, OSError) and self._regular:
            error.filename = error.filename or str(self.path)
            error.add_note(note)

    def _salvage(self, why: str) -> bool:
        """End the file where its last whole chunk ends, or the one before; whether it took that."""
        try:
            self.flush()
            self._end(why)
            return True
        except OSError:
            self._pending = []
        # Without room for the end, the last chunk makes it.
        for end, counts in reversed(self._ends[-2:] if self._regular else []):
            self._counts = counts
            self._sink.take()
            self._torn = True
            try:
                self._file.truncate(end)
                self._end(why)
                return True
            except OSError:
                continue
        return False

    def _end(self, ended: str) -> list[Conditions]:
        pairs = zip(self._begun, self._counts, strict=True)
        conditions = [counts.put_into(begun, ended) for begun, counts in pairs]
        self._writer.end(conditions, whole=not self._torn)
        self._append()
        return conditions

    def _append(self) -> None:
        data = self._sink.take()
        begin = self._file.seek(0, os.SEEK_END) if self._regular else 0
        try:
            with memoryview(data) as left:
                at = 0
                while at < len(left):
                    at += os.write(self._descriptor(), left[at:])
        except BaseException as error:
            if isinstance(error, OSError):
                error.filename = str(self.path)
            self._torn = True
            if self._regular:
                with suppress(OSError):
                    self._file.truncate(begin)
            raise
        self._ends = [*self._ends[-1:], (begin + len(data), list(self._counts))]

    def _close(self) -> None:
        try:
            if self._regular:
                self._sync.done.set()
                self._sync.join()
                # The kernel tells one of the two only.
                if self._sync.error:
                    raise self._sync.error
                os.fsync(self._descriptor())
        except OSError as error:
            error.filename = str(self.path)
            raise
        finally:
            super().close()

    def _descriptor(self) -> int:
        return self._file.fileno()

    def _release(self) -> None:
        self._file.close()


class _Sync(threading.Thread):
    """Has a power cut lose little more than a kill does. It does not hold the Recorder."""

    def __init__(self, fd: int) -> None:
        super().__init__(daemon=True)
        self._fd = fd
        self.done = threading.Event()
        self.error: OSError | None = None

    def run(self) -> None:
        while not self.done.wait(CHUNK_SECONDS):
            try:
                os.fdatasync(self._fd)
            except OSError as error:
                self.error = error
                return


def _opened(path: Path, force: bool) -> tuple[int, bool]:
    """The descriptor to write to, and whether it is a regular file's."""
    if str(path) == "-":
        if sys.stdout:
            sys.stdout.flush()
        return os.dup(1), False
    flags = os.O_WRONLY | os.O_CLOEXEC | os.O_NOCTTY
    try:
        return os.open(path, flags | os.O_CREAT | os.O_EXCL, 0o666), True
    except FileExistsError:
        if not path.exists():
            # A link to a file that is to be made.
            return _opened(Path(os.path.realpath(path)), force)
        there = os.stat(path)
    if stat.S_ISREG(there.st_mode) and not force:
        exists = FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), str(path))
        exists.add_note("a recording does not replace a file: use another name, or --force")
        raise exists
    if not (
        stat.S_ISREG(there.st_mode) or stat.S_ISFIFO(there.st_mode) or stat.S_ISCHR(there.st_mode)
    ):
        raise OSError(errno.EINVAL, "neither a file, a FIFO nor a character device", str(path))
    fd = os.open(path, flags)
    regular = stat.S_ISREG(os.fstat(fd).st_mode)
    if regular:
        os.ftruncate(fd, 0)
    return fd, regular
