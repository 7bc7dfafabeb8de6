"""Which folder imports which, outside of client/."""

from __future__ import annotations

import ast
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable

CHECKOUT = Path(__file__).parents[2]
FILES = sorted(path.relative_to(CHECKOUT) for path in CHECKOUT.glob("tests/**/*.py"))
# This one has what is to be found, as the control.
FILES.remove(Path(__file__).relative_to(CHECKOUT))
# What each folder may import, of these.
ALLOWED = {
    "vm": {"vm"},
    "tests": {"vm", "tests"},
    "tools": {"vm", "tests", "tools"},
    "bench": {"vm", "tests", "bench"},
    "demo": {"vm", "tests", "demo"},
}
LIBRARY = [path for path in FILES if path.is_relative_to("tests/lib")]


def imported(source: str) -> set[str]:
    """The modules of these folders that the source imports, and the names that it imports
    from them.

    Source in a string counts, too: it is for an interpreter of its own.
    """
    found: set[str] = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            found.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            found.update(f"{node.module}.{alias.name}" for alias in node.names)
        elif isinstance(node, ast.Constant) and isinstance(node.value, str):
            if "import " in node.value:
                found.update(inside(node.value))
    return {name for name in found if folder_of(name) in ALLOWED}


def folder_of(name: str) -> str:
    return name.partition(".")[0]


def inside(text: str) -> set[str]:
    try:
        return imported(text)
    except SyntaxError:
        return set()


def of_pytest(name: str) -> bool:
    """Whether part of the name is that of a file which only pytest may import."""
    return any(part.startswith("test_") or part == "conftest" for part in name.split("."))


def by_file(files: list[Path], wrong: Callable[[str], bool]) -> dict[str, list[str]]:
    """The imports of each file that are wrong; without the files that have none."""
    found = {
        str(path): sorted(filter(wrong, imported((CHECKOUT / path).read_text()))) for path in files
    }
    return {path: names for path, names in found.items() if names}


def test_no_file_imports_a_test_file_or_a_conftest() -> None:
    assert by_file(FILES, of_pytest) == {}


def test_library_imports_no_suite() -> None:
    def of_suite(name: str) -> bool:
        return folder_of(name) == "tests" and not name.startswith("tests.lib.")

    assert by_file(LIBRARY, of_suite) == {}


@pytest.mark.parametrize("folder", ALLOWED)
def test_folder_imports_what_lies_below_it(folder: str) -> None:
    # The example of vm/tests is a project of its own.
    files = [
        path.relative_to(CHECKOUT)
        for path in CHECKOUT.glob(f"{folder}/**/*.py")
        if "example" not in path.parts and path != Path(__file__)
    ]
    assert files
    assert by_file(files, lambda name: folder_of(name) not in ALLOWED[folder]) == {}


@pytest.mark.parametrize(
    "source",
    [
        "import tests.module.test_abi",
        "from tests.module.test_abi import load",
        "from tests.module import test_abi",
        "from tests.stress.conftest import Stress",
        "def late():\n    from tests.module.test_abi import load",
        "code = 'import sys\\nfrom tests.host.test_plot import made\\n'",
    ],
)
def test_import_of_a_test_file_is_seen(source: str) -> None:
    assert any(map(of_pytest, imported(source)))


def test_guests_of_tests_take_along_nothing_of_bench() -> None:
    """Paths count as imports do; the order of the tests knows those of bench/tests."""
    named = {
        str(path)
        for path in FILES
        for line in (CHECKOUT / path).read_text().splitlines()
        if '"bench/' in line.replace('"bench/tests"', "")
    }
    assert named == set()
