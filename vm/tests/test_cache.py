"""Artefacts: whole or not there, and made once."""

from __future__ import annotations

import multiprocessing
import os
import signal
import time
from typing import TYPE_CHECKING

import pytest

from vm.host import cache, kbuild, runs

if TYPE_CHECKING:
    from pathlib import Path

# No copy of pytest's own state in the children, only the environment.
SPAWN = multiprocessing.get_context("spawn")


@pytest.fixture(autouse=True)
def empty_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    return tmp_path / cache.FOLDER


def slow_build(path: Path) -> None:
    (path / "half").touch()
    with (cache.root() / "builds").open("a") as file:
        file.write("built\n")
    time.sleep(1)
    (path / "whole").touch()


def make_artefact() -> None:
    assert (cache.artefact("thing", ["parts"], slow_build) / "whole").exists()


def builds(empty_cache: Path) -> int:
    try:
        return len((empty_cache / "builds").read_text().splitlines())
    except FileNotFoundError:
        return 0


def things(empty_cache: Path) -> list[Path]:
    return [path for path in empty_cache.iterdir() if "thing" in path.name]


def test_two_processes_at_once_build_once(empty_cache: Path) -> None:
    processes = [SPAWN.Process(target=make_artefact) for _ in range(2)]
    for process in processes:
        process.start()
    for process in processes:
        process.join(30)
        assert process.exitcode == 0
    assert builds(empty_cache) == 1


def test_a_killed_build_is_done_again(empty_cache: Path) -> None:
    process = SPAWN.Process(target=make_artefact)
    process.start()
    deadline = time.monotonic() + 30
    while builds(empty_cache) == 0:
        assert time.monotonic() < deadline
        time.sleep(0.01)
    assert process.pid is not None
    os.kill(process.pid, signal.SIGKILL)
    process.join()
    make_artefact()
    assert builds(empty_cache) == 2
    assert len(things(empty_cache)) == 1


def test_a_failed_build_leaves_nothing(empty_cache: Path) -> None:
    def fail(path: Path) -> None:
        (path / "half").touch()
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        cache.artefact("thing", ["parts"], fail)
    assert things(empty_cache) == []


def test_other_parts_are_another_artefact() -> None:
    first = cache.artefact("thing", ["a", "b"], lambda path: None)
    assert cache.artefact("thing", ["a", "b"], lambda path: None) == first
    assert cache.artefact("thing", ["ab"], lambda path: None) != first


def test_runs_are_pruned_but_not_those_that_go_on(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(runs, "KEEP", 2)
    with runs.directory() as old:
        for _ in range(4):
            with runs.directory():
                pass
        assert old.exists()
        assert len(list(old.parent.iterdir())) == 3
    with runs.directory():
        assert not old.exists()


def prune_builds(start: str) -> None:
    while time.time() < float(start):
        pass
    kbuild.prune(cache.root() / "build")


def prune_what_others_remove(start: str) -> None:
    while time.time() < float(start) + 1:
        cache.prune("any", keep=0)


def test_builds_of_checkouts_that_are_gone_are_pruned_by_several_at_once(empty_cache: Path) -> None:
    for number in range(300):
        folder = empty_cache / "build" / str(number)
        folder.mkdir(parents=True)
        (folder / ".checkout").write_text("/nowhere/checkout")
    mode = (empty_cache / "build").stat().st_mode, empty_cache.stat().st_mode
    start = str(time.time() + 3)
    targets = (prune_builds, prune_builds, prune_builds, prune_what_others_remove)
    pruners = [SPAWN.Process(target=target, args=(start,)) for target in targets]
    for each in pruners:
        each.start()
    for each in pruners:
        each.join()
    assert [each.exitcode for each in pruners] == [0, 0, 0, 0]
    assert [*(empty_cache / "build").iterdir()] == []
    # Other users than this one still get in: user-mode Linux runs for any.
    assert ((empty_cache / "build").stat().st_mode, empty_cache.stat().st_mode) == mode
