"""What an editor, a notebook, a mock and a newer module see of the package."""

from __future__ import annotations

import copy
import html.parser
import pickle
import pydoc
import subprocess
import sys
from typing import Any
from unittest import mock

import pytest
import rtshm
import rtshm.testing
from rtshm.control import Clock, PrintMode, _region, _Regions
from rtshm.durations import nanoseconds, seconds

from tests.host.cli import counters, hidden, region
from tests.host.recordings import made


def test_names_are_listed_and_help_has_them() -> None:
    assert {"open", "create", "Region", "struct", "f64", "__version__", "recording"} <= {
        *dir(rtshm)
    }
    for name in dir(rtshm):
        assert getattr(rtshm, name) is not None
    script = "import rtshm; print(rtshm.recording.load, rtshm.control.Control)"
    subprocess.run([sys.executable, "-c", script], check=True, capture_output=True)
    assert "stores the value and announces it" in pydoc.render_doc(rtshm.Region)


def test_region_can_be_mocked() -> None:
    mocked = mock.create_autospec(rtshm.Region, instance=True)
    mocked.publish(3)
    mocked.size = 4096
    mocked.read.return_value = {"n": 1}
    mocked.update(n=1, announce=True)
    with pytest.raises(TypeError):
        mocked.wait_taken(1, 2, 3)
    with pytest.raises(AttributeError):
        mocked.publsh(3)


def test_region_is_one_line_and_a_table() -> None:
    info = region("motor", layout="a:f64<b>", counters=counters({9: 5}))
    assert "\n" not in repr(info)
    assert len(repr(info)) < 120
    page = info._repr_html_()
    html.parser.HTMLParser().feed(page)
    assert "a:f64&lt;b&gt;" in page


def test_tables_for_notebooks_are_of_regions_lists_and_recordings() -> None:
    texts = []
    with rtshm.testing.region("speed:f64 mode:u8", history=4) as local:
        local.update(speed=2.5)
        texts += [local._repr_html_(), local.info._repr_html_()]
        assert "<td>speed</td><td>f64</td><td>2.5</td>" in texts[0]
        sample = next(local.samples())
    texts.append(local._repr_html_())
    assert "closed" in texts[-1]
    assert repr(sample).startswith(f"<rtshm.Sample {sample.tick}: {sample.lateness_ns} ns late")
    assert "{'speed': 2.5, 'mode': 0}" in repr(sample)
    with rtshm.testing.region("speed:f64 large:u8[8000]", size=8192) as local:
        assert "speed" not in local._repr_html_()
    regions = _Regions([region("motor", layout="a:f64"), region("pump", layout="<b>")])
    assert repr(regions) == "<rtshm.control regions: motor, pump>"
    texts.append(regions._repr_html_())
    assert "&lt;b&gt;" in texts[-1]
    recording = made("speed:f64", 30)
    texts.append(recording._repr_html_())
    assert "<td>motor</td>" in texts[-1]
    for text in texts:
        assert text.count("<tr>") == text.count("</tr>")
        html.parser.HTMLParser().feed(text)


def test_region_that_may_not_be_read_compares_and_is_copied_and_shown_as_others() -> None:
    one, other = hidden("default"), hidden("default")
    assert one == other != region()
    # Left to what it is compared with.
    assert one == mock.ANY
    assert len({one, other}) == 1
    for copied in (copy.copy(one), pickle.loads(pickle.dumps(one))):
        assert copied == one
        with pytest.raises(rtshm.AccessError):
            _ = copied.counters
    assert pickle.loads(pickle.dumps(region())) == region()
    assert f"<td>{one.name}</td>" in _Regions([one, region()])._repr_html_()


def test_values_of_a_newer_module_are_kept_as_text() -> None:
    def told(**values: Any) -> dict[str, Any]:
        return {
            **{name: getattr(region(), name) for name in region().__slots__},
            "counters": {name: getattr(counters({}), name) for name in counters({}).__slots__},
            "tasks": [],
            **values,
        }

    known = _region(told(print="off", clock="tai"))
    assert (known.print, known.clock) == (PrintMode.OFF, Clock.TAI)
    newer = _region(told(print=3, clock="boottime"))
    assert (newer.print, newer.clock) == ("3", "boottime")


@pytest.mark.parametrize(
    ("duration", "ns"),
    [("1ms", 10**6), (".5s", 5 * 10**8), ("1h", 3600 * 10**9), (7, 7), ("2min", 120 * 10**9)],
)
def test_durations_are_text_timedelta_or_nanoseconds(duration: str | int, ns: int) -> None:
    assert nanoseconds(duration) == ns


def test_timeouts_are_seconds_text_or_timedelta() -> None:
    assert seconds(None) is seconds(float("inf")) is None
    assert seconds("250ms") == seconds(0.25) == 0.25
    with pytest.raises(ValueError, match="a timeout of nan"):
        seconds(float("nan"))
    with pytest.raises(TypeError, match="has no unit"):
        nanoseconds(0.001)  # type: ignore[arg-type]


def test_command_without_arguments_prints_its_help_with_each_release_of_click() -> None:
    for arguments, words in (([], "Usage: rtshm"), (["--version"], f"rtshm {rtshm.__version__}")):
        done = subprocess.run(
            [sys.executable, "-m", "rtshm", *arguments], capture_output=True, text=True
        )
        assert (done.returncode, done.stderr) == (0, "")
        assert done.stdout.startswith(words)
    unknown = subprocess.run([sys.executable, "-m", "rtshm", "nothing"], capture_output=True)
    assert unknown.returncode == 2
