"""A pytest plugin of the host: what begins first, failures as they come, the table at the end,
and a Control-C.

pytest-xdist hands the tests, in this order, to some processes. What takes longest begins
first, so that no cpu waits for another at the end.
"""

from __future__ import annotations

import contextlib
import dataclasses
import json
import os
import signal
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import execnet
import pytest

from tests.lib import headline, suites
from tests.lib import whole as last_run
from vm.host import interrupt

if TYPE_CHECKING:
    from collections.abc import Iterator

RESULT = "result of a suite"
"""The property of a test that ran a suite: a Result, as JSON."""

# pytest-xdist's WorkerController, which has no type.
WORKERS: list[Any] = []
CLEARING_SECONDS = 60.0
AT_ONCE_LINES = 20

# By what a test takes: machines and builds, then the compiler, then nothing.
FOLDERS = ("tests/boots", "tools/tests", "vm/tests", "tests/host", "bench/tests")


@pytest.hookimpl(tryfirst=True)
def pytest_xdist_auto_num_workers() -> int:
    """Of `-n auto`: one more than cpus, since a guest sleeps for a third of its time."""
    return len(os.sched_getaffinity(0)) + 1


def pytest_configure() -> None:
    """Refuse $KERNEL before pytest collects no test of it."""
    if suites.CHOSEN and suites.CHOSEN not in suites.table().kernels():
        kernels = ", ".join(suites.table().kernels())
        raise pytest.UsageError(f"no suite for a kernel {suites.CHOSEN!r}; there are: {kernels}")


def pytest_configure_node(node: Any) -> None:
    WORKERS.append(node)


@pytest.hookimpl(tryfirst=True)
def pytest_collection() -> None:
    """Of a worker, and of the process that has just started all workers."""
    interrupt.once(signal.SIGINT)


def pytest_keyboard_interrupt() -> None:
    """Wait for what the workers still remove: pytest-xdist would kill them after 10 s.

    A terminal has sent them SIGINT, too. A signal to this process only does not reach them.
    """
    for child in Path(f"/proc/self/task/{os.getpid()}/children").read_text().split():
        os.kill(int(child), signal.SIGINT)
    for worker in WORKERS:
        with contextlib.suppress(execnet.RemoteError, execnet.TimeoutError):
            worker.channel.waitclose(CLEARING_SECONDS)


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    def place(item: pytest.Item) -> tuple[int, int]:
        if isinstance(item, pytest.Function) and item.originalname == "test_suite":
            return -1, everything.index(cast("suites.Suite", item.callspec.params["suite"]))
        folder = item.nodeid.rpartition("/")[0]
        return FOLDERS.index(folder) if folder in FOLDERS else len(FOLDERS), 0

    everything = suites.all_suites()
    items.sort(key=place)
    # Each worker is given two tests at a time, and a second suite would wait for the first.
    long = [item for item in items if place(item)[0] < 0]
    short = items[len(items) - len(long) :]
    if not set(long) & set(short):
        items[: len(long)] = [each for both in zip(long, short, strict=True) for each in both]
        del items[len(items) - len(long) :]


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    """Say at once what fails, with the tests of a suite that did: the whole comes at the end."""
    if report.failed and "PYTEST_XDIST_WORKER" not in os.environ:
        text = f"{report.longreprtext}\n{report.capstdout}".splitlines()
        found = [line for line in text if line.startswith(("E  ", "FAILED ", "ERROR "))]
        print(f"\nFAILED {report.nodeid}", *found[:AT_ONCE_LINES], sep="\n", flush=True)


@pytest.hookimpl(trylast=True)
def pytest_sessionfinish(session: pytest.Session) -> None:
    """A run of all suites is kept, and fails if they did less than is promised of it."""
    if found := whole(session.config):
        last_run.record(found)
    if missing(session.config):
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


def pytest_terminal_summary(
    terminalreporter: pytest.TerminalReporter, config: pytest.Config
) -> None:
    if found := [*results(config)]:
        terminalreporter.section("guests")
        for line in [*headline.table(found, whole=bool(whole(config))), *missing(config)]:
            terminalreporter.write_line(line)


def missing(config: pytest.Config) -> list[str]:
    """What a run of all suites did too little of; nothing if it was not one."""
    found = whole(config)
    return headline.short(headline.total(found)) if found else []


def whole(config: pytest.Config) -> list[suites.Result]:
    """The results of a run of all suites; none if it was not one."""
    found = [*results(config)]
    # One kernel does not do it all.
    if suites.CHOSEN or {result.suite for result in found} != {*suites.all_suites()}:
        return []
    return found


def results(config: pytest.Config) -> Iterator[suites.Result]:
    """Of the suites that have run, in any of the processes, in the order of their ends."""
    reporter = config.pluginmanager.get_plugin("terminalreporter")
    for reports in reporter.stats.values() if reporter is not None else ():
        for report in reports:
            # The report of the end of a test has its properties, too.
            called = getattr(report, "when", None) == "call"
            for name, text in report.user_properties if called else ():
                if name == RESULT:
                    row = json.loads(text)
                    yield suites.Result(**{**row, "suite": suites.Suite(**row["suite"])})


def as_property(result: suites.Result) -> tuple[str, str]:
    return RESULT, json.dumps(dataclasses.asdict(result))
