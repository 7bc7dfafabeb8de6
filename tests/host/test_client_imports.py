"""Which module of the client imports which: never a layer above its own, never in a circle."""

from __future__ import annotations

import ast
import subprocess
import sys
from dataclasses import dataclass
from graphlib import CycleError, TopologicalSorter
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import rtshm

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

CLIENT = Path(__file__).parents[2] / "client"

# From the lowest to the highest: modules and sub-packages of rtshm, "" the package itself.
LAYERS = (
    "_version abi durations kernel_files notebook paths",
    "_publish errors",
    "culprit device handle publisher tracing",
    "layout settings",
    "control",
    "bpf devmem region samples",
    "late task",
    "queued safe",
    "recording testing",
    "lateness",
    "doctor",
    "",
    "__main__ cli",
)
LAYER = {name: number for number, names in enumerate(LAYERS) for name in names.split() or [""]}

HEAVY = {
    *("construct", "foxglove", "matplotlib", "mcap", "numpy", "plotext", "plotly", "pyarrow"),
    *("pyroute2", "rich", "xarray"),
}


@dataclass(frozen=True, slots=True)
class Import:
    """What one module imports of another."""

    target: str
    typing: bool
    """Only for a type checker."""
    late: bool
    """Inside a function."""


def client() -> dict[str, str]:
    """The sources of the package by the names of its modules."""
    found = {}
    for path in (CLIENT / "rtshm").rglob("*.py"):
        parts = path.relative_to(CLIENT).with_suffix("").parts
        name = ".".join(parts[:-1] if parts[-1] == "__init__" else parts)
        found[name] = path.read_text(encoding="utf-8")
    return found


def imports(sources: Mapping[str, str]) -> dict[str, list[Import]]:
    """What each module imports, wherever in its source."""

    def targets(node: ast.stmt) -> Iterator[str]:
        match node:
            case ast.Import(names):
                yield from (alias.name for alias in names)
            case ast.ImportFrom(str(module), names):
                for alias in names:
                    inner = f"{module}.{alias.name}"
                    yield inner if inner in sources else module

    def found(nodes: list[ast.stmt], typing: bool, late: bool) -> Iterator[Import]:
        for node in nodes:
            yield from (Import(target, typing, late) for target in targets(node))
            deeper = late or isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef))
            checked = isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING"
            for name in ("body", "orelse", "finalbody", "handlers", "cases"):
                inner = getattr(node, name, [])
                yield from found(inner, typing or (checked and name == "body"), deeper)

    return {name: [*found(ast.parse(text).body, False, False)] for name, text in sources.items()}


def part(module: str) -> str:
    """What LAYERS has of a module: rtshm.layout.text is of "layout"."""
    return [*module.split("."), ""][1]


def upward(sources: Mapping[str, str]) -> list[str]:
    return [
        f"{name} imports {each.target}"
        for name, found in imports(sources).items()
        for each in found
        if each.target.split(".")[0] == "rtshm" and LAYER[part(each.target)] > LAYER[part(name)]
    ]


def circle(sources: Mapping[str, str]) -> list[str]:
    """The modules of a circle; none if there is no circle."""
    graph = {name: {each.target for each in found} for name, found in imports(sources).items()}
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        modules: list[str] = error.args[1]
        return modules
    return []


def late_and_light(sources: Mapping[str, str]) -> list[str]:
    """Imports inside functions, below the command, that bring in no heavy library."""
    found = imports(sources)

    def heavy(module: str) -> bool:
        at_once = [each.target for each in found.get(module, []) if not each.late | each.typing]
        return module.split(".")[0] in HEAVY or any(map(heavy, at_once))

    return [
        f"{name} imports {each.target}"
        for name, each_of in found.items()
        for each in each_of
        if each.late and part(name) not in LAYERS[-1].split() and not heavy(each.target)
    ]


def test_no_module_imports_from_a_layer_above_its_own() -> None:
    assert upward(client()) == []


def test_no_modules_import_one_another_in_a_circle() -> None:
    assert circle(client()) == []


def test_imports_inside_functions_are_of_heavy_libraries() -> None:
    assert late_and_light(client()) == []


@pytest.mark.parametrize(
    "text",
    [
        "import rtshm.control",
        "from rtshm import control",
        "from rtshm.control.netlink import Link",
        "def name():\n    try:\n        import rtshm.control\n    finally:\n        pass",
        "if TYPE_CHECKING:\n    from rtshm.control import Control",
        "class Path:\n    match 1:\n        case 1:\n            import rtshm",
    ],
)
def test_arrow_back_up_is_seen(text: str) -> None:
    """The control of the first test: with this in it, the client is refused."""
    (found,) = upward({**client(), "rtshm.paths": text})
    assert found.startswith("rtshm.paths imports rtshm")


def test_circle_is_seen() -> None:
    modules = circle({**client(), "rtshm.samples": "def name():\n    import rtshm.region",
                      "rtshm.region": "from rtshm import samples"})  # fmt: skip
    assert {*modules} == {"rtshm.samples", "rtshm.region"}


def test_late_import_of_what_is_light_is_seen() -> None:
    text = "def name():\n    from rtshm.paths import DEVICES\n    import numpy"
    found = late_and_light({**client(), "rtshm.samples": text})
    assert found == ["rtshm.samples imports rtshm.paths"]


def test_public_names_are_where_the_type_checker_finds_them() -> None:
    declared = ast.parse(client()["rtshm"])
    (block,) = (node for node in declared.body if isinstance(node, ast.If) and not node.orelse
                and ast.unparse(node.test) == "TYPE_CHECKING")  # fmt: skip
    homes = {
        alias.asname: node.module
        for node in block.body
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
    }
    assert homes == {name: f"rtshm.{home}" for name, home in rtshm._HOME.items()}
    for name in rtshm.__all__:
        assert getattr(rtshm, name)
    with pytest.raises(AttributeError, match="module 'rtshm' has no attribute 'state'"):
        rtshm.state  # type: ignore[attr-defined]  # noqa: B018


@pytest.mark.parametrize(
    ("module", "taken"),
    [
        ("rtshm", set()),
        ("rtshm.region, rtshm.samples, rtshm.devmem, rtshm.recording, rtshm.cli.commands", set()),
        ("rtshm.control", {"pyroute2"}),
        ("rtshm.layout.construct", {"construct"}),
        ("rtshm.recording.columns", {"numpy"}),
    ],
)
def test_heavy_libraries_are_imported_where_they_are_needed(module: str, taken: set[str]) -> None:
    code = f"import {module}, sys; print(*({HEAVY} & sys.modules.keys()))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert {*done.stdout.split()} == taken


def test_assertions_ask_nothing_that_python_without_them_has_to_know() -> None:
    # Such as a property that raises: with -O there are no assertions.
    found = [
        f"{path.name}:{node.lineno}"
        for path in (CLIENT / "rtshm").rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Assert)
        and isinstance(node.test, ast.Attribute)
        and ast.unparse(node.test.value) == "self"
        and not node.test.attr.startswith("_")
    ]
    assert not found
