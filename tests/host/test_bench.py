"""What `make bench` makes of figures: verdicts, tables, a picture, the document."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from bench import plot, table
from bench.figures import Figure, Figures, Run, plain

CHECKOUT = Path(__file__).parents[2]
DOCUMENT = CHECKOUT / "docs/performance.md"


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


def test_what_repeats_fails_beyond_its_limit_unless_it_is_known_why() -> None:
    beyond = Figure("tick", "x", 2.0, most=1.0)
    known = Figure("tick", "y", 2.0, most=1.0, why="the reason")
    within = Figure("tick", "z", 1.0, most=1.0)
    assert run_of(beyond, known, within).failures == [beyond]
    assert run_of(beyond, known, within, accelerator="tcg").failures == []


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


def test_table_has_a_column_for_a_machine_and_says_why_a_limit_is_missed() -> None:
    icount = run_of(
        Figure("tick", "cost", 120.0, "ns", most=100.0, why="it is far"),
        Figure("tick", "only here", 1.0),
    )
    tcg = run_of(Figure("tick", "cost", 90.0, "ns", most=100.0, why="it is far"), accelerator="tcg")
    assert table.group_table("tick", [icount, tcg]) == (
        "| | 6.12, icount | 6.12, tcg | limit |\n"
        "|---|---|---|---|\n"
        "| cost | **120 ns** | 90 ns | <= 100 |\n"
        "| only here | 1 |  |  |\n"
        "\n"
        "- cost: it is far."
    )


def test_limits_are_those_of_what_repeats() -> None:
    figures = (
        Figure("tick", "  with readers / one without", 2.0, most=1.5),
        Figure("tick", "no limit", 1.0),
        Figure("tick", "absent", None, most=1.0, why="gone"),
    )
    runs = [run_of(*figures), run_of(*figures, accelerator="tcg")]
    assert table.limits(runs).splitlines()[2:] == [
        "| with readers / one without | 6.12, icount | **2** | <= 1.5 | MISSED |"
    ]


def test_two_runs_of_one_machine_are_one_column() -> None:
    runs = [run_of(Figure("tick", "x", 1.0)), run_of(Figure("tick", "y", 2.0))]
    assert table.group_table("tick", runs).splitlines()[0] == "| | 6.12, icount | limit |"


def test_tables_go_between_the_marks_and_nothing_else_changes() -> None:
    results = {
        "conditions": {"host": "a machine"},
        "runs": [run_of(Figure("tick", "x", 1.0)).to_json()],
    }
    once = table.inserted(f"before {table.BEGIN} old {table.END} after", results)
    assert once.startswith("before ") and once.endswith(" after") and " old " not in once
    assert "a machine" in once and "| x | 1 |" in once
    assert table.inserted(once, results) == once
    with pytest.raises(ValueError, match="has no"):
        table.inserted("no marks", results)


def test_document_has_the_tables_of_the_results_beside_it() -> None:
    text = DOCUMENT.read_text()
    results = json.loads((CHECKOUT / "bench/results.json").read_text())
    assert table.inserted(text, results) == text


def test_picture_is_drawn_of_the_results(tmp_path: Path) -> None:
    results = json.loads((CHECKOUT / "bench/results.json").read_text())
    plot.draw([Run.from_json(run) for run in results["runs"]], tmp_path / "plot.png")
    assert (tmp_path / "plot.png").read_bytes().startswith(b"\x89PNG")
