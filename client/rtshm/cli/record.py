"""rtshm record: the history of a region into a file."""

from __future__ import annotations

import errno
import importlib.util
import select
import sys
import time
from contextlib import nullcontext
from typing import TYPE_CHECKING

import click

from rtshm.cli.parameters import name_argument, parsed
from rtshm.cli.stop import SLICE, Stop
from rtshm.cli.units import parse_time
from rtshm.recording import Recorder, check_format, suffix_of
from rtshm.recording.conditions import Conditions

if TYPE_CHECKING:
    from contextlib import AbstractContextManager

    from rtshm.control import RegionInfo
    from rtshm.samples import Samples

# Of an array that is read at once: samples, and bytes.
_MOST = 1 << 16
_MOST_BYTES = 1 << 23
# Between two looks of the progress bar.
_SHOW_NS = 200_000_000

# What ends a recording, beside Control-C and SIGTERM.
_ALL = "all samples are there"
_DURATION = "the duration is over"
_DELETED = "the region was deleted"


def _known(file: str) -> str:
    """ValueError if it is of no format."""
    suffix_of(file)
    return file


@click.command()
@name_argument
@click.option(
    "-o",
    "--output",
    metavar="FILE",
    required=True,
    type=click.Path(dir_okay=False),
    callback=parsed(_known),
    help="Where to: FILE.npz, .csv or .parquet.",
)
@click.option(
    "--duration",
    "duration_ns",
    metavar="TIME",
    callback=parsed(parse_time),
    help="Stop after it: 10s, 500ms.",
)
@click.option("--samples", "most", metavar="N", type=click.IntRange(1), help="Stop after N.")
@click.option("--oldest", is_flag=True, help="Begin with the oldest sample that is kept.")
@click.option("--progress/--no-progress", default=None, help="On standard error; if a terminal.")
def record(
    name: str,
    output: str,
    duration_ns: int | None,
    most: int | None,
    oldest: bool,
    progress: bool | None,
) -> None:
    """Record what happens in a region.

    Into a file, a sample a tick, with the conditions under which it was. It
    ends with the duration, the number of samples or the region, and on
    Control-C or SIGTERM; the file is whole then, and the status 0. Up to then
    what was in FILE stays. Samples that were lost are counted.
    """
    from rtshm.control import Control
    from rtshm.samples import Samples

    check_format(output)
    wanted = bool(sys.stderr and sys.stderr.isatty()) if progress is None else progress
    bar: AbstractContextManager[_Bar | None] = nullcontext()
    if wanted and _has_rich():
        bar = _Bar(name, most, duration_ns)
    with Stop() as stop:
        with Control() as control:
            info = control.get(name)
        with (
            Recorder(output, Conditions.now(info)) as recorder,
            bar as shown,
            # Last of all, so that nothing is lost while the others begin. Woken at a quarter of
            # what is kept, and looking without being woken in between.
            Samples(name, oldest=oldest, watermark=max(info.record_depth // 4, 1)) as samples,
        ):
            _check_same(info, samples.info)
            ended = _run(
                samples,
                recorder,
                stop,
                most=most,
                duration_ns=duration_ns,
                oldest=oldest,
                bar=shown,
            )
            # Neither signal does anything until the file is whole.
            done = recorder.finish(ended)
    if wanted or done.lost or ended not in (_ALL, _DURATION):
        click.echo(
            f"rtshm: {output}: {done.samples} samples, {done.lost} lost, "
            f"{done.missed} periods missed; {ended}",
            err=True,
        )


def _check_same(before: RegionInfo, opened: RegionInfo) -> None:
    """That the region is the one of which the conditions are."""
    if (before.id, before.record_bytes) != (opened.id, opened.record_bytes):
        raise OSError(errno.EAGAIN, "the region was changed meanwhile; try again", before.name)


def _run(
    samples: Samples,
    recorder: Recorder,
    stop: Stop,
    *,
    most: int | None,
    duration_ns: int | None,
    oldest: bool,
    bar: _Bar | None,
) -> str:
    """Record to the end; what ended it."""
    begin_ns = time.monotonic_ns()
    # By the clock of the samples, too: those after the end are not of the recording.
    end_ns = None if duration_ns is None else begin_ns + duration_ns
    chunk = max(1, min(_MOST, _MOST_BYTES // samples.sample_bytes))
    poll = select.poll()
    poll.register(samples.fileno(), select.POLLIN)
    ended = ""
    while not ended:
        now_ns = time.monotonic_ns()
        if stop.why:
            end_ns = min(now_ns, end_ns or now_ns)
        left_ns = SLICE * 1e9 if end_ns is None else min(SLICE * 1e9, max(end_ns - now_ns, 0))
        found = poll.poll(left_ns / 1e6)
        # Before the read: what came until the end is there for it.
        over = end_ns is not None and time.monotonic_ns() >= end_ns
        array = samples.read_array(min(chunk, (most or sys.maxsize) - recorder.samples), wait=False)
        if duration_ns is not None and not oldest and not recorder.samples and len(array):
            # What came since the samples were opened is of the duration.
            end_ns = min(int(array["time_ns"][0]) + duration_ns, end_ns or 0)
        if end_ns is not None:
            array = array[array["time_ns"] < end_ns]
        recorder.write(array)
        if recorder.samples == most:
            ended = _ALL
        elif not len(array) and found and found[0][1] & select.POLLHUP:
            ended = _DELETED
        elif not len(array) and over:
            ended = stop.why or _DURATION
        if bar:
            elapsed_ns = time.monotonic_ns() - begin_ns
            bar.show(recorder.samples, elapsed_ns, samples.lost, last=bool(ended))
    return ended


def _has_rich() -> bool:
    if importlib.util.find_spec("rich"):
        return True
    click.echo("rtshm: progress takes rich: pip install 'rtshm[record]'", err=True)
    return False


class _Bar:
    """How far it is, how fast, and what was lost."""

    def __init__(self, name: str, most: int | None, duration_ns: int | None) -> None:
        from rich.console import Console
        from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

        self._progress = Progress(
            TextColumn("{task.description}", markup=False),
            BarColumn(),
            TextColumn("{task.fields[samples]:,} samples"),
            TextColumn("{task.fields[rate]:,.0f} samples/s"),
            TextColumn("{task.fields[lost]:,} lost"),
            TimeElapsedColumn(),
            console=Console(stderr=True),
            auto_refresh=False,
        )
        self._by_samples = most is not None
        total = most if most is not None else duration_ns
        self._task = self._progress.add_task(name, total=total, samples=0, rate=0.0, lost=0)
        # When the rate was taken last, and of how many samples.
        self._mark = (0, 0)

    def show(self, samples: int, elapsed_ns: int, lost: int, *, last: bool) -> None:
        """Not more often than the eye reads; the last rate is that of all."""
        before_ns, before = (0, 0) if last else self._mark
        if not last and elapsed_ns - before_ns < _SHOW_NS:
            return
        rate = (samples - before) / max(elapsed_ns - before_ns, 1) * 1e9
        self._mark = (elapsed_ns, samples)
        self._progress.update(
            self._task,
            completed=samples if self._by_samples else elapsed_ns,
            samples=samples,
            rate=rate,
            lost=lost,
            refresh=True,
        )

    def __enter__(self) -> _Bar:
        self._progress.start()
        return self

    def __exit__(self, *exc: object) -> None:
        self._progress.stop()
