"""Fixtures for tests of the loaded module; tests/conftest.py makes pytest find them."""

from __future__ import annotations

import gc
import os
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import rtshm

from tests.lib import module
from tests.lib.genl import Genl
from tests.lib.kmsg import KernelLog
from tests.lib.programs import compiled

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    Load = Callable[..., None]


def pytest_collection_finish() -> None:
    """Leave what is imported by now out of each garbage collection.

    It is most of what there is, and an emulated guest takes a quarter of a second to visit it.
    """
    gc.collect()
    gc.freeze()


@pytest.fixture(scope="session")
def tainted() -> None:
    """The first load after boot logs two lines more, of the kernel's own, about the taint."""
    module.load(print=0)
    module.unload()


@pytest.fixture
def log(tainted: None) -> Iterator[KernelLog]:
    """The module's lines from now on. Named before `load`, so that its first line is there."""
    with KernelLog(new_only=True) as kernel_log:
        yield kernel_log


@pytest.fixture
def load(tainted: None) -> Iterator[Load]:
    """load(period_ns=..., size=..., print=...); unloaded after the test."""
    assert not module.is_loaded(), "an earlier test left the module loaded"
    yield module.load
    if not module.is_loaded():
        return
    try:
        module.unload()
    except BlockingIOError:
        # Not at the top: the guest of tests/install has no pexpect.
        import pexpect

        # A failed test may have left its regions open, held by its traceback, and commands
        # on terminals, which would fail all tests to come.
        # type(), because a weak proxy to what is gone cannot be asked for its class.
        for thing in gc.get_objects():
            if type(thing) in (rtshm.Region, pexpect.spawn):
                thing.close()
        module.unload()


@pytest.fixture
def control(load: Load) -> Iterator[rtshm.Control]:
    """Of a module that prints nothing, and whose default region ticks once an hour."""
    load(print=0, period_ns=3_600_000_000_000)
    with rtshm.Control() as control:
        yield control


@pytest.fixture
def link(load: Load) -> Iterator[Genl]:
    """A netlink socket, of a module that prints nothing."""
    load(print=0)
    with Genl() as link:
        yield link


@pytest.fixture
def opened(control: rtshm.Control) -> Iterator[Callable[..., int]]:
    """Opens the samples of the region `a`; closed after the test, however it ends."""
    with ExitStack() as files:

        def open_samples(flags: int = os.O_RDONLY) -> int:
            fd = os.open("/dev/rtshm/a.samples", flags)
            files.callback(os.close, fd)
            return fd

        yield open_samples


@pytest.fixture(scope="session")
def tear(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The program tear.c."""
    program = tmp_path_factory.mktemp("tear") / "tear"
    return compiled(Path(__file__).with_name("tear.c"), program)
