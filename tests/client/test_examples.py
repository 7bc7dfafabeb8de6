"""Examples in docstrings that need the module: tests/host/test_examples.py has the others."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.lib import examples

if TYPE_CHECKING:
    from pathlib import Path

    import pytest

    from tests.lib.fixtures import Load


def test_examples_in_docstrings_work_as_typed(
    load: Load, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    load(print=0, period_ns=50_000_000)
    monkeypatch.chdir(tmp_path)
    assert {name: said for name in examples.GUEST if (said := examples.run(name))} == {}
