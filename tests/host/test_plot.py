"""Pictures of recordings: what is on them, by matplotlib's own objects, and as files."""

from __future__ import annotations

import re
import sys
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy
import pytest
import rtshm
from matplotlib import image
from rtshm import ExtraError
from rtshm.recording import Recording, plot
from rtshm.recording.plot import Lateness
from rtshm.recording.recorder import Recorder

from tests.host.cli import run
from tests.host.recordings import TEXT, begun, made, written
from tests.lib import browser

if TYPE_CHECKING:
    from pathlib import Path

    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

FIELDS = ["speed", "gain", "mode", "ok", "state", "axes", "grid", "pose.x", "pose.y"]
"""Of TEXT, those before an array of structs."""


def titles(drawn: Figure) -> list[str]:
    return [axes.get_title("left") for axes in drawn.axes]


def texts(drawn: Figure) -> str:
    """All that stands around the panels."""
    return "\n".join(text.get_text() for text in drawn.texts)


def lines(axes: Axes) -> list[numpy.ndarray[tuple[int, ...], numpy.dtype[numpy.float64]]]:
    """The values of each line."""
    return [numpy.asarray(line.get_ydata(), float) for line in axes.lines]


@pytest.fixture(scope="module")
def recording() -> Recording:
    made_up = made(TEXT, 500, lost=[(100, 50), (300, 1)])
    conditions = replace(made_up.conditions, preemption="PREEMPT_RT", kernel="6.12-rt")
    return Recording.of(conditions, made_up.array)


@pytest.fixture(scope="module")
def drawn(recording: Recording) -> Figure:
    return plot.figure(recording, FIELDS)


@pytest.mark.promise(
    "recordings: A picture shows each field, each gap and a spike of one sample among a million"
)
def test_each_field_has_a_panel_and_the_elements_of_an_array_share_one(drawn: Figure) -> None:
    assert titles(drawn)[:-1] == FIELDS
    panels = dict(zip(FIELDS, drawn.axes, strict=False))
    assert [len(lines(panels[name])) for name in FIELDS] == [1, 1, 1, 1, 1, 2, 4, 1, 1]
    legend = panels["grid"].get_legend()
    assert legend
    assert [text.get_text() for text in legend.get_texts()] == [
        "[0][0]", "[0][1]", "[1][0]", "[1][1]",
    ]  # fmt: skip
    assert panels["pose.y"].get_xlabel() == "time since the first sample"


def test_values_of_enums_flags_and_bools_have_their_names(drawn: Figure) -> None:
    labels = {
        name: [text.get_text() for text in axes.get_yticklabels()]
        for name, axes in zip(FIELDS, drawn.axes, strict=False)
    }
    # A value without a name is its number.
    assert labels["mode"] == ["off", "on", "2"]
    assert labels["state"] == ["0", "run", "fault", "run|fault", "4"]
    assert labels["ok"] == ["false", "true"]


@pytest.mark.promise(
    "recordings: A picture shows each field, each gap and a spike of one sample among a million"
)
def test_line_has_the_values_and_is_broken_where_samples_are_lost(
    recording: Recording, drawn: Figure
) -> None:
    (values,) = lines(drawn.axes[0])
    assert numpy.isnan(values).sum() == 2
    assert values[~numpy.isnan(values)].tolist() == recording.array["speed"].tolist()
    for axes in drawn.axes[:-1]:
        (gaps,) = [one for one in axes.collections if one.get_gid() == "gaps"]
        begins = [float(path.get_extents().x0) for path in gaps.get_paths()]
        assert begins == pytest.approx([0.099, 0.299], abs=1e-4)
    shown = [text.get_text() for text in drawn.axes[0].texts]
    assert shown == ["▮ 51 samples lost at 2 places"]


def test_recording_without_a_loss_shows_none() -> None:
    whole = plot.figure(made("speed:f64", 100))
    assert not whole.axes[0].collections
    assert not whole.axes[0].texts


@pytest.mark.promise(
    "recordings: A picture has the histogram of lateness, its percentiles and the conditions"
)
def test_histogram_has_every_tick_and_the_percentiles(recording: Recording, drawn: Figure) -> None:
    axes = drawn.axes[-1]
    assert (axes.get_xlabel(), axes.get_ylabel()) == ("lateness of a tick", "ticks")
    assert (axes.get_xscale(), axes.get_yscale()) == ("log", "log")
    assert sum(patch.get_height() for patch in axes.patches) == len(recording.array)  # type: ignore[attr-defined]
    lateness = Lateness.of(recording)
    assert lateness
    marks = [float(numpy.asarray(line.get_xdata())[0]) for line in axes.lines]
    assert marks == [lateness.p50_ns, lateness.p99_ns, lateness.p9999_ns]
    named = re.findall(r"(\S+)  (\S+ [num]s)", axes.get_title("left"))
    assert named == [(name, plot.time_text(ns)) for name, ns in lateness.named()]


def test_percentiles_are_latenesses_that_were_measured() -> None:
    recording = made("", 10_000)
    recording.array["lateness_ns"] = numpy.arange(1, 10_001)
    assert Lateness.of(recording) == Lateness(1, 5000, 9900, 9999, 10_000)
    assert Lateness.of(made("", 0)) is None


@pytest.mark.promise(
    "recordings: A picture has the histogram of lateness, its percentiles and the conditions"
)
def test_title_and_caption_tell_the_conditions(recording: Recording, drawn: Figure) -> None:
    title = drawn.get_suptitle()
    assert title == "motor: 449 samples in 0.499 s, 51 lost, 0 periods missed"
    caption = texts(drawn)
    for words in (
        "period 1 ms (1000 ticks/s)",
        "kernel 6.12-rt",
        "preemption PREEMPT_RT",
        f"clock source {recording.conditions.clocksource}",
        f"virtual machine: {recording.conditions.virtualization}",
        f"cpu governor {recording.conditions.governor}",
        "layout speed:f64 gain:f32",
    ):
        assert words in caption


@pytest.mark.promise(
    "recordings: A picture shows each field, each gap and a spike of one sample among a million"
)
def test_spike_of_one_sample_among_a_million_is_drawn() -> None:
    recording = made("speed:f64", 1_000_000, lost=[(700_000, 5)])
    recording.array["speed"][123_456] = 1000
    (values,) = lines(plot.figure(recording, ["speed"]).axes[0])
    assert len(values) < 10_000
    assert numpy.nanmax(values) == 1000
    assert numpy.nanmin(values) == recording.array["speed"].min()
    assert numpy.isnan(values).sum() == 1


@pytest.mark.promise(
    "recordings: A picture shows each field, each gap and a spike of one sample among a million"
)
@pytest.mark.parametrize("count", [500, 20_000])
@pytest.mark.filterwarnings("error::RuntimeWarning")
def test_values_that_are_not_finite_are_gaps_and_are_counted(tmp_path: Path, count: int) -> None:
    recording = made("speed:f64 axes:f32[2]", count)
    speed = recording.array["speed"].copy()
    recording.array["speed"][::10] = numpy.nan
    recording.array["speed"][5] = numpy.inf
    recording.array["axes"][7, 1] = -numpy.inf
    drawn = plot.figure(recording, ["speed", "axes[1]"])
    assert titles(drawn)[:2] == [
        f"speed ({count // 10 + 1:,} not finite)",
        "axes[1] (1 not finite)",
    ]
    (values,) = lines(drawn.axes[0])
    assert numpy.nanmax(values) == pytest.approx(speed.max(), abs=1e-4)
    low, high = drawn.axes[0].get_ylim()
    assert low < speed.min() < speed.max() < high < 1
    recording.array["speed"][8:10] = 1.7e308, -1.7e308
    plot.save(recording, tmp_path / "run.png")
    plot.save(recording, tmp_path / "run.html")


def test_regions_are_drawn_on_one_time_line(tmp_path: Path) -> None:
    recordings = made("speed:f64", 100), made("at:f64", 60, [(10, 4)], name="axis2")
    with Recorder(tmp_path / "run.arrows", begun(*recordings)) as recorder:
        for number, each in enumerate(recordings):
            recorder.write(each.array, number)
        recorder.finish("test")
    both = rtshm.load(tmp_path / "run.arrows")
    drawn = plot.figure(both, ["motor.speed", "axis2.at"])
    assert titles(drawn)[:2] == ["motor.speed", "axis2.at"]
    assert [len(values) for axes in drawn.axes[:2] for values in lines(axes)] == [100, 57]
    assert [len(axes.collections) for axes in drawn.axes[:2]] == [0, 1]
    named = drawn.axes[2].get_title("left")
    assert re.fullmatch(r"motor:  min .* max .*\naxis2:  min .* max .*", named)
    assert "axis2: period 1 ms" in texts(drawn)
    assert drawn.get_suptitle().startswith("motor, axis2: 156 samples in 0.099 s, 4 lost")
    arguments = ["plot", str(tmp_path / "run.arrows"), "-o", str(tmp_path / "run.html")]
    assert run(*arguments).returncode == 0
    assert '"name":"motor.speed"' in (tmp_path / "run.html").read_text()
    assert run(*arguments, "--region", "axis3").returncode == 2
    assert run(*arguments, "--region", "axis2").returncode == 0
    assert '"name":"at"' in (tmp_path / "run.html").read_text()


@pytest.mark.promise("scope: A sweep of several regions is saved and loaded again")
def test_time_of_a_sweep_is_counted_from_its_edge(tmp_path: Path) -> None:
    made_up = made("speed:f64", 100)
    sweep = Recording.of(replace(made_up.conditions, edge_tick=31), made_up.array)
    (panel, _) = plot.figure(sweep, ["speed"]).axes
    assert panel.get_xlim() == pytest.approx((-0.030, 0.069), abs=1e-4)
    assert panel.get_xlabel() == "time since the edge"
    (edge,) = [line for line in panel.lines if line.get_gid() == "edge"]
    assert list(numpy.asarray(edge.get_xdata())) == [0, 0]
    plot.save(sweep, tmp_path / "sweep.html")
    assert "time since the edge, s" in (tmp_path / "sweep.html").read_text()


def test_more_fields_than_there_is_room_for_are_named_and_may_be_chosen() -> None:
    recording = made(" ".join(f"f{index}:f64" for index in range(14)), 10)
    recording.array["some_int"] = 0
    drawn = plot.figure(recording)
    assert titles(drawn)[:-1] == [f"f{index}" for index in range(12)]
    assert "not drawn: f12, f13" in texts(drawn)
    assert titles(plot.figure(recording, ["f13", "some_int"]))[:-1] == ["f13", "some_int"]
    with pytest.raises(ValueError, match="no field f14 to draw; there are tick, "):
        plot.figure(recording, ["f14"])


def test_value_is_drawn_if_it_changes_or_is_the_only_one() -> None:
    recording = made("speed:f64", 10)
    assert titles(plot.figure(recording))[:-1] == ["some_int", "speed"]
    recording.array["some_int"] = 5
    assert titles(plot.figure(recording))[:-1] == ["speed"]
    assert titles(plot.figure(made("", 10)))[:-1] == ["some_int"]


def test_fields_with_commas_between_them_share_a_panel(tmp_path: Path) -> None:
    one, other = made("target:f64 axes:i32[2]", 100), made("at:f64", 100, [(50, 5)], "axis2")
    with Recorder(tmp_path / "run.arrows", begun(one, other)) as recorder:
        recorder.write(one.array)
        recorder.write(other.array, 1)
        recorder.finish("test")
    run = rtshm.load(tmp_path / "run.arrows")
    drawn = plot.figure(run, ["motor.target,axis2.at,motor.axes[1]", "motor.axes"])
    assert titles(drawn)[:-1] == ["motor.target, axis2.at, motor.axes[1]", "motor.axes"]
    both, axes = drawn.axes[:2]
    for panel, labels in (
        (both, ["motor.target", "axis2.at", "motor.axes[1]"]),
        (axes, ["[0]", "[1]"]),
    ):
        legend = panel.get_legend()
        assert legend
        assert [text.get_text() for text in legend.get_texts()] == labels
    # The gap of the second region is in the panel that has it.
    gaps = [[each.get_gid() for each in panel.collections] for panel in (both, axes)]
    assert gaps == [["gaps"], []]
    with pytest.raises(ValueError, match="no field axis2"):
        plot.figure(run, ["motor.target,axis2.on"])
    plot.save(run, tmp_path / "run.html", ["motor.target,axis2.at"])
    page = (tmp_path / "run.html").read_text()
    assert "motor.target, axis2.at" in page


def test_values_of_enums_that_share_a_panel_are_numbers() -> None:
    made_up = made("mode:u8{off=0,on=1} state:u8{run=1} ok:bool well:bool", 10)
    labels = [
        [text.get_text() for text in axes.get_yticklabels()]
        for axes in plot.figure(made_up, ["mode,state", "ok,well"]).axes
    ]
    assert "on" not in labels[0]
    assert labels[1] == ["false", "true"]


@pytest.mark.parametrize("count", [0, 1, 2])
def test_recording_of_few_samples_is_drawn(tmp_path: Path, count: int) -> None:
    plot.save(made(TEXT, count), tmp_path / "run.png")
    assert (tmp_path / "run.png").stat().st_size > 10_000


def test_png_is_a_picture_that_is_not_blank(tmp_path: Path, recording: Recording) -> None:
    written(recording, tmp_path / "run.csv")
    done = run("plot", str(tmp_path / "run.csv"), "-o", str(tmp_path / "run.png"))
    assert (done.returncode, done.stdout) == (0, "")
    assert done.stderr == (
        f"rtshm: {tmp_path}/run.png: motor: 449 samples in 0.499 s, 51 lost, 0 periods missed; "
        f"fields some_int | {' | '.join([*FIELDS, 'points[0].x', 'points[0].y'])}\n"
    )
    pixels = image.imread(tmp_path / "run.png")
    height, width = pixels.shape[:2]
    assert (width, height > 1000) == (1320, True)
    ink = (pixels[..., :3] < 0.9).any(axis=2)
    # In every panel, and in the caption.
    for band in numpy.array_split(ink, 12):
        assert 0.005 < band.mean() < 0.6
    # The blue of a line, and the red of a gap.
    for colour in ("#0072b2", plot.GAP):
        wanted = [int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5)]
        assert (numpy.abs(pixels[..., :3] - wanted).max(axis=2) < 0.02).sum() > 100


@pytest.mark.promise("recordings: An HTML picture is one file that needs no network")
def test_html_is_a_page_by_itself_with_the_figures(tmp_path: Path, recording: Recording) -> None:
    plot.save(recording, tmp_path / "run.html")
    page = (tmp_path / "run.html").read_text()
    # Nothing is loaded, not even the library that draws.
    assert not re.search(r"<(script|link|img)[^>]* (src|href)=", page)
    assert "Plotly.newPlot(" in page
    for name in ("speed", "axes[1]", "pose.x"):
        assert f'"name":"{name}"' in page
    assert '"ticktext":["off","on","2"]' in page
    lateness = Lateness.of(recording)
    assert lateness
    for name, ns in lateness.named():
        assert f"<tr><th>{name}<td>{plot.time_text(ns)} ({ns:,} ns)" in page
    for name, value in (
        ("lost", "51"),
        ("kernel", "6.12-rt"),
        ("layout", recording.conditions.layout.replace("<", "&lt;").replace(">", "&gt;")),
    ):
        assert f"<tr><th>{name}<td>{value}\n" in page
    assert "<title>motor: 449 samples" in page


@pytest.mark.promise("recordings: An HTML picture is one file that needs no network")
@browser.needed
def test_html_is_drawn_by_a_browser_without_the_network(
    tmp_path: Path, recording: Recording
) -> None:
    plot.save(recording, tmp_path / "run.html")
    with browser.tab() as tab:
        tab.page.goto((tmp_path / "run.html").as_uri())
        # Plotly's canvases have what WebGL draws, and its SVG the axes and the names.
        tab.page.wait_for_selector(".ytick")
        lines = tab.page.evaluate(
            "document.querySelector('.js-plotly-plot')._fullData.map(each => "
            "[each.name, each._length])"
        )
        assert ["speed", 451] in lines
        assert lines[-1] == ["lateness_ns", 451]
        assert "off" in tab.page.locator("svg text").all_text_contents()
        picture = tab.page.locator(".js-plotly-plot").screenshot()
        (tmp_path / "shown.png").write_bytes(picture)
    pixels = image.imread(tmp_path / "shown.png")
    for colour in ("#636efa", "#ef553b"):
        wanted = [int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5)]
        assert (numpy.abs(pixels[..., :3] - wanted).max(axis=2) < 0.05).sum() > 100
    assert tab.errors == []
    assert tab.foreign == []


def test_unknown_format_and_field_are_usage_errors(tmp_path: Path, recording: Recording) -> None:
    written(recording, tmp_path / "run.csv")
    for arguments, words in (
        (["-o", "run.gif"], "run.gif: .gif is not a format of pictures; use one of .png, .html"),
        (
            ["-o", "run.png", "--field", "sped"],
            "there is no field sped to draw; there are tick, ",
        ),
    ):
        done = run("plot", str(tmp_path / "run.csv"), *arguments)
        assert (done.returncode, done.stdout) == (2, "")
        assert words in done.stderr
    done = run("plot", str(tmp_path / "absent.csv"), "-o", "run.png")
    assert done.returncode == 1
    assert done.stderr == f"rtshm: {tmp_path}/absent.csv: No such file or directory (ENOENT, 2)\n"


def test_missing_library_is_named_with_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    with pytest.raises(ExtraError) as refused:
        plot.figure(made("", 1))
    assert str(refused.value) == "a picture takes matplotlib: pip install 'rtshm[plot]'"
