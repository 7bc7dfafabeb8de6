"""A long step that fails says why."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from vm.host.errors import HarnessError
from vm.host.progress import run_logged

if TYPE_CHECKING:
    from pathlib import Path


def test_failure_shows_the_end_of_the_log_and_names_it(tmp_path: Path) -> None:
    log = tmp_path / "step.log"
    say = "echo first; seq 20; echo cause >&2; echo repeated; exit 3"
    with pytest.raises(HarnessError) as failed:
        run_logged(["sh", "-c", say], log, "the step", script="repeated\n")
    lines = str(failed.value).splitlines()
    assert lines[-2:] == ["cause", f"the step failed (status 3); log: {log}"]
    assert not {"first", "repeated"} & set(lines)
    assert log.read_text().startswith("first\n")
