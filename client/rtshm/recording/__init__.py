"""Recordings: the history of regions in a file, and what reads it back.

>>> import rtshm
>>> run = rtshm.record("motor", "run.csv", samples=20)
>>> run = rtshm.load("run.csv")
>>> float(run.array["speed"].max()), run.conditions.ended
(3.0, 'all samples are there')
"""

from __future__ import annotations

import dataclasses
import importlib
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cached_property, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from rtshm import notebook
from rtshm.durations import period_text
from rtshm.errors import need

if TYPE_CHECKING:
    import numpy
    import pandas
    import pyarrow
    import xarray

    from rtshm.recording.conditions import Conditions

    Array = numpy.ndarray[Any, numpy.dtype[Any]]


class Format(NamedTuple):
    """A format of recordings; its module in this package has the suffix's name."""

    library: str
    extra: str


FORMATS = {
    ".arrows": Format("pyarrow", "record"),
    ".mcap": Format("mcap", "mcap"),
    ".csv": Format("numpy", "numpy"),
}
PICTURES = (".png", ".html")
CUT_OFF = "cut off"
"""Conditions.ended of a recording that nothing ended: its program was killed, say."""


@dataclasses.dataclass(frozen=True, eq=False)
class Recording:
    """A recording of one region, or of several on one time line.

    load() reads the file when its content is first used. A recording of
    several regions has their names in `regions`; recording["motor"] is the
    recording of one of them.
    """

    _read: Callable[[], Mapping[str, tuple[Conditions, Array]]]
    path: Path | None = None
    done: Sequence[Conditions] = ()
    """The conditions of each region, of a recording that was made just now."""

    @classmethod
    def of(cls, conditions: Conditions, array: Array) -> Recording:
        """A recording of one region, of samples as Samples.read_array() returns them."""
        return cls(partial(dict, {conditions.region: (conditions, array)}))

    @cached_property
    def _content(self) -> Mapping[str, tuple[Conditions, Array]]:
        return self._read()

    @property
    def regions(self) -> tuple[str, ...]:
        """The names of the regions."""
        return tuple(self._content)

    def __getitem__(self, region: str) -> Recording:
        if region not in self._content:
            raise ValueError(f"no region {region} in it; there are {', '.join(self.regions)}")
        return Recording.of(*self._content[region])

    @property
    def conditions(self) -> Conditions:
        """The conditions the recording was made under. ValueError if it has several regions."""
        return self.done[0] if len(self.done) == 1 else self._only[0]

    @property
    def array(self) -> Array:
        """A structured array as Samples.read_array() returns it, of shape (conditions.samples,).

        Raises ValueError if the recording has several regions.
        """
        return self._only[1]

    @property
    def _only(self) -> tuple[Conditions, Array]:
        if len(self._content) > 1:
            names = ", ".join(self.regions)
            raise ValueError(f"the recording has the regions {names}; select one")
        (found,) = self._content.values()
        return found

    def to_arrow(self) -> pyarrow.Table:
        """A pyarrow.Table with the columns of a recording in a file, and `time`.

        `time` is CLOCK_REALTIME in UTC: the time of the start, and CLOCK_MONOTONIC
        since then. Raises ExtraError if pyarrow is not installed.
        """
        need("pyarrow", "a table", "record")
        from rtshm.recording import arrows

        return arrows.table(list(self._content.values()))

    def to_pandas(self) -> pandas.DataFrame:
        """A DataFrame with the columns of to_arrow(), and `time` as its index.

        Enums are categories with the names of the values. Raises ExtraError if
        pandas or pyarrow is not installed.
        """
        need("pandas", "a DataFrame", "pandas")
        return self.to_arrow().to_pandas().set_index("time")

    def to_xarray(self) -> xarray.Dataset:
        """A Dataset with a variable for each field, along `time`.

        An array field has dimensions of its own, the fields of a struct are
        variables `pose.x`. Raises ValueError if the recording has several
        regions, ExtraError if xarray is not installed.
        """
        need("xarray", "a Dataset", "pandas")
        import xarray

        from rtshm.recording.columns import variables, wall_clock

        dataset = xarray.Dataset(attrs=self.conditions.asdict())
        dataset["time"] = "time", wall_clock(self.conditions, self.array)
        for name, values in variables(self.array):
            inner = [f"{name}_{number}" for number in range(values.ndim - 1)]
            dataset[name] = ("time", *inner), values
        return dataset

    def __repr__(self) -> str:
        return f"<rtshm.Recording {self.path or ', '.join(self.regions)}>"

    def _repr_html_(self) -> str:
        """Return a table of a region a row, for notebooks."""
        headings = ("region", "samples", "lost", "missed", "period", "layout", "kernel", "ended")
        known = self.done or [conditions for conditions, _ in self._content.values()]
        return notebook.grid(
            headings,
            (
                (
                    *(each.region, each.samples, each.lost, each.missed),
                    *(period_text(each.period_ns), each.layout, each.kernel, each.ended),
                )
                for each in known
            ),
            repr(self),
        )


def suffix_of(path: str | os.PathLike[str]) -> str:
    """The format of a file. ValueError names the known formats and what each needs."""
    return _known(Path(path).suffix.lower(), f"{os.fspath(path)}: ")


def _known(suffix: str, where: str = "") -> str:
    if suffix not in FORMATS:
        known = ", ".join(
            f"{known} (pip install 'rtshm[{format.extra}]')" for known, format in FORMATS.items()
        )
        raise ValueError(
            f"{where}{suffix or 'no suffix'} is not a format of recordings; use one of {known}"
        )
    return suffix


def check_picture(path: str | os.PathLike[str]) -> str:
    """Return the path. ValueError if no picture has its suffix."""
    suffix, text = Path(path).suffix, os.fspath(path)
    if suffix not in PICTURES:
        words = f"{suffix or 'no suffix'} is not a format of pictures"
        raise ValueError(f"{text}: {words}; use one of {', '.join(PICTURES)}")
    return text


def check_format(suffix: str) -> Any:
    """The module of a format. ExtraError if its library is not installed."""
    need("numpy", "a recording", "numpy")
    need(FORMATS[_known(suffix)].library, f"a recording as {suffix}", FORMATS[suffix].extra)
    return importlib.import_module(f"rtshm.recording.{suffix.removeprefix('.')}")


def load(path: str | os.PathLike[str]) -> Recording:
    """Open a recording of any format. Its content is read when it is first used.

    A file that was cut off, at any byte, has the samples up to its last whole
    chunk; conditions.ended is then "cut off".

    Raises OSError (FileNotFoundError, ...), ExtraError if the library of the
    format is not installed, and ValueError for an unknown suffix or a file
    that is not a recording.
    """
    suffix = suffix_of(path)
    parts(check_format(suffix), Path(path)).close()
    return opened(suffix, Path(path))


def opened(suffix: str, path: Path, done: Sequence[Conditions] = ()) -> Recording:
    """A recording of this format that is read when it is used."""
    return Recording(partial(_content, suffix, path), path, done)


def parts(module: Any, path: Path) -> Any:
    """The generator `read` of a format, at its beginning, or ValueError: not a recording.

    What read(path) of a format yields: a list of the conditions at the
    beginning, then parts of the recording as pairs of a region's number and
    an array, and at the end of a recording that was ended the list of the
    conditions as they are at the end. Anything can be raised where it was cut off.
    """
    read = module.read(path)
    try:
        begun = next(read)
    except OSError as error:
        if error.errno:
            raise
        # pyarrow's errors about the content are OSError, too.
        raise ValueError(f"{path}: not a recording: {error}") from error
    except Exception as error:
        words = str(error) or type(error).__name__
        raise ValueError(f"{path}: not a recording: {words}") from error

    def whole() -> Iterator[Any]:
        yield begun
        try:
            yield from read
        except OSError as error:
            if error.errno:
                raise
        except (Exception, MemoryError):
            # Here it was cut off.
            return

    return whole()


def _content(suffix: str, path: Path) -> dict[str, tuple[Conditions, Array]]:
    from rtshm.recording.columns import Counts, dtype_of, joined

    begun, *rest = parts(check_format(suffix), path)
    ended = rest.pop() if rest and isinstance(rest[-1], list) else None
    found = {}
    for number, conditions in enumerate(begun):
        dtype = dtype_of(conditions)
        array = joined(dtype, [part for index, part in rest if index == number])
        if ended and ended[number].samples == len(array):
            conditions = ended[number]
        else:
            conditions = Counts().and_of(array).put_into(conditions, CUT_OFF)
        found[conditions.region] = conditions, array
    return found
