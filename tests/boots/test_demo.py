"""What the README's reader types first: the demonstrations, each a machine of its own."""

from __future__ import annotations

import subprocess

import pytest

from tests.lib import guide
from tests.lib.payload import CHECKOUT

TYPED = [each.text for each in guide.page("../README") if each.text.startswith("make demo")]


@pytest.mark.more
def test_demonstrations_of_the_readme_show_what_it_says() -> None:
    said = ""
    for text in TYPED:
        done = subprocess.run(text, shell=True, cwd=CHECKOUT, capture_output=True, text=True)
        assert done.returncode == 0, f"$ {text}\n{done.stdout}{done.stderr}"
        said += done.stdout + done.stderr
    assert "kernel: rtshm: default: shared mem=42" in said
    assert "step.png: the step and the lateness of the ticks" in said
    assert (CHECKOUT / "step.png").read_bytes().startswith(b"\x89PNG")
