"""What the documents name is there, and the numbers they repeat are those of the header."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

CHECKOUT = Path(__file__).parents[2]
PLACES = "tests/(?:boots|client|host|install|module|stress|vagrant)|(?:bench|tools|vm)/tests"
# Where a test is if the document names no folder.
USUAL = [CHECKOUT / "tests/module", CHECKOUT / "tests/client"]
NAMED = re.compile(rf"`((?:(?:{PLACES})/)?test_\w+\.py)?(?:::(test_\w+))?`")


def limits() -> dict[str, str]:
    header = (CHECKOUT / "kmod/include/uapi/linux/rtshm_netlink.h").read_text()
    return dict(re.findall(r"#define\s+(RTSHM_\w+)\s+(\d+)$", header, re.MULTILINE))


PAGES = sorted(
    path.relative_to(CHECKOUT) for each in ("*.md", "docs/*.md") for path in CHECKOUT.glob(each)
)
DOCUMENTS = sorted(path.name for path in (CHECKOUT / "docs").glob("*.md"))


def source(file: str) -> str:
    """The source of a test file, in the folder that is named, or in one of the usual."""
    if "/" in file:
        return (CHECKOUT / file).read_text()
    (path,) = [path for folder in USUAL if (path := folder / file).exists()]
    return path.read_text()


@pytest.mark.parametrize("document", DOCUMENTS)
def test_every_test_that_a_document_names_exists(document: str) -> None:
    file = ""
    found = 0
    text = (CHECKOUT / "docs" / document).read_text()
    for name, function in NAMED.findall(text):
        file = name or file
        assert not function or f"def {function}(" in source(file), f"{file}::{function}"
        found += bool(function)
    assert found == text.count("::test_")


@pytest.mark.parametrize("page", PAGES, ids=str)
def test_every_link_of_a_page_leads_to_a_file(page: Path) -> None:
    text = (CHECKOUT / page).read_text()
    links = re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", text)
    there = (CHECKOUT / page).parent
    assert [link for link in links if not (there / link).exists()] == []


def test_every_row_of_the_reliability_plan_is_there_once() -> None:
    text = (CHECKOUT / "docs/reliability.md").read_text()
    assert re.findall(r"^\| (\d+) \|", text, re.MULTILINE) == [str(row) for row in range(1, 47)]


@pytest.mark.parametrize("document", ["README.md", "kmod/main.c"])
@pytest.mark.parametrize(
    "name", ["RTSHM_PERIOD_MIN_NS", "RTSHM_PERIOD_MAX_NS", "RTSHM_PERIOD_DEFAULT_NS"]
)
def test_period_limits_in_words_are_those_of_the_header(document: str, name: str) -> None:
    assert re.search(rf"\b{limits()[name]}\b", (CHECKOUT / document).read_text())
