"""The history of a region in a file: recordings, and what reads them back.

>>> recording = rtshm.load("run.npz")                       # doctest: +SKIP
>>> recording.array["speed"], recording.conditions.kernel   # doctest: +SKIP
"""

from __future__ import annotations

import dataclasses
import importlib
import os
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, Protocol, Self, cast

from rtshm.errors import add_remedy, need

if TYPE_CHECKING:
    from collections.abc import Iterator

    import numpy

    from rtshm.recording.conditions import Conditions

    Array = numpy.ndarray[Any, numpy.dtype[Any]]

FORMATS = {".npz": "numpy", ".csv": "numpy", ".parquet": "pyarrow"}
"""The library that each format takes, by suffix. The format's module has the suffix's name."""


@dataclasses.dataclass(frozen=True, slots=True)
class Recording:
    """What was recorded of a region."""

    conditions: Conditions
    """Under which it was made."""
    array: Array
    """As Samples.read_array() gives it: structured, of shape (conditions.samples,)."""


class _Format(Protocol):
    """A file of one format that is being written."""

    def write(self, array: Array) -> None: ...

    def end(self, conditions: Conditions) -> None:
        """All that is left; the file is whole then."""

    def close(self) -> None:
        """Let go of what is held; the file may be anything. Raises no OSError."""


def suffix_of(path: str | os.PathLike[str]) -> str:
    """The format of a file. Raises ValueError that names the known ones."""
    suffix = Path(path).suffix
    if suffix not in FORMATS:
        raise ValueError(
            f"{os.fspath(path)}: {suffix or 'no suffix'} is no format of recordings; "
            f"give one of {', '.join(FORMATS)}"
        )
    return suffix


def check_format(path: str | os.PathLike[str]) -> None:
    """ValueError if no format has the suffix, ExtraError if its library is not there."""
    suffix = suffix_of(path)
    need("numpy", "a recording", "record")
    need(FORMATS[suffix], f"a recording as {suffix}", "record")


def load(path: str | os.PathLike[str]) -> Recording:
    """Read a whole recording, of any format.

    Raises OSError (FileNotFoundError, ...), ExtraError if the library of the
    format is not there, and ValueError for another suffix than .npz, .parquet
    and .csv, and if this is no recording.
    """
    check_format(path)
    # First, so that a library's own words for it need not be known.
    with open(path, "rb"):
        pass
    try:
        conditions, array = _module(suffix_of(path)).read(Path(path))
    except OSError as error:
        if error.errno:
            raise
        # pyarrow's errors about the content are OSError, too.
        raise ValueError(f"{os.fspath(path)}: this is no recording: {error}") from error
    except Exception as error:
        raise ValueError(f"{os.fspath(path)}: this is no recording: {error}") from error
    return Recording(conditions, array)


class Recorder:
    """A recording that is being written, a context manager.

    The file gets its name when it is whole, at finish(). Up to then what had
    the name before is there as it was, and the samples are in a file beside
    it, which goes if finish() is not reached. Raises OSError, and as
    check_format().
    """

    def __init__(self, path: str | os.PathLike[str], conditions: Conditions) -> None:
        check_format(path)
        from rtshm.recording.columns import dtype_of

        # What a link points to gets the new content, and not the link's place.
        self.path = Path(os.path.realpath(path))
        self._part = self.path.with_name(f".{self.path.name}.{os.getpid()}.part")
        self._conditions = conditions
        self._samples = self._missed = self._lost = 0
        self._last_tick = 0
        try:
            self._file: BinaryIO = open(self._part, "xb")
        except OSError as error:
            error.filename = os.fspath(path)
            raise
        try:
            made = _module(suffix_of(path)).Writer(
                self._file, self.path, conditions, dtype_of(conditions)
            )
        except BaseException:
            self._discard()
            raise
        self._format = cast("_Format", made)
        self._open = True

    @property
    def samples(self) -> int:
        """That were written."""
        return self._samples

    def write(self, array: Array) -> None:
        """Append what Samples.read_array() gave."""
        if not len(array):
            return
        tick, missed = array["tick"], array["missed"]
        if self._samples:
            self._lost += int(tick[0]) - self._last_tick - 1
        else:
            missed = missed[1:]
        self._lost += int(tick[-1]) - int(tick[0]) + 1 - len(array)
        self._last_tick = int(tick[-1])
        self._missed += int(missed.sum(dtype="u8"))
        self._samples += len(array)
        with self._explained():
            self._format.write(array)

    def finish(self, ended: str) -> Conditions:
        """Complete the file, and give it its name; `ended` says what ended the recording.

        Returns the conditions as they are in it.
        """
        conditions = dataclasses.replace(
            self._conditions,
            samples=self._samples,
            lost=self._lost,
            missed=self._missed,
            ended=ended,
        )
        with self._explained():
            self._format.end(conditions)
            self._file.flush()
            # So that a power cut leaves one of the two, and no empty file of the name.
            os.fsync(self._file.fileno())
            os.replace(self._part, self.path)
        self._open = False
        self._format.close()
        self._file.close()
        return conditions

    @contextmanager
    def _explained(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            was = "is as it was" if self.path.exists() else "is not there"
            lost = f"the {self._samples} samples so far are gone, and {self.path} {was}"
            # In the place of the file that goes.
            error.filename = str(self.path)
            add_remedy(error, self.path, lost)
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        if self._open:
            self._open = False
            self._format.close()
            self._discard()

    def _discard(self) -> None:
        # It writes what it has not written yet, for which there may be no room.
        with suppress(OSError):
            self._file.close()
        with suppress(FileNotFoundError):
            self._part.unlink()


def _module(suffix: str) -> Any:
    return importlib.import_module(f"rtshm.recording.{suffix.removeprefix('.')}")
