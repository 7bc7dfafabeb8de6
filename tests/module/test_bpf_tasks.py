"""BPF programs as tasks: rtshm.Task, kmod/bpf.c, and the programs of tests/module/tasks."""

from __future__ import annotations

import errno
import importlib.util
import re
import subprocess
import sys
import threading
import time
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy
import pytest
import rtshm
from rtshm import bpf

from tests.lib import bpf_tasks, command, module
from tests.lib.bpf_tasks import (
    COUNT,
    LAYOUT,
    MAPS,
    PERIOD_NS,
    PROGRAMS,
    SHORTEST_NS,
    create,
    programs,
)
from tests.lib.child import killed
from tests.lib.genl import NUMBERS, Genl, Refused, raw
from tests.lib.libc import PAGE
from tests.lib.waiting import wait_until

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.lib.fixtures import Load

# The kernels with debugging are built without BPF, but for two.
pytestmark = [pytest.mark.stock, pytest.mark.needs("bpf")]

REFUSED = PROGRAMS / "refused.bpf.o"
ITERATOR = PROGRAMS / "iterator.bpf.o"
# What a program needs that calls functions of the kernel. Kernels built here are without.
BTF = Path("/sys/kernel/btf/vmlinux")
PI = module.CHECKOUT / "client/examples/pi.bpf.o"
PI_MODULE = module.CHECKOUT / "kmod/examples/pi/rtshm_pi.ko"
NOBODY = 65534
RELEASE = module.kernel_version()


@pytest.fixture
def control(load: Load) -> Iterator[rtshm.Control]:
    with bpf_tasks.region(load) as control:
        yield control


def output() -> int:
    with rtshm.open("r", readonly=True) as region:
        return int(region.read()["output"])


def more_than(count: int) -> bool:
    return output() > count


def assert_refused(
    number: int, words: str, program: Any, name: str = "refused", **more: Any
) -> None:
    with pytest.raises(OSError) as caught:
        rtshm.Task("r", program, name=name, **more)
    assert (caught.value.errno, caught.value.strerror) == (number, words)


@pytest.mark.promise(
    "BPF: A program runs in each tick, in order, and the sample has what it stored"
)
def test_program_runs_in_each_tick_and_the_sample_has_what_it_stores(
    control: rtshm.Control,
) -> None:
    with rtshm.open("r") as region, rtshm.Task(region, COUNT) as task:
        with rtshm.Samples("r") as samples:
            seen = samples.read_array(50)
        assert (numpy.diff(seen["output"]) == 1).all()
        assert (seen["error"] == seen["tick"]).all()
        with rtshm.Samples("r") as samples:
            region.publish(42)
            wait_until(lambda: 42 in samples.read_array(1)["drive"], "the announced value")
        info = task.info
    assert (info.name, info.record_bytes, info.stopped) == ("count", 24, False)
    assert info.ticks >= len(seen)
    assert info.prog_id
    assert info.insns_max
    assert 5 < info.insns_max < 50
    assert control.get("r").tasks == ()
    assert programs() == 0


def step(example: Any) -> Any:
    """The samples of a step, from a controller that begins at nought."""
    with rtshm.open("r") as region:
        region.update(setpoint=0, output=0, error=0, drive=0)
    return example.step(ticks=600)


@pytest.mark.promise(
    "BPF: The PI controller in BPF answers a step as the kernel module does, bit for bit"
)
def test_controller_answers_a_step_as_the_module_does_bit_for_bit(load: Load) -> None:
    load(print=0, period_ns=3_600_000_000_000)
    spec = importlib.util.spec_from_file_location(
        "pi_example", module.CHECKOUT / "client/examples/pi.py"
    )
    assert spec
    assert spec.loader
    example: Any = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(example)
    with rtshm.Control() as control:
        layout = LAYOUT.replace("i32", "q16")
        control.create("pi", period=PERIOD_NS, layout=layout, history=4096)
        with rtshm.Task("pi", PI):
            ours = example.step(ticks=600)
        with rtshm.open("pi") as region:
            region.update(setpoint=0)
        module.insert(PI_MODULE)
        try:
            theirs = example.step(ticks=600)
        finally:
            module.remove("rtshm_pi")
    responses = []
    for samples in (ours, theirs):
        first = int(numpy.flatnonzero(samples["setpoint"])[0])
        seen = samples[first : first + 550]
        responses.append(numpy.array([seen["output"], seen["error"], seen["drive"]]))
    assert responses[0][0].max() > 0.99
    assert (responses[0] == responses[1]).all()


NO_BOUND = "prog-fd: no bound on its instructions: give unbounded to run it"
# With the release that has what the program uses.
REFUSED_BY_US = {
    "beyond_the_record": (
        errno.ERANGE,
        f"prog-fd: it reaches 16384 bytes of the record, which has {PAGE - 8}",
        (6, 1),
    ),
    "with_a_trie": (
        errno.EOPNOTSUPP,
        "prog-fd: map trie: type 11 is not for hard interrupts",
        (6, 1),
    ),
    "with_a_tail_call": (
        errno.EOPNOTSUPP,
        "prog-fd: map programs: type 3 is not for hard interrupts",
        (6, 1),
    ),
    "with_a_map_of_maps": (
        errno.EOPNOTSUPP,
        "prog-fd: map maps: type 12 is not for hard interrupts",
        (6, 1),
    ),
    "with_a_callback": (errno.EINVAL, NO_BOUND, (6, 1)),
    "with_a_function": (errno.EINVAL, NO_BOUND, (6, 1)),
    "with_a_may_goto": (errno.EINVAL, NO_BOUND, (6, 9)),
}
# A pattern for the words of the verifiers of all kernels.
REFUSED_BY_THE_VERIFIER = {
    "with_a_lock": "tracing progs cannot use bpf_spin_lock yet",
    "without_an_end": "infinite loop detected|BPF program is too large",
    "with_a_variable_index": "invalid variable buffer offset",
    "before_the_record": "invalid (tracepoint buffer access|negative tracepoint buffer offset)",
    "through_a_pointer": "invalid mem access 'scalar'",
    "with_a_stolen_context": "invalid bpf_context access",
}
if RELEASE < (7, 2):
    # Later kernels start a timer from an irq_work, and so let any program have one.
    REFUSED_BY_THE_VERIFIER["with_a_timer"] = "tracing progs cannot use bpf_timer yet"


def refuse_all() -> None:
    for name, (number, words, since) in REFUSED_BY_US.items():
        if RELEASE >= since:
            assert_refused(number, words, REFUSED, name)
    if RELEASE >= (6, 4) and BTF.exists():
        assert_refused(errno.EINVAL, NO_BOUND, ITERATOR, "with_an_iterator")


@pytest.mark.needs("settings")
def test_program_without_a_bound_is_refused_where_its_constants_are_rewritten(
    control: rtshm.Control,
) -> None:
    """By the kernel, with a random number each, against who would spray code."""
    setting = Path("/proc/sys/net/core/bpf_jit_harden")
    before = setting.read_text()
    setting.write_text("2")
    try:
        refuse_all()
    finally:
        setting.write_text(before)


@pytest.mark.promise("BPF: A program that could harm is refused, with the reason")
@pytest.mark.same_on_rt
def test_program_that_could_harm_is_refused_with_words(control: rtshm.Control) -> None:
    refuse_all()
    for name, words in REFUSED_BY_THE_VERIFIER.items():
        with pytest.raises(rtshm.ProgramError, match=words) as caught:
            rtshm.Task("r", REFUSED, name=name)
        # With the line of the source, if it has come as far as the instructions.
        text = str(caught.value)
        assert "processed 0 insns" in text or re.search(r"^; .*\btick\b", text, re.MULTILINE), text
    assert control.get("r").tasks == ()
    assert programs() == 0


@pytest.mark.promise("BPF: Budget and longest time apply as to any task")
def test_unbounded_program_runs_where_long_tasks_are_stopped(control: rtshm.Control) -> None:
    words = "unbounded: the region needs a period, and a task-long-max that stops long tasks"
    control.set("r", task_long_max=0)
    assert_refused(errno.EINVAL, words, REFUSED, "with_a_function", unbounded=True)
    control.set("r", task_long_max=3)
    with rtshm.Task("r", REFUSED, name="with_a_function", unbounded=True) as task:
        wait_until(lambda: task.info.ticks > 5, "ticks of the task")
        assert task.info.insns_max is None


@pytest.mark.same_on_rt
def test_descriptor_of_another_kind_of_program_is_refused(control: rtshm.Control) -> None:
    words = "prog-fd: not a BPF program of type raw_tracepoint_writable"
    with open("/dev/null", "rb") as file:
        assert_refused(errno.EINVAL, words, file)
    assert_refused(errno.EBADF, words, 9999)
    pinned = Path("/sys/fs/bpf/rtshm-plain")
    load = ["bpftool", "prog", "load", str(PROGRAMS / "plain.bpf.o"), str(pinned)]
    subprocess.run(load, check=True)
    try:
        assert_refused(errno.EINVAL, words, pinned)
    finally:
        pinned.unlink()
    with pytest.raises(rtshm.ProgramError, match="no function of it is in the section"):
        rtshm.Task("r", PROGRAMS / "plain.bpf.o")


@pytest.mark.same_on_rt
def test_names_and_places_are_refused_with_words(control: rtshm.Control) -> None:
    most = "name: give [a-z0-9][a-z0-9_-]*, at most 31 characters"
    with ExitStack() as tasks:
        for number in range(8):
            tasks.enter_context(rtshm.Task("r", COUNT, name=f"{number:031}"))
            if number == 6:
                taken = "name: the region has a task of this name"
                assert_refused(errno.EEXIST, taken, COUNT, f"{number:031}")
        assert_refused(
            errno.ENOSPC, "name: the region has the maximum number of tasks", COUNT, "more"
        )
    for name in ("Count", "", "a" * 32, "../a"):
        assert_refused(errno.EINVAL, most, COUNT, name)
    with bpf.descriptor(COUNT, "count") as fd:
        for call in (control.add_task, control.replace_task):
            with pytest.raises(rtshm.RegionNotFoundError, match="region: no such region"):
                call("nowhere", "count", fd)
        with pytest.raises(OSError, match="the region has no BPF task of this name") as caught:
            control.replace_task("r", "count", fd)
        assert caught.value.errno == errno.ESRCH
    with pytest.raises(OSError, match="the region has no BPF task of this name"):
        control.remove_task("r", "count")


@pytest.mark.same_on_rt
def test_request_without_an_attribute_says_which(control: rtshm.Control) -> None:
    given = {
        "REGION": b"r\0",
        "NAME": b"count\0",
        "PROG_FD": (9999).to_bytes(4, sys.byteorder),
    }
    needed = {"NEW": given, "SET": given, "DEL": ["REGION", "NAME"]}
    with Genl() as link:
        for command_name, names in needed.items():
            for missing in names:
                attributes = b"".join(
                    raw(NUMBERS[f"RTSHM_A_TASK_REQUEST_{name}"], given[name])
                    for name in names
                    if name != missing
                )
                with pytest.raises(Refused) as caught:
                    link.ask(NUMBERS[f"RTSHM_CMD_TASK_{command_name}"], attributes)
                words = f"{missing.lower().replace('_', '-')}: missing"
                assert (caught.value.errno, caught.value.text) == (errno.EINVAL, words)


@pytest.mark.same_on_rt
def test_tasks_take_privileges_and_the_message_says_which(control: rtshm.Control) -> None:
    refused = command.run("task", "add", "r", str(COUNT), user=NOBODY)
    assert refused.returncode == 1
    assert "loading a BPF program takes CAP_BPF and CAP_PERFMON" in refused.stderr
    with rtshm.Task("r", COUNT):
        refused = command.run("task", "remove", "r", "count", user=NOBODY)
        assert refused.returncode == 1
        assert "this takes CAP_SYS_RESOURCE" in refused.stderr
        # A process that may read a region sees its tasks.
        assert "count" not in command.run("task", "list", user=NOBODY).stdout
        Path("/dev/rtshm/r").chmod(0o604)
        assert "count" in command.run("task", "list", user=NOBODY).stdout


def test_task_of_a_module_is_not_a_bpf_task(control: rtshm.Control) -> None:
    module.insert(module.PROBE)
    try:
        Path("/sys/module/rtshm_probe/parameters/run").write_text("add 9 r")
        with pytest.raises(OSError, match="the region has no BPF task of this name"):
            control.remove_task("r", "probe9")
        assert_refused(errno.EEXIST, "name: the region has a task of this name", COUNT, "probe9")
        with rtshm.Task("r", COUNT):
            assert [task.prog_id is None for task in control.get("r").tasks] == [True, False]
    finally:
        module.remove("rtshm_probe")


@pytest.mark.same_on_rt
def test_pinned_program_and_what_has_a_descriptor_are_tasks(control: rtshm.Control) -> None:
    pinned = Path("/sys/fs/bpf/rtshm-count")
    subprocess.run(["bpftool", "prog", "load", str(COUNT), str(pinned)], check=True)
    try:
        with rtshm.Task("r", pinned, name="a") as task:
            wait_until(lambda: task.info.ticks > 5, "ticks of the pinned program")

        class Loaded:
            def __init__(self, fd: int) -> None:
                self.file_descriptor = fd

        with bpf.descriptor(pinned, "a") as fd:
            task = rtshm.Task("r", Loaded(fd), name="b")
    finally:
        pinned.unlink()
    wait_until(lambda: task.info.ticks > 5, "ticks of a program that only the task holds")
    task.remove()
    task.remove()
    assert programs() == 0


@pytest.mark.promise(
    "BPF: A replacement leaves no tick without a program; a refused one leaves the old program"
)
def test_replacing_leaves_no_tick_without_a_program(control: rtshm.Control) -> None:
    bpf_tasks.replace(control, 500)


@pytest.mark.promise(
    "BPF: A replacement leaves no tick without a program; a refused one leaves the old program"
)
def test_refused_replacement_leaves_the_old_program(control: rtshm.Control) -> None:
    with rtshm.Task("r", COUNT) as task:
        before = task.info.prog_id
        with pytest.raises(OSError, match="type 11 is not for hard interrupts"):
            with bpf.descriptor(REFUSED, "with_a_trie") as fd:
                control.replace_task("r", "count", fd)
        ticks = task.info.ticks
        wait_until(lambda: task.info.ticks > ticks, "a tick of the old program")
        assert task.info.prog_id == before


@pytest.mark.promise("BPF: The loader may be killed, and the program is freed with its region")
def test_killed_loader_leaves_its_task_which_goes_with_the_region(control: rtshm.Control) -> None:
    def load() -> None:
        rtshm.Task("r", COUNT)
        time.sleep(1000)

    for _ in range(3):
        with killed(load):
            wait_until(lambda: control.get("r").tasks, "the task")
        wait_until(partial(more_than, output() + 20), "ticks without the loader")
        control.delete("r")
        wait_until(lambda: programs() == 0, "the program's end")
        create(control)
        assert control.get("r").tasks == ()


@pytest.mark.promise("BPF: The loader may be killed, and the program is freed with its region")
def test_loaders_killed_at_any_moment_leave_no_program_behind(control: rtshm.Control) -> None:
    bpf_tasks.kill_loaders(control, 30)


@pytest.mark.promise("BPF: rtshm.ko cannot be unloaded under a task")
def test_region_and_module_go_in_every_order(load: Load) -> None:
    load(print=0, period_ns=3_600_000_000_000)
    with rtshm.Control() as control:
        # The region under the task.
        create(control)
        with rtshm.Task("r", COUNT):
            control.delete("r")
            create(control)
            assert control.get("r").tasks == ()
        # The module under the task, which holds it.
        task = rtshm.Task("r", COUNT)
        with pytest.raises(BlockingIOError):
            module.unload()
        # The region is open, and deleted.
        with rtshm.open("r"):
            control.delete("r")
            task.remove()
        module.unload()
        assert programs() == 0
        # The program from before the module was loaded again.
        with bpf.descriptor(COUNT, "count") as fd:
            load(print=0, period_ns=3_600_000_000_000)
            create(control)
            with rtshm.Task("r", fd, name="count") as again:
                wait_until(lambda: again.info.ticks > 5, "ticks of the task")
                before = output()
                control.set("r", period=2 * PERIOD_NS)
                wait_until(lambda: output() > before, "ticks after a change of the region")
    module.unload()
    assert programs() == 0


def test_maps_of_each_type_are_used_in_the_tick(control: rtshm.Control) -> None:
    control.set("r", period=SHORTEST_NS)
    with rtshm.Task("r", MAPS) as task:
        # Each of the 128 keys four times: by then each map is full.
        wait_until(lambda: output() >= 512, "512 ticks")
        assert task.info.insns_max
        assert not task.info.stopped


def test_adding_replacing_and_deleting_at_once(control: rtshm.Control) -> None:
    """Three threads at random on regions that tick each 100 us, for some seconds."""
    control.set("r", period=SHORTEST_NS)
    errors: list[BaseException] = []
    allowed = {errno.ENOENT, errno.ESRCH, errno.EEXIST}

    def ask(call: Callable[..., None], *arguments: object) -> None:
        try:
            call("r", "count", *arguments)
        except OSError as error:
            if error.errno not in allowed:
                raise

    def churn() -> None:
        try:
            with (
                rtshm.Control() as own,
                bpf.descriptor(COUNT, "count") as one,
                bpf.descriptor(MAPS, "maps") as other,
            ):
                for _ in range(150):
                    ask(own.add_task, one)
                    ask(own.replace_task, other)
                    ask(own.remove_task)
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=churn) for _ in range(3)]
    for thread in threads:
        thread.start()
    for _ in range(10):
        control.delete("r")
        create(control, period=SHORTEST_NS)
    for thread in threads:
        thread.join()
    assert errors == []
    control.delete("r")
    assert programs() == 0


@pytest.mark.same_on_rt
def test_command_adds_lists_shows_replaces_and_removes(control: rtshm.Control) -> None:
    assert command.done("task", "add", "r", str(COUNT)) == ""
    assert re.search(
        r"^r +count .*\d+ instructions +runs$", command.done("task", "list"), re.MULTILINE
    )
    assert "its first 24 bytes" in command.done("task", "show", "r", "count")
    assert command.done("task", "replace", "r", str(MAPS), "--name", "count") == ""
    assert "count" in command.done("show", "r")
    assert command.done("task", "remove", "r", "count") == ""
    assert control.get("r").tasks == ()


@pytest.mark.same_on_rt
def test_command_shows_the_words_of_a_refusal(control: rtshm.Control) -> None:
    for program, name, words in (
        ("/dev/null", "null", "/dev/null: libbpf cannot read it (Invalid argument)"),
        (str(REFUSED), "with_a_variable_index", "invalid variable buffer offset"),
        (str(REFUSED), "with-a-callback", f"{NO_BOUND} (EINVAL, 22)"),
        (str(REFUSED), "nothing", "there is no program nothing; there are beyond_the_record, "),
    ):
        refused = command.run("task", "add", "r", program, "--name", name)
        assert (refused.returncode, refused.stdout) == (1, "")
        assert refused.stderr.startswith("rtshm: ")
        assert words in refused.stderr
        assert "Traceback" not in refused.stderr
