"""A live plot in a cell of JupyterLab, in a browser."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from contextlib import contextmanager
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import pytest
import rtshm
from rtshm import ExtraError, testing

from tests.lib import browser, guide

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

PATIENCE = 120

# That of docs/notebook.md, whose picture is live.png of this test.
(CELL,) = [each.text for each in guide.page("notebook")]
BOOK = {
    "cells": [
        {
            "cell_type": "code",
            "id": "live",
            "source": CELL,
            "outputs": [],
            "metadata": {},
            "execution_count": None,
        }
    ],
    "metadata": {"kernelspec": {"name": "python3", "display_name": "", "language": "python"}},
    "nbformat": 4,
    "nbformat_minor": 5,
}


def wait(until: Callable[[], Any]) -> Any:
    deadline = time.monotonic() + PATIENCE
    while not (found := until()):
        assert time.monotonic() < deadline
        time.sleep(0.1)
    return found


@contextmanager
def lab(folder: Path) -> Iterator[str]:
    """JupyterLab on a port of its own, with `folder` as its files; its address."""
    homes = ("HOME", "JUPYTER_CONFIG_DIR", "JUPYTER_RUNTIME_DIR", "IPYTHONDIR")
    environment = {**os.environ, **{name: str(folder / "home") for name in homes}}
    (folder / "home").mkdir()
    options = [
        *("--no-browser", "--allow-root", "--ip=127.0.0.1", "--port=0"),
        *("--IdentityProvider.token=", "--LabApp.expose_app_in_browser=True"),
        *("--LabApp.news_url=", "--LabApp.extension_manager=readonly"),
        "--LabApp.check_for_updates_class=jupyterlab.NeverCheckForUpdate",
    ]
    command = [sys.executable, "-m", "jupyterlab", *options, f"--notebook-dir={folder}"]
    with (
        open(folder / "log", "w") as log,
        subprocess.Popen(command, env=environment, stdout=log, stderr=log) as server,
    ):
        try:
            (said,) = wait(lambda: list((folder / "home").glob("jpserver-*.json")))
            yield json.loads(said.read_text())["url"]
        finally:
            # Which ends its kernels, too.
            server.terminate()


@pytest.mark.promise("recordings: A cell of JupyterLab draws the samples as they come")
@browser.needed
def test_cell_of_jupyterlab_draws_the_samples_as_they_come(tmp_path: Path) -> None:
    (tmp_path / "live.ipynb").write_text(json.dumps(BOOK))
    with lab(tmp_path) as url, browser.tab() as tab:
        page = tab.page
        page.set_default_timeout(PATIENCE * 1000)
        # The whole cell is in the picture.
        page.set_viewport_size({"width": 1200, "height": 1300})
        page.goto(f"{url}lab/tree/live.ipynb")
        session = "window.jupyterapp?.shell.currentWidget?.sessionContext"
        page.wait_for_function(f"{session}?.session?.kernel?.status == 'idle'")
        page.evaluate("void jupyterapp.commands.execute('notebook:run-all-cells')")
        page.wait_for_selector(".js-plotly-plot .ytick")
        data = "document.querySelector('.js-plotly-plot')._fullData"
        page.wait_for_function(f"{data}[0]._length > 100")
        names = page.evaluate(f"{data}.map(each => each.name)")
        assert names == ["speed", "axes[0]", "axes[1]", "lateness_ns"]
        first = page.evaluate(f"[...{data}[0].y]")
        assert {(b - a) % 100 for a, b in pairwise(first)} == {1}
        # It goes on, in the last two seconds.
        page.wait_for_function(f"{data}[0].y[0] != {first[0]}")
        seconds = page.evaluate(f"[...{data}[0].x]")
        assert -2 <= seconds[0] < seconds[-1] == 0
        axis = "document.querySelector('.js-plotly-plot .x3title').textContent"
        assert page.evaluate(axis) == "time, s; 0 is the newest sample"
        assert page.evaluate(f"{data}.length") == 4
        assert tab.foreign == []
        page.locator(".jp-Cell").first.screenshot(path=tmp_path / "live.png")


def test_plot_ends_with_the_region_or_when_it_is_stopped() -> None:
    motor = testing.region("speed:f64", name="motor", history=1000)
    plot = rtshm.Live(motor, seconds="100ms")
    wait(lambda: len(plot.figure.data[0].y) > 10)
    assert repr(plot) == "<rtshm.Live motor>"
    with pytest.raises(AttributeError):
        plot.fps = 5  # type: ignore[attr-defined]
    motor.delete()
    wait(lambda: plot.figure.layout.title.text.endswith("; the region was deleted"))
    plot.stop()
    assert repr(plot) == "<rtshm.Live motor stopped>"
    with testing.region("speed:f64", name="motor", history=1000) as motor:
        with rtshm.Live(motor) as plot:
            wait(lambda: len(plot.figure.data[0].y) > 10)
        count = len(plot.figure.data[0].y)
        assert plot.figure.layout.title.text.endswith("; stopped")
        for wrong in (0, "0s", -1):
            with pytest.raises(ValueError, match="give a time over 0"):
                rtshm.Live(motor, seconds=wrong)
        samples = motor.samples()
        with pytest.raises(ValueError, match="there is no field sped to draw"):
            rtshm.Live(samples, ["sped"])
        assert samples.closed
    assert len(plot.figure.data[0].y) == count


def test_missing_library_is_named_with_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "anywidget", None)
    with pytest.raises(ExtraError) as refused:
        rtshm.Live("motor")
    words = "a plot in a notebook takes anywidget: pip install 'rtshm[notebook]'"
    assert str(refused.value) == words
