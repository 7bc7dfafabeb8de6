"""The reader of samples, on a descriptor that is not the module's: each sample once, in order.

A pipe gives whole samples, as the module's node does, and ends when its other end is closed.
"""

from __future__ import annotations

import asyncio
import os
import struct
import threading
import time
from io import FileIO
from itertools import pairwise
from typing import Any

import hypothesis.strategies as st
import pytest
from hypothesis import settings
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule
from rtshm import testing
from rtshm.errors import ClosedError
from rtshm.layout import Layout
from rtshm.samples import HEADER, Reader

PATIENCE = 60
LAYOUT = Layout("n:u64")
# Header, word, and the field.
SAMPLE = struct.Struct(f"{HEADER.format}iB3xQ")


class Piped(Reader):
    """A reader of a pipe."""

    __slots__ = ("_input", "_tick")

    def __init__(self) -> None:
        super().__init__()
        out, self._input = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        self._tick = 0
        self._begin(FileIO(out), SAMPLE.size, LAYOUT)
        self._opened()

    def tick(self, count: int, skip: int = 0) -> None:
        """Give some samples, after some that are lost."""
        self._tick += skip
        for _ in range(count):
            self._tick += 1
            sample = SAMPLE.pack(self._tick, self._tick * 10, 0, 0, 0, 5, 0, self._tick)
            while True:
                try:
                    assert os.write(self._input, sample) == len(sample)
                    break
                except BlockingIOError:
                    time.sleep(0.001)

    def end(self) -> None:
        if self._input >= 0:
            os.close(self._input)
            self._input = -1

    def _release(self) -> None:
        super()._release()
        self.end()


class Mixed(RuleBasedStateMachine):
    """All ways to read, in any order, against a list of what there is."""

    def __init__(self) -> None:
        super().__init__()
        self.reader = Piped()
        self.loop = asyncio.new_event_loop()
        self.there: list[int] = []
        self.last: int | None = None
        self.lost = 0
        self.over = False

    def given(self, ticks: list[int]) -> None:
        assert ticks == self.there[: len(ticks)]
        del self.there[: len(ticks)]
        for tick in ticks:
            self.lost += 0 if self.last is None else tick - self.last - 1
            self.last = tick

    @precondition(lambda self: not self.over)
    @rule(count=st.integers(0, 40), skip=st.integers(0, 5))
    def tick(self, count: int, skip: int) -> None:
        if len(self.there) < 500:
            self.reader.tick(count, skip)
            self.there += range(self.reader._tick - count + 1, self.reader._tick + 1)

    @precondition(lambda self: self.there)
    @rule()
    def by_next(self) -> None:
        sample = next(self.reader)
        assert sample["n"] == sample.tick
        self.given([sample.tick])

    @precondition(lambda self: self.there)
    @rule(most=st.integers(1, 100))
    def by_array(self, most: int) -> None:
        array = self.reader.read_array(most)
        assert 1 <= len(array) <= most
        assert (array["n"] == array["tick"]).all()
        self.given(array["tick"].tolist())

    @rule(most=st.integers(1, 100))
    def by_array_that_does_not_wait(self, most: int) -> None:
        array = self.reader.read_array(most, wait=False)
        assert bool(len(array)) is bool(self.there)
        self.given(array["tick"].tolist())

    @precondition(lambda self: self.there)
    @rule(tasks=st.integers(1, 4))
    def by_tasks(self, tasks: int) -> None:
        async def main() -> list[Any]:
            some = min(tasks, len(self.there))
            return await asyncio.gather(*(self.reader.read_async(PATIENCE) for _ in range(some)))

        self.given(sorted(sample.tick for sample in self.loop.run_until_complete(main())))

    @precondition(lambda self: self.there)
    @rule(threads=st.integers(1, 3))
    def by_threads(self, threads: int) -> None:
        found: list[int] = []
        some = min(threads, len(self.there))
        running = [
            threading.Thread(target=lambda: found.append(next(self.reader).tick))
            for _ in range(some)
        ]
        for thread in running:
            thread.start()
        for thread in running:
            thread.join(PATIENCE)
        self.given(sorted(found))

    @precondition(lambda self: not self.there and not self.over)
    @rule()
    def timeout(self) -> None:
        with pytest.raises(TimeoutError):
            self.reader.read(timeout="1ms")
        with pytest.raises(TimeoutError):
            self.reader.read_array(1, timeout=0)
        with pytest.raises(TimeoutError):
            self.loop.run_until_complete(self.reader.read_async(timeout=0.001))

    @precondition(lambda self: not self.over)
    @rule()
    def end(self) -> None:
        self.reader.end()
        self.over = True

    @precondition(lambda self: not self.there and self.over)
    @rule()
    def at_the_end(self) -> None:
        assert next(self.reader, None) is None
        assert self.reader.read() is None
        assert len(self.reader.read_array(5)) == 0

    @invariant()
    def lost_is_exact(self) -> None:
        assert self.reader.lost == self.lost

    def teardown(self) -> None:
        self.reader.close()
        self.loop.close()


TestMixed = Mixed.TestCase
TestMixed.settings = settings(max_examples=60, stateful_step_count=40, deadline=None)


def test_next_and_array_on_one_reader_give_samples_in_order() -> None:
    with Piped() as reader:
        reader.tick(10)
        assert next(reader).tick == 1
        reader.tick(10)
        assert reader.read_array(5)["tick"].tolist() == [2, 3, 4, 5, 6]
        assert next(reader).tick == 7
        assert reader.lost == 0


@pytest.mark.promise(
    "history: Samples come once and in order, and lost is exact, in any mix of readers"
)
def test_lost_is_exact_when_threads_share_a_reader() -> None:
    count = 1500
    with Piped() as reader:
        ticks: list[int] = []

        def read() -> None:
            for sample in reader:
                ticks.append(sample.tick)

        threads = [threading.Thread(target=read) for _ in range(3)]
        for thread in threads:
            thread.start()
        for _ in range(count // 10):
            reader.tick(10, skip=2)
        reader.end()
        for thread in threads:
            thread.join(PATIENCE)
        assert len(ticks) == len(set(ticks)) == count
        assert reader.lost == 2 * (count // 10 - 1)


def test_async_reading_lets_others_have_their_turn() -> None:
    """While there always is something to read, other tasks run before each read."""

    async def main() -> list[int]:
        turns = 0
        found = []

        async def others() -> None:
            nonlocal turns
            while True:
                await asyncio.sleep(0)
                turns += 1

        with Piped() as reader:
            running = asyncio.ensure_future(others())
            for _ in range(100):
                reader.tick(1)
                await anext(reader)
                found.append(turns)
            running.cancel()
        return found

    turns = asyncio.run(main())
    assert all(later > before for before, later in pairwise(turns))


def test_async_iteration_over_a_full_buffer_lets_others_have_their_turn() -> None:
    """However much one read gave: others run after each 1 ms of work."""

    async def main() -> int:
        turns = 0

        async def others() -> None:
            nonlocal turns
            while True:
                await asyncio.sleep(0)
                turns += 1

        with testing.region(history=1000, ticking=False) as region, region.samples() as samples:
            region.tick(1000)
            region.delete()
            running = asyncio.ensure_future(others())
            async for _ in samples:
                until = time.monotonic() + 0.0001
                while time.monotonic() < until:
                    pass
            running.cancel()
        return turns

    # In ten samples 1 ms is over.
    assert asyncio.run(main()) >= 1000 // 10 - 1


def test_tasks_share_one_reader_and_none_waits_for_ever() -> None:
    async def main() -> list[int]:
        with Piped() as reader:
            tasks = [asyncio.ensure_future(anext(reader)) for _ in range(3)]
            await asyncio.sleep(0.01)
            cancelled = asyncio.ensure_future(anext(reader))
            await asyncio.sleep(0.01)
            cancelled.cancel()
            for _ in range(3):
                reader.tick(1)
                await asyncio.sleep(0.01)
            samples = await asyncio.wait_for(asyncio.gather(*tasks), PATIENCE)
            return sorted(sample.tick for sample in samples)

    assert asyncio.run(main()) == [1, 2, 3]


def test_close_wakes_thread_and_task() -> None:
    reader = Piped()
    ended: list[object] = []

    def wait() -> None:
        try:
            next(reader)
        except ClosedError as error:
            ended.append(error)

    thread = threading.Thread(target=wait)
    thread.start()
    while not reader._users:
        time.sleep(0.001)
    reader.close()
    thread.join(PATIENCE)
    assert len(ended) == 1
    reader.close()

    async def main() -> None:
        other = Piped()
        tasks = [asyncio.ensure_future(anext(other)) for _ in range(2)]
        await asyncio.sleep(0.01)
        other.close()
        for task in tasks:
            with pytest.raises(ClosedError):
                await asyncio.wait_for(task, PATIENCE)

    asyncio.run(main())
