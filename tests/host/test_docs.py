"""The documents' links lead somewhere, and the numbers they repeat are those of the header."""

from __future__ import annotations

import re
import runpy
from pathlib import Path

import numpy
import pytest
from rtshm.recording.columns import dtype_of

CHECKOUT = Path(__file__).parents[2]
PAGES = sorted(
    path.relative_to(CHECKOUT) for each in ("*.md", "docs/*.md") for path in CHECKOUT.glob(each)
)
# Pages that may name tests.
MAINTAINERS = {Path("CONTRIBUTING.md"), Path("docs/evidence.md"), Path("docs/architecture.md")}


def limits() -> dict[str, str]:
    header = (CHECKOUT / "kmod/include/uapi/linux/rtshm_netlink.h").read_text()
    return dict(re.findall(r"#define\s+(RTSHM_\w+)\s+(\d+)$", header, re.MULTILINE))


@pytest.mark.parametrize("page", PAGES, ids=str)
def test_every_link_of_a_page_leads_to_a_file(page: Path) -> None:
    text = (CHECKOUT / page).read_text()
    links = re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", text)
    there = (CHECKOUT / page).parent
    assert [link for link in links if not (there / link).exists()] == []


@pytest.mark.parametrize("page", [page for page in PAGES if page not in MAINTAINERS], ids=str)
def test_page_for_users_names_no_test_of_ours(page: Path) -> None:
    assert re.findall(r"\btest_\w+\.py|::test_\w+", (CHECKOUT / page).read_text()) == []


@pytest.mark.parametrize("document", ["docs/getting-started.md", "kmod/main.c"])
@pytest.mark.parametrize(
    "name", ["RTSHM_PERIOD_MIN_NS", "RTSHM_PERIOD_MAX_NS", "RTSHM_PERIOD_DEFAULT_NS"]
)
def test_period_limits_in_words_are_those_of_the_header(document: str, name: str) -> None:
    assert re.search(rf"\b{limits()[name]}\b", (CHECKOUT / document).read_text())


@pytest.mark.parametrize(
    "word",
    ["latency", "jitter", "pandas", "jupyter", "uninstall", "licence", "asyncio", "notebook"],
)
def test_word_that_people_search_for_is_in_the_documents(word: str) -> None:
    assert any(word in (CHECKOUT / page).read_text().lower() for page in PAGES)


def test_pictures_are_those_that_their_program_draws(tmp_path: Path) -> None:
    pictures = runpy.run_path(str(CHECKOUT / "docs/pictures.py"))
    assert pictures["word"]() == (CHECKOUT / "docs/word.svg").read_text()
    samples = numpy.zeros(1000, dtype_of(pictures["STEP"]))
    samples["tick"] = numpy.arange(1000)
    samples["time_ns"] = samples["tick"] * 1_000_000
    samples["output"][500:] = 1
    numpy.savez(tmp_path / "step.npz", samples=samples)
    drawn = pictures["terminal"](tmp_path / "step.npz")
    # It loads nothing from the network.
    assert re.findall(r"https?://[^\"']*", drawn) == ["http://www.w3.org/2000/svg"]
    assert "setpoint" in drawn
