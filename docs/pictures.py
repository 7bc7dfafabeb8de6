"""The pictures of these pages that no other program makes: python3 docs/pictures.py

word.svg         the word, and who stores and loads it
performance.svg  bars of the figures that performance.md has in its table
terminal.svg     what `rtshm scope` draws of the step in step.npz, which `make demo-task` records
"""

from __future__ import annotations

import html
import io
import os
import re
import sys
from pathlib import Path

from rtshm.recording.conditions import Conditions

HERE = Path(__file__).parent
sys.path.append(str(HERE.parent))

from bench import summary  # noqa: E402

CELL = 70
TOP = 80
SIZE = (100, 28)
# Of a recording that begins as the samples of the step do.
STEP = Conditions(
    region="pi",
    layout="setpoint:q16 kp:q16 ki:q16 output:q16 error:q16 drive:q16",
    record_bytes=32,
    period_ns=1_000_000,
    started_ns=0,
    started_monotonic_ns=0,
    kernel="",
    preemption="",
    clocksource="",
    virtualization="",
    governor="",
    version="",
)


def word() -> str:
    """The eight bytes of the word, with the store above and the tick below."""
    width = 8 * CELL + 40
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} 250"'
        ' font-family="sans-serif" font-size="14" text-anchor="middle">',
        f'<rect width="{width}" height="250" fill="#fff"/>',
    ]

    def box(first: int, count: int, fill: str, name: str, note: str) -> None:
        left, wide = 20 + first * CELL, count * CELL
        middle = left + wide / 2
        parts.append(
            f'<rect x="{left}" y="{TOP}" width="{wide}" height="60" fill="{fill}"'
            ' stroke="#47536b"/>'
            f'<text x="{middle}" y="{TOP + 27}" font-weight="bold">{name}</text>'
            f'<text x="{middle}" y="{TOP + 46}" font-size="12" fill="#555">{note}</text>'
        )

    def brace(y: int, text: str) -> None:
        tip = 8 if y < TOP else -8
        parts.append(
            f'<path d="M20,{y + tip} V{y} H{20 + 8 * CELL} V{y + tip}" fill="none"'
            ' stroke="#d95f02" stroke-width="2"/>'
            f'<text x="{width / 2}" y="{y - 8 if y < TOP else y + 20}">{text}</text>'
        )

    box(0, 4, "#fdece0", "some_int", "the value, 32 bits")
    box(4, 1, "#fdece0", "ready", "the flag")
    box(5, 3, "#f3f5f9", "pad", "0")
    for byte in range(8):
        left = 20 + byte * CELL + CELL / 2
        parts.append(f'<text x="{left}" y="{TOP + 78}" font-size="11" fill="#555">{byte}</text>')
    brace(TOP - 20, "publish(42): one store of 8 bytes, value and ready = 1")
    brace(TOP + 100, "a tick: one load of 8 bytes, then compare-and-exchange to ready = 0")
    parts.append(
        f'<text x="{width / 2}" y="{TOP + 148}" font-size="12" fill="#555">'
        "If a newer value was stored in between, the exchange fails and the next tick takes it."
        "</text></svg>"
    )
    return "\n".join(parts) + "\n"


def terminal(step: Path) -> str:
    """The step as `rtshm scope` draws it."""
    import numpy
    from rich.console import Console
    from rtshm.cli.scope import View, _saved
    from rtshm.recording.columns import chosen, dtype_of
    from rtshm.recording.trigger import Edge, Mode, Sweeper, Sweeps, Trigger

    samples = numpy.load(step)["samples"]
    curves = [chosen([STEP], [name])[0][0] for name in ("drive", "setpoint", "output")]
    at = Trigger(lambda rows: curves[2].of(rows).astype("f8"), 0.5, Edge("rising"))
    sweeps = Sweeps(Sweeper(400, 100, at, Mode.NORMAL), 0, [dtype_of(STEP)], 10**10)
    (sweep,) = _saved([samples], [STEP], sweeps, 0, 0.5)
    # plotext draws no larger than the terminal that it believes to have.
    os.environ.update(COLUMNS=str(SIZE[0]), LINES=str(SIZE[1]))
    console = Console(width=SIZE[0], record=True, file=io.StringIO(), force_terminal=True)
    view = View([STEP], 0, curves, 0.5, None)
    console.print(view.draw(sweep, " normal triggered  sweeps 1  lost 0   q leaves ", *SIZE))
    made = console.export_svg(title="rtshm scope pi drive setpoint output --level 0.5")
    # Without what rich has a browser load from the network, its font, and the link to its home.
    made = re.sub(r"@font-face \{.*?\}\s*|<!--.*?-->\s*", "", made, flags=re.DOTALL)
    return re.sub(
        r'x="([\d.]+)"( y="[\d.]+") textLength="([\d.]+)"(.*?>)(.*?)</text>', placed, made
    )


def placed(text: re.Match[str]) -> str:
    """Give each character its place: a font need not have braille as wide as letters."""
    x, y, length, rest, escaped = text.groups()
    count = len(html.unescape(escaped))
    places = " ".join(f"{float(x) + number * float(length) / count:.1f}" for number in range(count))
    return f'x="{places}"{y}{rest}{escaped}</text>'


if __name__ == "__main__":
    (HERE / "word.svg").write_text(word())
    (HERE / "performance.svg").write_text(summary.picture((HERE / "performance.md").read_text()))
    if sys.argv[1:]:
        (HERE / "terminal.svg").write_text(terminal(Path(sys.argv[1])))
