"""The client, where a signal comes at any instant."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.lib import first, interrupts

if TYPE_CHECKING:
    import rtshm


# Interrupts fall into what the interpreter does by itself, too.
@pytest.mark.promise(
    "client: Signals at any instant leak no descriptor, and close() wakes threads and tasks"
)
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.amounts("interrupts")
def test_interrupts_at_any_instant_leak_nothing(control: rtshm.Control, amounts: list[int]) -> None:
    control.create("a", period="1h", layout="n:u64", history=8)
    first.tick("a")
    interrupts.leak_nothing(control, amounts[0])
