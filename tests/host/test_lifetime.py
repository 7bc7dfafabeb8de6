"""What holds a descriptor without the module: tests/client/test_lifetime.py has the others."""

from __future__ import annotations

import copy
import gc
import pickle
from typing import TYPE_CHECKING, Any

import pytest
import rtshm
import rtshm.testing

from tests.host.recordings import begun, made
from tests.lib import child
from tests.lib.interrupts import descriptors

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from rtshm.handle import Handle

MAKERS: dict[str, Callable[[rtshm.testing.LocalRegion[Any]], Handle]] = {
    "region": lambda _: rtshm.testing.region("n:u64", history=8, ticking=False),
    "samples": lambda region: region.samples(),
    "recorder": lambda _: rtshm.Recorder("run.csv", begun(made("n:u64", 1)), force=True),
}
USES: dict[str, list[Callable[[Any], object]]] = {
    "region": [
        lambda region: region.view,
        lambda region: region.info,
        lambda region: region.update(n=1),
        lambda region: region.publish(1),
        lambda region: region.tick(),
        lambda region: region.samples(),
        lambda region: region.wait_taken(0),
    ],
    "samples": [next, lambda samples: samples.read_array(wait=False), lambda samples: samples.info],
    "recorder": [lambda recorder: recorder.flush(), lambda recorder: recorder.finish("again")],
}


@pytest.fixture(params=MAKERS)
def name(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.chdir(tmp_path)
    chosen: str = request.param
    return chosen


@pytest.fixture
def make(name: str) -> Iterator[Callable[[], Handle]]:
    with rtshm.testing.region(history=8, ticking=False) as region:
        yield lambda: MAKERS[name](region)


def test_use_after_the_second_close_is_a_closed_error(
    name: str, make: Callable[[], Handle]
) -> None:
    with make() as made:
        assert not made.closed
    made.close()
    assert made.closed
    assert repr(made).endswith(" closed>")
    for use in [*USES[name], lambda it: it.fileno(), lambda it: it.__enter__()]:
        with pytest.raises(rtshm.ClosedError):
            use(made)


def test_forgotten_object_is_closed_with_a_warning(make: Callable[[], Handle]) -> None:
    gc.collect()
    before = descriptors()
    with pytest.warns(ResourceWarning, match="unclosed <rtshm"):
        made = make()
        del made
        gc.collect()
    assert descriptors() == before


def test_name_that_is_not_an_attribute_is_refused(make: Callable[[], Handle]) -> None:
    with make() as made, pytest.raises(AttributeError):
        made.sped = 3.0  # type: ignore[attr-defined]


def test_object_of_this_process_is_neither_copied_nor_pickled(make: Callable[[], Handle]) -> None:
    with make() as made:
        for again in (copy.copy, copy.deepcopy, pickle.dumps):
            with pytest.raises(TypeError, match="cannot be copied or pickled"):
                again(made)


def test_forked_child_has_it_closed(make: Callable[[], Handle]) -> None:
    with make() as made:

        def look() -> None:
            assert made.closed
            with pytest.raises(rtshm.ClosedError):
                made.fileno()

        assert child.status_of(look) == 0
        made.fileno()
