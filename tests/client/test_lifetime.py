"""What holds a descriptor, in every situation that ends it: all objects by all situations."""

from __future__ import annotations

import asyncio
import copy
import gc
import mmap
import os
import pickle
import subprocess
import sys
import threading
import time
import warnings
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest
import rtshm
from rtshm import ClosedError, Control, Samples

from tests.lib import child, first, interrupts, module
from tests.lib.interrupts import descriptors
from tests.lib.module import PATIENCE

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from rtshm.handle import Handle

NEVER = timedelta(hours=1)

MAKERS: dict[str, Callable[[], Handle]] = {
    "region": lambda: rtshm.open("a"),
    "read-only region": lambda: rtshm.open("a", readonly=True),
    "samples": lambda: Samples("a"),
    "control": Control,
    "watch": lambda: Control().watch(),
}
USES: dict[str, list[Callable[[Any], object]]] = {
    "region": [
        lambda region: region.some_int,
        lambda region: region.ready,
        lambda region: region.word,
        lambda region: region.memory,
        lambda region: region.view,
        lambda region: region.layout,
        lambda region: region.array,
        lambda region: region.info,
        lambda region: region.deleted,
        lambda region: region.read(),
        lambda region: region.write({"n": 1}),
        lambda region: region.update(n=1),
        lambda region: region.publish(1),
        lambda region: region.samples(),
        lambda region: region.wait_taken(0),
        lambda region: asyncio.run(region.taken(0)),
        lambda region: setattr(region, "some_int", 1),
        lambda region: setattr(region, "ready", True),
    ],
    "samples": [
        next,
        lambda samples: samples.read(0),
        lambda samples: samples.read_array(1),
        lambda samples: samples.read_array(1, wait=False),
        lambda samples: asyncio.run(samples.read_async(0)),
    ],
    "control": [
        lambda control: control.list(),
        lambda control: control.get("a"),
        lambda control: control.create("b"),
        lambda control: control.watch(),
    ],
    "watch": [
        next,
        lambda watch: asyncio.run(watch.__anext__()),
    ],
}
every = pytest.mark.parametrize("name", MAKERS)


@pytest.fixture(autouse=True)
def region_a(control: Control) -> Iterator[None]:
    """A region that has had its only tick, and that has a value which is not taken."""
    control.create("a", period=NEVER, layout="n:u64", history=8)
    first.tick("a")
    with rtshm.open("a") as region:
        region.publish(1)
    yield
    gc.collect()


@every
def test_close_twice_leaves_no_descriptor(name: str) -> None:
    gc.collect()
    before = descriptors()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ResourceWarning)
        made = MAKERS[name]()
        gc.collect()
    assert not made.closed
    assert made.fileno() >= 0
    made.close()
    made.close()
    assert made.closed
    assert descriptors() == before


@every
def test_use_after_close_is_a_closed_error(name: str) -> None:
    made = MAKERS[name]()
    with made as entered:
        assert entered is made
    assert "closed" in repr(made)
    for use in [
        *USES[name.removeprefix("read-only ")],
        lambda it: it.fileno(),
        lambda it: it.__enter__(),
    ]:
        if name.startswith("read-only") and use in USES["region"][-2:]:
            continue
        with pytest.raises((ClosedError, PermissionError)):
            use(made)  # type: ignore[no-untyped-call]


@every
def test_forgotten_object_is_closed_with_a_warning(name: str) -> None:
    before = descriptors()
    gc.disable()
    try:
        with pytest.warns(ResourceWarning, match="unclosed <rtshm"):
            made = MAKERS[name]()
            del made
            gc.collect()
    finally:
        gc.enable()
    assert descriptors() == before


def test_failed_construction_leaves_nothing_and_says_nothing(
    capfd: pytest.CaptureFixture[str],
) -> None:
    before = descriptors()
    makers: list[Callable[[], object]] = [
        lambda: rtshm.open("nobody"),
        lambda: rtshm.open("a", "x:u8"),
        lambda: Samples("nobody"),
        lambda: Samples("default"),
        lambda: Samples("a", watermark=1000),
        lambda: Samples("a", watermark=0),
        lambda: Samples("a", watermark=2**40),
        lambda: Samples("a", wait=-1),
        lambda: Samples("a", wait=float("nan")),
        lambda: Samples("a", foo=1),  # type: ignore[call-arg]
        lambda: rtshm.Region(),  # type: ignore[call-arg]
    ]
    for make in makers:
        with pytest.raises((OSError, TypeError, ValueError)):
            make()
    gc.collect()
    assert descriptors() == before
    assert capfd.readouterr().err == ""


@every
def test_name_that_is_not_an_attribute_is_refused(name: str) -> None:
    with MAKERS[name]() as made, pytest.raises(AttributeError):
        made.sped = 3.0  # type: ignore[attr-defined]


@pytest.mark.parametrize("readonly", [False, True])
@pytest.mark.parametrize(
    "again", [copy.copy, copy.deepcopy, lambda it: pickle.loads(pickle.dumps(it))]
)
def test_copy_of_a_region_is_another_open_of_it(
    again: Callable[[Any], Any], readonly: bool
) -> None:
    with rtshm.open("a", readonly=readonly) as region:
        copied = again(region)
        fd = copied.fileno()
        assert copied.read() == region.read()
        assert (copied.id, copied.layout) == (region.id, region.layout)
        copied.close()
        other = os.open("/etc/hostname", os.O_RDONLY)
        assert other == fd
        region.close()
        os.fstat(other)
        os.close(other)


@pytest.mark.parametrize("name", ["samples", "control", "watch"])
def test_object_with_a_position_is_neither_copied_nor_pickled(name: str) -> None:
    with MAKERS[name]() as made:
        for again in (copy.copy, copy.deepcopy, pickle.dumps):
            with pytest.raises(TypeError, match="cannot be copied or pickled"):
                again(made)


def test_region_goes_to_a_process_that_is_spawned() -> None:
    with rtshm.open("a") as region:
        region.write({"n": 7})
        script = "import pickle, sys\nprint(pickle.load(sys.stdin.buffer).read()['n'])"
        done = subprocess.run(
            [sys.executable, "-c", script],
            input=pickle.dumps(region),
            capture_output=True,
            check=True,
        )
        assert done.stdout == b"7\n"


@pytest.mark.parametrize("name", ["samples", "control", "watch"])
def test_forked_child_has_it_closed_and_the_parent_goes_on(name: str) -> None:
    with MAKERS[name]() as made:

        def look() -> None:
            assert made.closed
            with pytest.raises(ClosedError):
                made.fileno()

        assert child.status_of(look) == 0
        made.fileno()


WAITS: dict[str, Callable[[Any], object]] = {
    "region": lambda region: region.wait_taken(),
    "read-only region": lambda region: region.wait_taken(),
    "samples": next,
    "watch": next,
}


@pytest.mark.promise(
    "client: Signals at any instant leak no descriptor, and close() wakes threads and tasks"
)
@pytest.mark.parametrize("name", WAITS)
def test_close_wakes_the_thread_that_waits(name: str) -> None:
    made = MAKERS[name]()
    ended: list[object] = []

    def run() -> None:
        try:
            ended.append(WAITS[name](made))
        except Exception as raised:
            ended.append(type(raised))

    threads = [threading.Thread(target=run) for _ in range(3)]
    for thread in threads:
        thread.start()
    while made._users < 3:
        time.sleep(0.01)
    made.close()
    for thread in threads:
        thread.join(PATIENCE)
        assert not thread.is_alive()
    assert ended == [ClosedError] * 3


@pytest.mark.promise(
    "client: Signals at any instant leak no descriptor, and close() wakes threads and tasks"
)
@pytest.mark.parametrize("name", WAITS)
def test_close_wakes_the_tasks_that_wait(name: str) -> None:
    before = descriptors()
    made: Any = MAKERS[name]()

    async def main() -> list[object]:
        def wait() -> Any:
            if isinstance(made, rtshm.Region):
                return made.taken()
            return anext(made)

        tasks = [asyncio.ensure_future(wait()) for _ in range(3)]
        while made._users < 3:
            await asyncio.sleep(0.01)
        made.close()
        return await asyncio.wait_for(asyncio.gather(*tasks, return_exceptions=True), PATIENCE)

    ended = asyncio.run(main())
    assert [type(each) for each in ended] == [ClosedError] * 3
    gc.collect()
    assert descriptors() == before


# Interrupts fall into what the interpreter does by itself, too.
@pytest.mark.promise(
    "client: Signals at any instant leak no descriptor, and close() wakes threads and tasks"
)
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_interrupts_at_any_instant_leak_nothing(control: Control) -> None:
    interrupts.leak_nothing(control, 100)


def test_open_object_at_the_exit_is_not_an_error() -> None:
    script = (
        "import rtshm\n"
        "kept = [rtshm.open('a'), rtshm.Samples('a'), rtshm.Control()]\n"
        "kept.append(kept)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    assert done.stderr == ""


def test_kept_view_holds_only_the_mapping() -> None:
    region = rtshm.open("a")
    view, array = region.view, region.array
    region.close()
    view.n = 3
    assert array["n"] == 3
    assert mmap.PAGESIZE == region.size
    del view, array
    gc.collect()
    with Control() as control:
        assert control.get("a").users == 0
    module.unload()
