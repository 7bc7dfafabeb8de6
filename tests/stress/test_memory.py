"""The memory of regions: who may map what, and whose it is when somebody goes."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.lib.fixtures import Load
    from tests.stress.program import Count, Stress


@pytest.fixture(autouse=True)
def loaded(load: Load) -> None:
    load(print=0, period_ns=3_600_000_000_000)


@pytest.mark.promise(
    "memory: A mapping is inside the region, never executable, and as its descriptor allows"
)
@pytest.mark.amounts("bounds")
def test_mmap_says_what_the_model_says(stress: Stress, amounts: list[int], count: Count) -> None:
    (cases,) = amounts
    done = stress("bounds", cases)
    assert done["cases"] == cases
    # Neither the one nor the other is a matter of luck.
    assert done["mapped"] > cases // 100
    assert {"EINVAL", "EACCES", "EOVERFLOW", "ENOMEM", "EOPNOTSUPP"} <= set(done)
    count("mmap-cases", cases)


@pytest.mark.promise("history: The samples cannot be mapped or written")
@pytest.mark.amounts("attack")
def test_mapping_for_reading_is_not_written(stress: Stress, amounts: list[int]) -> None:
    (times,) = amounts
    assert stress("attack", times) == {"refused": 2 * 4 * times}


@pytest.mark.promise("memory: Processes share over a fork and close in any order")
@pytest.mark.amounts("forks")
def test_trees_of_processes_leave_no_user(stress: Stress, amounts: list[int]) -> None:
    (processes,) = amounts
    assert stress("forks", processes)["forks"] >= processes


@pytest.mark.promise("memory: The memory of killed processes comes back")
@pytest.mark.amounts("mappers", "mappers-rounds")
def test_killed_mappers_give_everything_back(
    stress: Stress, amounts: list[int], count: Count
) -> None:
    processes, rounds = amounts
    done = stress("mappers", processes, rounds)
    assert done == {"kills": processes * rounds, "mappings": 64 * processes * rounds}
    count("writers-killed", done["kills"])


@pytest.mark.promise(
    "regions: A region in use can be deleted: its users keep the memory, its name is free"
)
@pytest.mark.amounts("deleted", "deleted-stores")
def test_deleted_region_is_its_mappers_own(stress: Stress, amounts: list[int]) -> None:
    deletes, stores = amounts
    assert stress("deleted", deletes, stores) == {"deletes": deletes, "stores": deletes * stores}


@pytest.mark.promise("memory: A new region is zero")
@pytest.mark.amounts("zeroed")
def test_new_region_has_nothing_of_anybody(stress: Stress, amounts: list[int]) -> None:
    (regions,) = amounts
    assert stress("zeroed", regions)["regions"] == regions
