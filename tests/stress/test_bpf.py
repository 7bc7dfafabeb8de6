"""BPF programs in the tick: replaced, and their loaders and writers killed at any instant."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.lib import bpf_tasks

if TYPE_CHECKING:
    from pathlib import Path

    from tests.lib.fixtures import Load


@pytest.mark.promise(
    "BPF: A replacement leaves no tick without a program; a refused one leaves the old program"
)
@pytest.mark.amounts("replaced")
def test_replacing_leaves_no_tick_without_a_program(load: Load, amounts: list[int]) -> None:
    with bpf_tasks.region(load) as control:
        bpf_tasks.replace(control, amounts[0])


@pytest.mark.promise("BPF: The loader may be killed, and the program is freed with its region")
@pytest.mark.amounts("loaders")
def test_loaders_killed_at_any_moment_leave_no_program_behind(
    load: Load, amounts: list[int]
) -> None:
    with bpf_tasks.region(load) as control:
        bpf_tasks.kill_loaders(control, amounts[0])


@pytest.mark.promise("safe values: They are in each tick that is promised, and in no other")
@pytest.mark.amounts("guarded")
def test_safe_values_of_killed_writers_come_in_the_tick_promised(
    load: Load, tmp_path: Path, amounts: list[int]
) -> None:
    bpf_tasks.kill_writers(load, tmp_path, amounts[0])
