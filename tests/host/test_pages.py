"""Pages of docs/ that need no kernel module, typed as they stand there."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.lib import guide


@pytest.mark.parametrize("page", guide.HOST)
def test_page_does_what_it_shows(
    page: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PATH", f"{Path(sys.executable).parent}:{os.environ['PATH']}")
    python = guide.Python(page)
    for each in guide.page(page):
        if each.where in (">>>", "python"):
            python.run(each)
            continue
        done = subprocess.run(each.text, shell=True, capture_output=True, text=True, check=False)
        assert done.returncode == 0, f"$ {each.text}\n{done.stderr}"
        assert guide.agrees(each.shown, done.stdout), f"$ {each.text}\n{done.stdout}"
    for name, tested in python.names.items():
        if name.startswith("test_"):
            tested()
