"""rtshm scope: a field of a region over time, live."""

from __future__ import annotations

import os
import re
import select
import sys
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import click

import rtshm
from rtshm.cli.parameters import name_argument
from rtshm.cli.screen import keys

if TYPE_CHECKING:
    from collections.abc import Callable

    import numpy
    from rich.text import Text

    from rtshm.recording.trigger import Sweep, Sweeper
    from rtshm.samples import Samples

    Array = numpy.ndarray[Any, numpy.dtype[Any]]

# A picture takes some milliseconds; more of them than these a second nobody sees.
FRAME_SECONDS = 0.1
ELEMENT = re.compile(r"(\w+)(?:\[(\d+)\])?")


class Before(click.ParamType):  # type: ignore[type-arg]  # has none before click 8.2
    """Samples, or per cent of a sweep."""

    name = "before"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        match = re.fullmatch(r"(\d+)(%?)", str(value))
        if not match or (match[2] and int(match[1]) > 100):
            self.fail(f"{value!r} is neither a number of samples nor 0% to 100%", param, ctx)
        return int(match[1]), bool(match[2])


@click.command()
@name_argument
@click.argument("field", required=False)
@click.option("--width", "--samples", metavar="N", type=click.IntRange(2, 1_000_000), default=500,
              show_default=True, help="Samples of a sweep.")  # fmt: skip
@click.option("--level", type=float, help="Begin a sweep where a field goes through this.")
@click.option("--trigger", metavar="FIELD", help="The field that does; FIELD if not given.")
@click.option("--edge", type=click.Choice(["rising", "falling", "both"]), default="rising",
              show_default=True, help="Which way.")  # fmt: skip
@click.option("--pre", metavar="N|N%", type=Before(), default="25%", show_default=True,
              help="So much of a sweep is before the edge.")  # fmt: skip
@click.option("--mode", type=click.Choice(["auto", "normal", "single"]), default="auto",
              show_default=True, help="Sweeps without an edge, too, or only one.")  # fmt: skip
def scope(
    name: str,
    field: str | None,
    width: int,
    level: float | None,
    trigger: str | None,
    edge: str,
    pre: tuple[int, bool],
    mode: str,
) -> None:
    """Watch a field of a region's history in the terminal, as on an oscilloscope.

    FIELD is one of the layout, as speed or axes[1], or one of a sample:
    some_int, lateness_ns, missed. If it is not given, the first of the layout.

    q leaves, space holds the picture and lets it go, t arms the trigger again.
    """
    if not (sys.stdin and sys.stdin.isatty() and sys.stdout and sys.stdout.isatty()):
        raise click.UsageError("scope needs a terminal; without one, rtshm record")
    if os.environ.get("TERM", "dumb") in ("dumb", ""):
        raise click.UsageError("this terminal cannot be painted (TERM=dumb); use rtshm record")
    if level is None and (mode != "auto" or trigger):
        raise click.UsageError("a trigger has a level: --level 0.5")
    try:
        import plotext  # noqa: F401
        import rich  # noqa: F401

        from rtshm.recording.trigger import Edge, Mode, Sweeper, Trigger
    except ImportError as error:
        raise click.UsageError(f"scope takes {error.name}: pip install 'rtshm[scope]'") from None

    with rtshm.Control() as control:
        info = control.get(name)
    # Woken twice a picture, if samples come as fast.
    watermark = FRAME_SECONDS * 1e9 / 2 / info.period_ns
    with rtshm.Samples(
        name,
        watermark=int(min(max(watermark, 1), max(info.record_depth // 2, 1))),
        wait=FRAME_SECONDS / 2,
    ) as samples:
        shown, values = column(samples.dtype, field)
        source = column(samples.dtype, trigger)[1] if trigger else values
        before = pre[0] * width // 100 if pre[1] else pre[0]
        try:
            sweeper = Sweeper(
                width,
                before,
                None if level is None else Trigger(source, level, Edge(edge)),
                Mode(mode),
            )
        except ValueError as error:
            raise click.UsageError(f"--pre: {error}") from None
        drawn_level = level if source is values or trigger == shown else None
        watch(samples, sweeper, Picture(f"{name} {shown}", values, drawn_level))


def column(
    dtype: numpy.dtype[numpy.void], name: str | None
) -> tuple[str, Callable[[Array], Array]]:
    """A field of samples of this type, and what takes its numbers out of them."""
    names = dtype.names or ()
    if name is None:
        # Behind ready those of the layout begin.
        name = names[names.index("ready") + 1 :][0] if names[-1] != "ready" else "some_int"
    match = ELEMENT.fullmatch(name)
    if not match or match[1] not in names:
        raise click.UsageError(f"there is no field {name!r}; there are {', '.join(names)}")
    fields = dtype.fields
    assert fields is not None
    kind, index = fields[match[1]][0], match[2]
    if len(kind.shape) > (index is not None) or kind.base.kind not in "biuf":
        hint = f"; one of it: {match[1]}[0]" if kind.base.kind in "biuf" else ""
        raise click.UsageError(f"{name} is no number{hint}")
    if index is not None and (not kind.shape or int(index) >= kind.shape[0]):
        raise click.UsageError(f"{match[1]} has no element {index}")

    def values(rows: Array) -> Array:
        whole: Array = rows[match[1]]
        return (whole if index is None else whole[:, int(index)]).astype("f8")

    return name, values


@dataclass
class Picture:
    """A sweep as text."""

    title: str
    values: Callable[[Array], Array]
    level: float | None

    def draw(self, sweep: Sweep | None, status: str, width: int, height: int) -> Text:
        import numpy
        import plotext
        from rich.text import Text

        plotext.clear_figure()
        plotext.theme("clear")
        plotext.plotsize(width, height - 1)
        plotext.title(self.title)
        plotext.xlabel("ms")
        if sweep is not None:
            times = sweep.rows["time_ns"].astype("i8")
            edge = 0 if sweep.at is None else sweep.at
            x = ((times - times[edge]) / 1e6).tolist()
            values = self.values(sweep.rows)
            finite = numpy.isfinite(values)
            # More than that has no axis.
            shown = numpy.where(finite, values, numpy.nan).clip(-1e300, 1e300)
            if finite.any():
                plotext.plot(x, shown.tolist(), marker="braille")
            if not finite.all():
                status += f" {numpy.count_nonzero(~finite)} not finite "
            if sweep.at is not None:
                plotext.vertical_line(0)
                if self.level is not None:
                    plotext.horizontal_line(self.level)
        text = Text.from_ansi(plotext.build())
        text.append("\n" if not text.plain.endswith("\n") else "")
        text.append(status[:width], style="reverse")
        text.no_wrap = True
        return text


def watch(samples: Samples, sweeper: Sweeper, picture: Picture) -> None:
    """Until q, or the region's end."""
    from rich.console import Console
    from rich.live import Live

    console = Console()
    sweep: Sweep | None = None
    sweeps = 0
    held = False
    ended = False
    with keys() as key, Live(console=console, screen=True, auto_refresh=False) as live:
        painted = 0.0
        fresh = True
        while not ended:
            ready = _wait(samples, FRAME_SECONDS)
            if ready:
                rows = samples.read_array(100_000)
                ended = len(rows) == 0
                made = sweeper.feed(rows)
                sweeps += len(made)
                if made and not held:
                    sweep = made[-1]
                    fresh = True
            for pressed in key():
                fresh = True
                if pressed == "q":
                    return
                if pressed == " ":
                    held = not held
                if pressed == "t":
                    sweeper.arm()
            now = time.monotonic()
            if now - painted >= FRAME_SECONDS and (fresh or now - painted >= 1):
                status = _status(sweeper, sweep, sweeps, held, samples.lost)
                live.update(picture.draw(sweep, status, *console.size), refresh=True)
                painted, fresh = now, False
    click.echo(f"{samples.path}: the region was deleted")


def _status(sweeper: Sweeper, sweep: Sweep | None, sweeps: int, held: bool, lost: int) -> str:
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
        f" {sweeper.mode} {state}  sweeps {sweeps}{gap}  lost {lost}"
        "   q leaves  space holds  t arms "
    )


def _wait(samples: Samples, seconds: float) -> bool:
    """For samples, or a key; whether there are samples."""
    readable, _, _ = select.select([samples.fileno(), sys.stdin.fileno()], [], [], seconds)
    return samples.fileno() in readable
