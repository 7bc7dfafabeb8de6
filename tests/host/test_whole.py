"""The page of kernels has the last whole run, and every kernel that has suites."""

from __future__ import annotations

from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, cast

from tests.lib import schedule, suites, whole
from tests.lib.suites import Result, Suite

if TYPE_CHECKING:
    from pathlib import Path

PASSED = "= 41 passed, 2 deselected in 12.34s ="
FAILED = "= 1 failed, 40 passed in 12.34s ="


def test_each_suite_counts_once_though_two_reports_of_its_test_have_the_result() -> None:
    result = Result(Suite("6.12", "module", more=False), PASSED, [], 1.0, "6.12.117+deb13")

    def report(when: str, *properties: tuple[str, str]) -> SimpleNamespace:
        return SimpleNamespace(when=when, user_properties=[*properties])

    found = schedule.as_property(result)
    stats = {"passed": [report("call", found)], "": [report("setup"), report("teardown", found)]}
    plugins = SimpleNamespace(get_plugin=lambda name: SimpleNamespace(stats=stats))
    config = cast("Any", SimpleNamespace(pluginmanager=plugins))
    assert [*schedule.results(config)] == [result]


def row(lines: list[str], kernel: str) -> list[str]:
    (found,) = [line for line in lines if line.startswith(f"| `{kernel}` |")]
    return [cell.strip() for cell in found.strip("|").split("|")]


def test_page_shows_release_and_passed_tests_of_the_last_whole_run(tmp_path: Path) -> None:
    path = tmp_path / "run.json"
    results = [
        Result(Suite("6.12", "module", more=False), PASSED, [], 1.0, "6.12.117+deb13"),
        Result(Suite("6.12", "client", more=False), PASSED, [], 1.0, "6.12.117+deb13"),
        Result(Suite("6.1", "kernel", more=False), FAILED, ["tests: 1"], 1.0, "6.1.0-48"),
    ]
    whole.record(results, path)
    lines = [*whole.markdown(path)]
    assert row(lines, "6.12")[-2:] == ["6.12.117+deb13", "82"]
    assert row(lines, "6.1")[-2:] == ["6.1.0-48", "40, some failed"]
    assert row(lines, "6.12-rt")[-2:] == ["", ""]


def test_page_has_every_kernel_without_a_recorded_run(tmp_path: Path) -> None:
    lines = [*whole.markdown(tmp_path / "none.json")]
    assert lines[0] == "Last whole run: not recorded.\n"
    for kernel in suites.table().kernels():
        assert row(lines, kernel)[-2:] == ["", ""]
