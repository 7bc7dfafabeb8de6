"""Examples in docstrings that need no kernel; tests/client/test_examples.py has the others."""

from __future__ import annotations

import pytest

from tests.lib import examples


def test_each_module_with_examples_runs_somewhere() -> None:
    assert examples.with_examples() == {*examples.HOST, *examples.GUEST}


@pytest.mark.parametrize("name", examples.HOST)
def test_examples_in_docstrings_work_as_typed(name: str) -> None:
    assert examples.run(name) == ""
