"""rtshm scope: fields of regions over time, live, or of a sweep that was saved."""

from __future__ import annotations

import itertools
import re
import select
import sys
import time
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

import rtshm
from rtshm.cli.fields import field_names, usage
from rtshm.cli.parameters import name_argument, parsed
from rtshm.cli.record import loaded, of_recording
from rtshm.cli.screen import has_screen, screen
from rtshm.device import once
from rtshm.errors import need
from rtshm.recording import FORMATS
from rtshm.recording.conditions import Conditions
from rtshm.samples import samples_every

if TYPE_CHECKING:
    import numpy
    from rich.text import Text

    from rtshm.recording.columns import Column
    from rtshm.recording.trigger import Sweep, Sweeper, Sweeps
    from rtshm.samples import Samples

    Array = numpy.ndarray[Any, numpy.dtype[Any]]

# A picture takes some milliseconds; more of them than these a second nobody sees.
FRAME_SECONDS = 0.1
_COLOURS = ("default", "orange", "green", "magenta", "cyan", "blue", "red", "gray")


def _before(text: str) -> tuple[int, bool]:
    """Samples, or per cent of a sweep."""
    match = re.fullmatch(r"(\d+)(%?)", text)
    if not match or (match[2] and int(match[1]) > 100):
        raise ValueError(f"{text!r} is neither a number of samples nor 0% to 100%")
    return int(match[1]), bool(match[2])


@click.command()
@name_argument
@click.argument("fields", metavar="[FIELD]...", nargs=-1, shell_complete=field_names)
@click.option("--with", "others", metavar="REGION", multiple=True,
              help="Another region in the same sweep; may be repeated.")  # fmt: skip
@click.option("--width", "--samples", metavar="N", type=click.IntRange(2, 1_000_000), default=500,
              show_default=True, help="Samples of a sweep.")  # fmt: skip
@click.option("--level", type=float, help="Begin a sweep where a field goes through this.")
@click.option("--trigger", metavar="FIELD", shell_complete=field_names,
              help="Field of the edge; default: the first.")  # fmt: skip
@click.option("--edge", type=click.Choice(["rising", "falling", "both"]), default="rising",
              show_default=True, help="Direction of the edge.")  # fmt: skip
@click.option("--pre", metavar="N|N%", callback=parsed(_before), default="25%",
              show_default=True, help="Part of a sweep before the edge.")  # fmt: skip
@click.option("--mode", type=click.Choice(["auto", "normal", "single"]), default="auto",
              show_default=True,
              help="Without an edge: auto sweeps, normal waits; single: one sweep.")  # fmt: skip
@click.option("--save", metavar="FILE", callback=parsed(of_recording),
              help="File for the key s: FILE.arrows, .mcap or .csv.")  # fmt: skip
def scope(
    name: str,
    fields: tuple[str, ...],
    others: tuple[str, ...],
    width: int,
    level: float | None,
    trigger: str | None,
    edge: str,
    pre: tuple[int, bool],
    mode: str,
    save: str | None,
) -> None:
    """Draw fields in the terminal, as an oscilloscope does.

    FIELD is one of the layout, as speed or axes[1], or one of a sample:
    some_int, lateness_ns, missed; default: the first of the layout. With
    several regions it is motor.speed. NAME may be a file with a sweep that was
    saved, or any recording.

    q leaves, space holds the picture and lets it go, t arms the trigger again,
    s saves the sweep. Of a recording n and p show the next and the previous
    sweep.
    """
    with usage():
        once((name, *others))
    if not has_screen():
        raise click.UsageError("scope needs a terminal, and not TERM=dumb; use rtshm record")
    if level is None and (mode != "auto" or trigger):
        raise click.UsageError("a trigger has a level: --level 0.5")
    for library in ("numpy", "plotext"):
        need(library, "scope", "scope")
    from rtshm.recording.columns import chosen, dtype_of
    from rtshm.recording.trigger import Edge, Mode, Sweeper, Sweeps, Trigger

    file = loaded(name) if Path(name).suffix in FORMATS else None
    with ExitStack() as stack:
        readers: list[Samples] = []
        if file is None:
            with rtshm.Control() as control:
                infos = [control.get(each) for each in (name, *others)]
            # Woken twice a picture, if samples come as fast.
            every = FRAME_SECONDS / 2
            readers = [stack.enter_context(samples_every(info, every)) for info in infos]
            begun = [Conditions.now(info) for info in infos]
        else:
            begun = [file[each].conditions for each in file.regions]
        try:
            curves = [
                each for headings in chosen(begun, fields or _first(begun)) for each in headings
            ]
            source = chosen(begun, [trigger])[0][0] if trigger else curves[0]
            before = pre[0] * width // 100 if pre[1] else pre[0]
            of_edge = None
            if level is not None:
                of_edge = Trigger(lambda rows: source.of(rows).astype("f8"), level, Edge(edge))
            # Of a recording all edges; without a level it is one sweep.
            sweeper = Sweeper(width, before, of_edge, Mode.NORMAL if file else Mode(mode))
        except ValueError as error:
            raise click.UsageError(str(error)) from error
        leading = source.region or 0
        # As long as it takes to make a sweep, at least, where this program is kept from reading.
        keep_ns = 4 * width * begun[leading].period_ns + 10 * 10**9
        sweeps = Sweeps(sweeper, leading, [dtype_of(each) for each in begun], keep_ns)
        view = View(begun, leading, curves, level if source in curves else None, save)
        if file is None:
            watch(readers, sweeps, view)
        else:
            arrays = [file[each].array for each in file.regions]
            page(_saved(arrays, begun, sweeps, leading, level), view)


def _first(begun: Sequence[Conditions]) -> list[str]:
    """The first field of each layout, some_int of a region without one."""
    from rtshm.recording.columns import groups
    from rtshm.samples import HEADER_NAMES

    found: dict[int, str] = {}
    for each, *_ in groups(begun).values():
        region = each.region or 0
        if each.root == "some_int" or each.root not in HEADER_NAMES:
            if found.get(region, "some_int").endswith("some_int"):
                found[region] = each.name
    return list(found.values())


def _saved(
    arrays: Sequence[Array],
    begun: Sequence[Conditions],
    sweeps: Sweeps,
    leading: int,
    level: float | None,
) -> list[Sweep]:
    """The sweeps of a recording; without a level all of it is one."""
    from rtshm.recording.trigger import Sweep

    if level is not None:
        return sweeps.feed(arrays, last=True)
    for array, conditions in zip(arrays, begun, strict=True):
        at = (array["tick"] == (conditions.edge_tick or 0)).nonzero()[0]
        if len(at):
            return [Sweep(array, int(at[0]), whole=True, parts=tuple(arrays))]
    return [Sweep(arrays[leading], None, whole=True, parts=tuple(arrays))]


@dataclass
class View:
    """What is drawn of a sweep, and where it is saved."""

    begun: Sequence[Conditions]
    leading: int
    curves: Sequence[Column]
    level: float | None
    path: str | None

    def draw(self, sweep: Sweep | None, status: str, width: int, height: int) -> Text:
        import numpy
        import plotext
        from rich.text import Text

        from rtshm.recording.plot import gaps, line

        plotext.clear_figure()
        plotext.theme("clear")
        plotext.plotsize(width, height - 1)
        regions = ", ".join(each.region for each in self.begun)
        plotext.title(f"{regions} {', '.join(each.name for each in self.curves)}")
        plotext.xlabel("ms")
        if sweep is not None:
            zero = int(sweep.rows["time_ns"][sweep.at or 0]) if len(sweep.rows) else 0
            lost = 0
            for each, colour in zip(self.curves, itertools.cycle(_COLOURS)):
                rows = sweep.parts[each.region or 0]
                values = each.of(rows).astype("f8")
                ms = (rows["time_ns"] - zero) / 1e6
                x, y = line(ms, values, gaps(rows["tick"])[0], width * 2)
                if numpy.isfinite(y).any():
                    label = each.name if len(self.curves) > 1 else None
                    options = {"marker": "braille", "label": label, "color": colour}
                    plotext.plot(x.tolist(), y.tolist(), **options)
                lost += int(numpy.count_nonzero(~numpy.isfinite(values)))
            if lost:
                status += f" {lost} not finite "
            if sweep.at is not None:
                plotext.vertical_line(0)
                if self.level is not None:
                    plotext.horizontal_line(self.level)
        text = Text.from_ansi(plotext.build())
        text.append("\n" if not text.plain.endswith("\n") else "")
        text.append(status[:width], style="reverse")
        text.no_wrap = True
        return text

    def save(self, sweep: Sweep | None) -> str:
        """Write a sweep as a recording, to a name that is free; what became of it."""
        if self.path is None:
            return "give --save FILE"
        if sweep is None:
            return "there is no sweep yet"
        path = Path(self.path)
        for number in itertools.count(2):
            if not path.exists():
                break
            path = path.with_stem(f"{Path(self.path).stem}-{number}")
        tick = None if sweep.at is None else int(sweep.rows["tick"][sweep.at])
        begun = list(self.begun)
        begun[self.leading] = replace(begun[self.leading], edge_tick=tick)
        try:
            with rtshm.Recorder(path, begun) as recorder:
                for number, rows in enumerate(sweep.parts):
                    recorder.write(rows, number)
                recorder.finish("a sweep")
        except OSError as error:
            return f"{path}: {error.strerror}"
        return f"saved {path.name}"


def watch(readers: Sequence[Samples], sweeps: Sweeps, view: View) -> None:
    """Until q, or the end of a region."""
    sweeper = sweeps.sweeper
    sweep: Sweep | None = None
    count = 0
    held = False
    said = ""
    ended: Samples | None = None
    order = sorted(range(len(readers)), key=lambda number: number != view.leading)
    with screen() as (key, live):
        painted = 0.0
        fresh = True
        while not ended:
            if ready := _ready(readers):
                # Of each what it has now, and of the leading one first: see Sweeps.feed().
                rows = {each: readers[each].read_array(100_000, wait=False) for each in order}
                ended = next((readers[each] for each in ready if not len(rows[each])), None)
                made = sweeps.feed([rows[number] for number in range(len(readers))])
                count += len(made)
                if made and not held:
                    sweep, fresh = made[-1], True
            for pressed in key():
                fresh = True
                if pressed == "q":
                    return
                if pressed == " ":
                    held = not held
                if pressed == "t":
                    sweeper.arm()
                said = view.save(sweep) if pressed == "s" else ""
            now = time.monotonic()
            if now - painted >= FRAME_SECONDS and (fresh or now - painted >= 1):
                lost = sum(reader.lost for reader in readers)
                status = _status(sweeper, sweep, count, held, f"lost {lost}  {said}")
                live.update(view.draw(sweep, status, *live.console.size), refresh=True)
                painted, fresh = now, False
    click.echo(f"{ended.path}: the region was deleted")


def page(sweeps: Sequence[Sweep], view: View) -> None:
    """Show the sweeps of a recording, until q."""
    at, said = 0, "" if sweeps else "no edge"
    with screen() as (key, live):
        while True:
            sweep = sweeps[at] if sweeps else None
            status = (
                f" sweep {at + 1} of {len(sweeps)}   q leaves  n next  p previous  s saves   {said}"
            )
            live.update(view.draw(sweep, status, *live.console.size), refresh=True)
            select.select([sys.stdin.fileno()], [], [], 1)
            for pressed in key():
                if pressed == "q":
                    return
                at += {"n": 1, "p": -1}.get(pressed, 0)
                at = min(max(at, 0), max(len(sweeps) - 1, 0))
                said = view.save(sweep) if pressed == "s" else ""


def _status(sweeper: Sweeper, sweep: Sweep | None, sweeps: int, held: bool, said: str) -> str:
    if held:
        state = "held"
    elif sweeper.stopped:
        state = "stopped"
    elif sweep is None:
        state = "waits"
    else:
        state = "no edge" if sweep.at is None else "triggered"
    gap = "" if sweep is None or sweep.whole else ", a gap ended it"
    return (
        f" {sweeper.mode} {state}  sweeps {sweeps}{gap}  {said}"
        "   q leaves  space holds  s saves  t arms "
    )


def _ready(readers: Sequence[Samples]) -> list[int]:
    """Wait for samples, or a key; the numbers of those that have samples."""
    fds = [reader.fileno() for reader in readers]
    readable, _, _ = select.select([*fds, sys.stdin.fileno()], [], [], FRAME_SECONDS)
    return [fds.index(fd) for fd in readable if fd in fds]
