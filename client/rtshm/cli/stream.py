"""rtshm stream: samples as they come, for programs that draw them."""

from __future__ import annotations

import re
from contextlib import ExitStack, closing
from typing import TYPE_CHECKING

import click

import rtshm
from rtshm.cli.parameters import names_argument, parsed
from rtshm.cli.stop import Stop
from rtshm.errors import need
from rtshm.samples import samples_every

if TYPE_CHECKING:
    from rtshm.recording.stream import Sink

# A picture has fewer a second.
_WAIT_SECONDS = 0.02
_PORTS = {"udp": 9870, "foxglove": 8765}


def _target(text: str) -> tuple[str, str, int]:
    """Kind, host and port. ValueError says what it may be."""
    if text == "-":
        return "-", "", 0
    match = re.fullmatch(r"(udp|foxglove)://(\[[0-9a-f:.]+\]|[^:/\[\]]*)(?::(\d{1,5}))?/?", text)
    port = match and int(match[3] or _PORTS[match[1]])
    if not match or port is None or port > 65535:
        raise ValueError(f"{text!r}: must be udp://HOST:PORT, foxglove://HOST:PORT or -")
    return match[1], match[2].strip("[]") or "127.0.0.1", port


@click.command()
@names_argument
@click.option("--to", metavar="URL", default="udp://127.0.0.1:9870", show_default=True,
              callback=parsed(_target),
              help="udp://HOST:PORT, foxglove://HOST:PORT, or - for standard output.")  # fmt: skip
@click.option("--every", metavar="N", type=click.IntRange(1), default=1, show_default=True,
              help="Send one of N ticks.")  # fmt: skip
def stream(names: tuple[str, ...], to: tuple[str, str, int], every: int) -> None:
    """Send the samples of regions to a program that draws them.

    With udp:// each sample is a datagram with a line of JSON, as PlotJuggler's
    UDP server reads it. With foxglove:// it is a WebSocket server for
    Foxglove, which can set the fields, too, as parameters. Any program that
    can connect can do that; without a host it listens on this machine only. It
    ends on Control-C, SIGTERM and SIGHUP, and when the regions are deleted.
    """
    need("numpy", "a stream", "numpy")
    from rtshm.recording.conditions import Conditions
    from rtshm.recording.stream import Foxglove, Lines, Udp
    from rtshm.recording.stream import stream as run

    kind, host, port = to
    with ExitStack() as stack, Stop() as stop:
        with rtshm.Control() as control:
            infos = [control.get(name) for name in names]
        readers = [
            (Conditions.now(info), stack.enter_context(samples_every(info, _WAIT_SECONDS)))
            for info in infos
        ]
        sink: Sink
        if kind == "udp":
            sink = Udp(host, port)
        elif kind == "foxglove":
            sink = Foxglove(host, port, [stack.enter_context(rtshm.open(name)) for name in names])
        else:
            sink = Lines(lambda text: click.echo(text, nl=False))
        with closing(sink):
            sent, why = run(readers, sink, every=every, stopped=lambda: stop.why)
        lost = sum(samples.lost for _, samples in readers)
    click.echo(f"rtshm: {', '.join(names)}: {sent} samples sent, {lost} lost; {why}", err=True)
