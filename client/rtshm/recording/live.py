"""A region as a live plot in a cell of a notebook: plotly's widget, which anywidget shows."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Self

import numpy

from rtshm import durations
from rtshm.errors import need
from rtshm.handle import polled
from rtshm.recording import Recording
from rtshm.recording.columns import Counts, joined
from rtshm.recording.conditions import Conditions
from rtshm.recording.plot import Drawn, zoomable
from rtshm.region import Region
from rtshm.samples import Samples

if TYPE_CHECKING:
    from rtshm.durations import Timeout

FRAME_SECONDS = 0.2
"""Between two pictures: a browser takes some tens of milliseconds for one."""
# Of a line, as many as a cell has pixels.
_PIECES = 500
# Of an array that is read at once.
_MOST = 1 << 14


class Live:
    """Draw the samples of a region as they come, in a cell of a notebook.

    `region` is a name, a Region, or Samples, which this object reads and
    closes. The plot has the last `seconds` (a number, a
    timedelta or a text); `fields` are what
    rtshm.recording.plot.figure() takes. A thread updates it until stop(), or
    until the region is deleted.

    >>> import rtshm.testing
    >>> with rtshm.testing.region("speed:f64 axes:i32[2]", history=1000) as motor:
    ...     with Live(motor, ["speed", "axes[1]"], seconds=5) as live:
    ...         pass                                # in a cell: live.figure

    Raises OSError, ValueError for a field that is unknown or not a number, and
    ExtraError if plotly or anywidget is not installed.
    """

    __slots__ = {
        **dict.fromkeys("_conditions _fields _rows _samples _stop _thread _window_ns".split()),
        "figure": "The plotly.graph_objects.FigureWidget.",
    }

    def __init__(
        self,
        region: str | Region[Any] | Samples,
        fields: Sequence[str] | None = None,
        *,
        seconds: Timeout = 10.0,
    ) -> None:
        for library in ("plotly", "anywidget"):
            need(library, "a plot in a notebook", "notebook")
        from plotly.graph_objects import FigureWidget

        window = durations.seconds(seconds)
        if not window or window < 0:
            raise ValueError(f"seconds: {seconds!r}; give a time over 0")
        if isinstance(region, Region):
            region = region.samples()
        self._samples = region if isinstance(region, Samples) else Samples(region)
        self._window_ns = round(window * 1e9)
        try:
            self._conditions = Conditions.now(self._samples.info)
            self._rows = numpy.zeros(0, self._samples.dtype)
            none = Drawn(Recording.of(self._conditions, self._rows), fields)
            self.figure = FigureWidget(zoomable(none, "scatter"))
        except BaseException:
            self._samples.close()
            raise
        # The same panels, whatever changes later.
        self._fields = [none.name(headings) for headings in none.panels]
        self.figure.update_xaxes(range=[-window, 0])
        last = {"title_text": "time, s; 0 is the newest sample", "row": len(self._fields) + 1}
        self.figure.update_xaxes(**last)
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Stop the updates and keep the plot."""
        self._stop.set()
        self._thread.join()

    def __repr__(self) -> str:
        # It is over, too, when the region was deleted.
        state = " stopped" if self._samples.closed else ""
        return f"<rtshm.Live {self._samples.name}{state}>"

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.stop()

    def _run(self) -> None:
        why = "stopped"
        with self._samples:
            while not self._stop.wait(FRAME_SECONDS):
                try:
                    over = bool(polled(self._samples.fileno()))
                    self._read()
                    self._draw()
                except Exception as error:
                    why = str(error)
                    break
                if over:
                    why = "the region was deleted"
                    break
        self.figure.update_layout(title_text=f"{self.figure.layout.title.text}; {why}")

    def _read(self) -> None:
        """What came, without what has left the window."""
        parts = [self._rows]
        while len(parts[-1]) == _MOST or len(parts) == 1:
            parts.append(self._samples.read_array(_MOST, wait=False))
        rows = joined(self._rows.dtype, parts)
        if len(rows):
            times = rows["time_ns"]
            rows = rows[times > times[-1] - self._window_ns].copy()
        self._rows = rows

    def _draw(self) -> None:
        conditions = Counts().and_of(self._rows).put_into(self._conditions, "")
        drawn = Drawn(Recording.of(conditions, self._rows), self._fields)
        lines = [drawn.line(heading, _PIECES) for heading in drawn.shown()]
        with self.figure.batch_update():
            for trace, (x, y) in zip(self.figure.data, lines, strict=True):
                trace.x, trace.y = x - drawn.high, y
            self.figure.layout.title.text = drawn.count()

    def _repr_mimebundle_(self, **options: Any) -> Any:
        return self.figure._repr_mimebundle_(**options)
