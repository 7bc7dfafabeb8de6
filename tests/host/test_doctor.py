"""What rtshm doctor makes of a machine's timing; all else is in the guest."""

from __future__ import annotations

import dataclasses

import pytest
from rtshm.doctor import Level, timing
from rtshm.recording.conditions import Machine

BARE = Machine(preemption="full", clocksource="tsc", virtualization="none", governor="performance")


def levels(machine: Machine) -> dict[str, Level]:
    return {finding.check: finding.level for finding in timing(machine)}


def test_bare_machine_that_is_set_up_for_it_has_nothing_to_say() -> None:
    assert set(levels(BARE).values()) == {Level.OK}
    assert not [finding.remedy for finding in timing(BARE) if finding.remedy]


@pytest.mark.parametrize("governor", ["powersave", "schedutil", "performance, powersave"])
def test_governor_that_slows_a_cpu_down_is_warned_of(governor: str) -> None:
    machine = dataclasses.replace(BARE, governor=governor)
    found = {finding.check: finding for finding in timing(machine)}
    assert found["governor"].level is Level.WARNING
    assert "cpupower" in found["governor"].remedy
    assert set(levels(machine).values()) == {Level.OK, Level.WARNING}
