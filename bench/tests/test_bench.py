"""What `make bench` writes: verdicts, tables, the summary and its picture."""

from __future__ import annotations

import json
from pathlib import Path
from xml.etree import ElementTree

import pytest

from bench import __main__ as command
from bench import summary, table
from bench.figures import Figure, Figures, Run, plain

CHECKOUT = Path(__file__).resolve().parents[2]


def run_of(*figures: Figure, accelerator: str = "icount") -> Run:
    return Run("6.12", "6.12.0", accelerator, "3.13.0", figures)


@pytest.mark.parametrize(
    ("figure", "verdict"),
    [
        (Figure("tick", "x", 1.5, most=1.5), "kept"),
        (Figure("tick", "x", 1.51, most=1.5), "MISSED"),
        (Figure("tick", "x", 20.0, least=20.0), "kept"),
        (Figure("tick", "x", 19.9, least=20.0), "MISSED"),
        (Figure("tick", "x", 0, most=0), "kept"),
        (Figure("tick", "x", 1.0), ""),
        (Figure("tick", "x", None, most=1.0, why="no such program"), "not taken"),
    ],
)
def test_verdict_is_of_the_value_and_its_limit(figure: Figure, verdict: str) -> None:
    assert figure.verdict == verdict


def test_every_figure_beyond_its_limit_is_a_failure() -> None:
    beyond = Figure("tick", "x", 2.0, most=1.0)
    below = Figure("tick", "y", 2.0, least=3.0)
    within = Figure("tick", "z", 1.0, most=1.0)
    absent = Figure("tick", "w", None, most=1.0, why="gone")
    assert run_of(beyond, below, within, absent).failures == [beyond, below]


def test_figures_that_do_not_repeat_have_no_limits() -> None:
    figures = Figures(limits=False)
    figures.group = "tick"
    figures.add("x", 2.0, most=1.0)
    figures.add("y", 2.0, least=3.0)
    assert figures.run().failures == []
    assert [figure.limit for figure in figures.found] == ["", ""]


def test_run_is_the_same_after_json() -> None:
    run = run_of(Figure("tick", "x", 1.0, "ns", most=2.0), Figure("tick", "y", None, why="gone"))
    assert Run.from_json(json.loads(json.dumps(run.to_json()))) == run


def test_a_name_is_taken_once_in_a_group() -> None:
    figures = Figures()
    figures.group = "tick"
    figures.add("x", 1.0)
    with pytest.raises(AssertionError):
        figures.absent("x", "not again")
    figures.group = "publish"
    figures.add("x", 1.0)


@pytest.mark.parametrize(
    ("value", "text"),
    [(0, "0"), (1.5789, "1.58"), (0.04211, "0.0421"), (989.4, "989"), (36_500_000, "36,500,000")],
)
def test_numbers_have_three_digits_or_all_before_the_point(value: float, text: str) -> None:
    assert plain(value) == text


def test_table_has_a_column_for_each_machine_and_says_why_a_figure_is_absent() -> None:
    icount = run_of(
        Figure("tick", "cost", 120.0, "ns", most=100.0),
        Figure("tick", "only here", 1.0),
    )
    tcg = run_of(
        Figure("tick", "cost", 90.0, "ns"),
        Figure("tick", "only there", None, why="no such timer"),
        accelerator="tcg",
    )
    assert table.group_table("tick", [tcg, icount]) == (
        "| | 6.12, tcg | 6.12, icount | limit |\n"
        "|---|---|---|---|\n"
        "| cost | 90 ns | **120 ns** | <= 100 |\n"
        "| only there | not taken |  |  |\n"
        "| only here |  | 1 |  |\n"
        "\n"
        "- only there: no such timer."
    )


def test_limits_are_those_of_figures_that_have_one() -> None:
    figures = (
        Figure("tick", "  with readers / one without", 2.0, most=1.5),
        Figure("tick", "no limit", 1.0),
        Figure("tick", "absent", None, most=1.0, why="gone"),
    )
    assert table.limits([run_of(*figures)]).splitlines()[2:] == [
        "| with readers / one without | 6.12, icount | **2** | <= 1.5 | MISSED |"
    ]


def test_two_runs_of_one_machine_are_one_column() -> None:
    runs = [run_of(Figure("tick", "x", 1.0)), run_of(Figure("tick", "y", 2.0))]
    assert table.group_table("tick", runs).splitlines()[0] == "| | 6.12, icount | limit |"


def published() -> Run:
    return run_of(
        Figure("publish", "publish", 321.4, "instructions"),
        Figure("publish", "ioctl", 10_669.0, "instructions"),
    )


def test_summary_has_the_rows_whose_figures_were_taken() -> None:
    assert summary.table([published()]).splitlines()[2:] == [
        "| Store a value from Python | instructions | publish() 321 | ioctl 10,669 |"
    ]


def test_picture_draws_bars_to_one_scale() -> None:
    svg = ElementTree.fromstring(summary.picture(summary.table([published()])))
    bars = [
        (rect.get("fill"), int(rect.attrib["width"]))
        for rect in svg.iterfind(".//{*}rect")
        if rect.get("height") == "18"
    ]
    assert bars == [(summary.OURS, 6), (summary.OTHERS, summary.LONGEST)]
    texts = [text.text for text in svg.iterfind(".//{*}text")]
    assert texts[:2] == ["Store a value from Python", "instructions: less is better"]
    assert "10,669" in texts


def test_picture_of_the_page_is_that_of_its_table() -> None:
    page = CHECKOUT / "docs/performance.md"
    assert page.with_suffix(".svg").read_text() == summary.picture(page.read_text())


def test_run_leaves_its_results_for_programs_and_people(tmp_path: Path) -> None:
    runs = [published()]
    command.write({"host": "a machine"}, runs, tmp_path)
    results = json.loads((tmp_path / "results.json").read_text())
    assert [Run.from_json(run) for run in results["runs"]] == runs
    text = (tmp_path / "results.md").read_text()
    assert "- host: a machine" in text and "| publish | 321 instructions |" in text
    ElementTree.parse(tmp_path / "performance.svg")
