"""Record regions: what `rtshm record` does, for programs."""

from __future__ import annotations

import dataclasses
import errno
import os
import select
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from operator import index
from typing import TYPE_CHECKING, TypeAlias

from rtshm.control import Control
from rtshm.durations import seconds
from rtshm.errors import LayoutError
from rtshm.recording import Recording, check_format, opened, suffix_of
from rtshm.recording.columns import dtype_of
from rtshm.recording.conditions import Conditions, monotonic_ns
from rtshm.recording.recorder import Recorder
from rtshm.region import Region
from rtshm.samples import Samples

if TYPE_CHECKING:
    from rtshm.durations import Timeout

    Source: TypeAlias = str | Region

# Of an array that is read at once: samples, and bytes.
_MOST = 1 << 16
_MOST_BYTES = 1 << 22
# Seconds that a wait may take: `stopped` is asked after it.
_SLICE = 0.1
# From the time of a tick until its sample can be read.
_SLACK_NS = 10_000_000

ALL = "all samples are there"
DURATION = "the duration is over"
DELETED = "the region was deleted"


@dataclass(frozen=True, slots=True)
class Progress:
    """The progress of a recording."""

    samples: int
    """Samples that were recorded, of all regions."""
    lost: int
    """Samples that were overwritten before they were read."""
    seconds: float
    """Seconds since the beginning."""


def record(
    region: Source | Sequence[Source],
    path: str | os.PathLike[str],
    *,
    duration: Timeout = None,
    samples: int | None = None,
    fields: Sequence[str] = (),
    oldest: bool = False,
    force: bool = False,
    suffix: str | None = None,
    on_progress: Callable[[Progress], None] = lambda progress: None,
    stopped: Callable[[], str] = lambda: "",
) -> Recording:
    """Record the history of a region, or of several on one time line, in a file.

    `region` is a name or a Region, or several. The recording ends after
    `duration` (seconds, a timedelta or a text as "5s"), after `samples` of all
    regions, when the regions are deleted, or when `stopped`, which is called ten
    times a second, returns a reason. `fields` selects fields of the layout, each
    for the regions that have it; default: all. With `oldest` it starts at the
    oldest sample still kept.
    `on_progress` is called ten times a second. Recorder describes `path`, `force` and
    `suffix`. An exception such as KeyboardInterrupt completes the file and propagates.

    Returns the recording; its samples are read when they are first used.
    Raises OSError, ValueError for an unknown suffix or a number below 0, LayoutError for an
    unknown field, and ExtraError if a library is not installed.
    """
    suffix = suffix or suffix_of(path)
    check_format(suffix)
    regions = [region] if isinstance(region, (str, Region)) else region
    names = [each if isinstance(each, str) else each.path.name for each in regions]
    # Before there is a file.
    limit, most = seconds(duration), sys.maxsize if samples is None else index(samples)
    if most < 0 or (limit is not None and limit < 0):
        raise ValueError(f"duration {duration}, samples {samples}: give none below 0")
    with Control() as control:
        infos = [control.get(name) for name in names]
    begun = _with_fields([Conditions.now(info) for info in infos], fields)
    with ExitStack() as stack:
        readers = []
        for info in infos:
            # Woken at a quarter of what is kept, and looking without being woken in between.
            watermark = max(info.history // 4, 1)
            reader = stack.enter_context(Samples(info.name, oldest=oldest, watermark=watermark))
            if (info.id, info.record_bytes) != (reader.info.id, reader.info.record_bytes):
                why = "the region was changed meanwhile; try again"
                raise OSError(errno.EAGAIN, why, info.name)
            readers.append(reader)
        # Last, so that there is no file of what cannot be read.
        recorder = stack.enter_context(Recorder(path, begun, force=force, suffix=suffix))
        why = _run(readers, recorder, limit, most, oldest, on_progress, stopped)
        return opened(suffix, recorder.path, recorder.finish(why))


def _with_fields(begun: list[Conditions], fields: Sequence[str]) -> list[Conditions]:
    if not fields:
        return begun
    known = [dtype_of(each).names or () for each in begun]
    if unknown := [field for field in fields if not any(field in names for names in known)]:
        regions = "; ".join(
            f"{each.region} has {', '.join(names)}"
            for each, names in zip(begun, known, strict=True)
        )
        raise LayoutError(f"no field {', '.join(unknown)}; {regions}")
    # Of a region that has none of them, what samples of all regions have.
    return [
        dataclasses.replace(each, fields=tuple(n for n in fields if n in names) or ("some_int",))
        for each, names in zip(begun, known, strict=True)
    ]


def _run(
    readers: Sequence[Samples],
    recorder: Recorder,
    limit: float | None,
    most: int,
    oldest: bool,
    on_progress: Callable[[Progress], None],
    stopped: Callable[[], str],
) -> str:
    """Record to the end; what ended it."""
    begin = time.monotonic()
    # By the clock of the samples, too: those after the end are not of the recording.
    end_ns = None if limit is None else monotonic_ns() + round(limit * 1e9)
    poll = select.poll()
    left = {reader.fileno(): number for number, reader in enumerate(readers)}
    for fd in left:
        poll.register(fd, select.POLLIN)
    why = ""
    while left:
        now_ns = monotonic_ns()
        why = why or stopped()
        if why:
            end_ns = min(now_ns, end_ns or now_ns)
        left_ns = _SLICE * 1e9 if end_ns is None else min(_SLICE * 1e9, max(end_ns - now_ns, 0))
        found = dict(poll.poll(left_ns / 1e6))
        # Before the reads: what came until the end is there for them.
        over = end_ns is not None and monotonic_ns() >= end_ns
        # What a region has seen before it is there to be read, and sorted among the others'.
        before_ns = now_ns - _SLACK_NS
        read = 0
        for fd, number in list(left.items()):
            reader = readers[number]
            chunk = max(1, min(_MOST, _MOST_BYTES // reader.sample_bytes))
            wanted = min(chunk, most - recorder.samples)
            array = reader.read_array(wanted, wait=False)
            if len(array) == wanted:
                before_ns = min(before_ns, int(array["time_ns"][-1]))
            if not len(array) and found.get(fd, 0) & select.POLLHUP:
                poll.unregister(fd)
                del left[fd]
            if limit is not None and not oldest and not recorder.samples and len(array):
                # What came since the samples were opened is of the duration.
                end_ns = min(int(array["time_ns"][0]) + round(limit * 1e9), end_ns or 0)
            if end_ns is not None:
                array = array[array["time_ns"] < end_ns]
            recorder.write(array, number)
            read += len(array)
            if recorder.samples == most:
                return ALL
        if len(readers) > 1 and recorder.due:
            recorder.flush(max(before_ns, 0))
        lost = sum(reader.lost for reader in readers)
        on_progress(Progress(recorder.samples, lost, time.monotonic() - begin))
        if not read and over:
            return why or DURATION
    return DELETED
