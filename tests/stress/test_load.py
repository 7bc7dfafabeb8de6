"""Loading and unloading: again and again, with users, against those who come and ask."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.lib import amounts as table
from tests.lib import module

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.stress.program import Count, Stress


@pytest.fixture(autouse=True)
def nothing_left(tainted: None) -> Iterator[None]:
    before = module.traces()
    yield
    assert module.traces() == before


def test_kernel_is_the_one_that_was_promised() -> None:
    assert table.kind() == table.promised()


@pytest.mark.promise("robustness: Loading and unloading leave nothing behind")
@pytest.mark.amounts("cycles")
def test_load_and_unload(stress: Stress, amounts: list[int], count: Count) -> None:
    (cycles,) = amounts
    assert stress("cycles", cycles) == {"cycles": cycles}
    count("load-unload-cycles", cycles)


@pytest.mark.promise("robustness: The module is not unloaded under an open file or a mapping")
@pytest.mark.amounts("held")
def test_file_mapping_reader_and_poller_each_keep_the_module(
    stress: Stress, amounts: list[int], count: Count
) -> None:
    (cycles,) = amounts
    assert stress("held", cycles) == {"cycles": cycles, "refused": 4 * cycles}
    count("load-unload-cycles", cycles)


@pytest.mark.promise("robustness: Unloading races with opening, and one of the two wins")
@pytest.mark.amounts("opened")
def test_unload_races_with_open(stress: Stress, amounts: list[int], count: Count) -> None:
    (tries,) = amounts
    done = stress("opened", tries)
    assert done["unloads"] + done["opens"] >= tries
    count("load-unload-cycles", done["cycles"])


@pytest.mark.promise("robustness: The module can be unloaded while requests are in flight")
@pytest.mark.amounts("asked", "asked-requests")
def test_unload_under_requests(stress: Stress, amounts: list[int], count: Count) -> None:
    cycles, requests = amounts
    done = stress("asked", cycles, requests)
    assert done["cycles"] == cycles
    assert done["requests"] >= requests
    count("load-unload-cycles", cycles)


@pytest.mark.amounts("spliced")
def test_pages_in_a_pipe_outlive_the_module(
    stress: Stress, amounts: list[int], count: Count
) -> None:
    (cycles,) = amounts
    assert stress("spliced", cycles) == {"cycles": cycles}
    count("load-unload-cycles", cycles)
