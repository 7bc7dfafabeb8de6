"""Compiling BPF programs for a region: the header of its layout, and what clang says."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
import rtshm
from rtshm import bpf
from rtshm.layout import Layout

from tests.host import cli
from tests.lib.payload import CHECKOUT, TASK_ROOT
from vm.host import debian, image

EXAMPLES = CHECKOUT / "client/examples"
PI = "setpoint:q16 kp:q16 ki:q16 output:q16 error:q16 drive:q16"
EVERY_KIND = (
    "on:bool mode:u8{OFF=0,ON=1} small:i16 word:u32 wide:i64 half:f32 whole:f64 axes:i32[3] "
    "raw:bytes[8] pos(x:i32 y:i32)"
)

# Runs in the root with clang. A source, and the layout of the region that it is for.
COMPILE = """
import sys
from pathlib import Path
from rtshm import bpf
from rtshm.layout import Layout

source = Path("/tmp/program.bpf.c")
source.write_text(sys.argv[1])
header = Layout(sys.argv[2]).declaration("region_r", bpf=True)
try:
    print(bpf.compiled(source, header)[:4])
except bpf.ProgramError as error:
    print(error)
"""


def compiled(source: str, layout: str) -> str:
    return inside(COMPILE, source, layout)


def inside(script: str, *arguments: str) -> str:
    """What a script prints in the root with clang, where the checkout is /build."""
    root = image.plain_root("compilers", "trixie", TASK_ROOT)
    command = ["env", "PYTHONPATH=/build/client", "python3", "-B", "-c", script, *arguments]
    done = subprocess.run(
        debian.inside(root.tree, command, binds={CHECKOUT: "/build"}),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    return done.stdout


def test_header_of_the_example_is_that_of_its_layout() -> None:
    header = (EXAMPLES / bpf.HEADER).read_text()
    assert header == Layout(PI).declaration("region_pi", bpf=True)
    done = cli.run("header", "pi", "--bpf", "--layout", PI)
    assert (done.returncode, done.stdout, done.stderr) == (0, header, "")


def test_header_of_an_invalid_layout_is_refused() -> None:
    done = cli.run("header", "pi", "--layout", "speed:f65")
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith("rtshm: ")
    assert "f65" in done.stderr


def test_header_of_the_ready_made_programs_is_that_of_a_layout() -> None:
    header = (CHECKOUT / "client/rtshm/tasks" / bpf.HEADER).read_text()
    assert header == Layout("mark:i32").declaration("region", bpf=True)


def test_ready_made_programs_are_compiled_where_they_were_not_built() -> None:
    script = """
from rtshm import bpf
for name in "safe", "queue":
    program, file = bpf.ready_made(name)
    print(program[:4], file.removeprefix("/build/client/rtshm/"))
"""
    assert inside(script) == ("b'\\x7fELF' tasks/safe.bpf.c\nb'\\x7fELF' tasks/queue.bpf.c\n")


def test_source_is_compiled_with_the_header_of_its_region() -> None:
    assert compiled((EXAMPLES / "pi.bpf.c").read_text(), PI) == "b'\\x7fELF'\n"


def test_header_compiles_with_fields_of_every_kind_beside_the_kernels_headers() -> None:
    source = """
        #include <linux/bpf.h>
        #include <bpf/bpf_helpers.h>
        #include <stddef.h>
        #include <rtshm_region.h>

        RTSHM_LICENSE("GPL");
        RTSHM_TASK int program(struct rtshm_tick *tick)
        {
            RECORD(tick)->axes[2] = RECORD(tick)->pos.y + RECORD(tick)->mode;
            return 0;
        }
    """
    assert compiled(source, EVERY_KIND) == "b'\\x7fELF'\n"


def test_refusal_of_the_compiler_has_its_words_with_the_line() -> None:
    said = compiled("#include <rtshm_region.h>\nint x = missing;\n", PI)
    assert said.startswith("/tmp/program.bpf.c: clang refuses it:\n/tmp/program.bpf.c:2:9: error:")


def test_signed_division_is_refused_with_what_to_write_instead() -> None:
    source = """
        #include <rtshm_region.h>
        RTSHM_TASK int program(struct rtshm_tick *tick)
        {
            RECORD(tick)->output += (RECORD(tick)->setpoint - RECORD(tick)->output) / 33;
            return 0;
        }
    """
    found = compiled(source, PI).splitlines()
    assert found[0] == "/tmp/program.bpf.c: clang refuses it:"
    assert "igned division" in found[1]
    assert found[2:] == ["shift, or divide as client/examples/pi.bpf.c does"]


def test_without_a_compiler_the_message_says_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    words = "there is no clang to compile it: apt-get"
    with pytest.raises(rtshm.ProgramError, match=words):
        bpf.compiled(Path("a.bpf.c"), "")
    with pytest.raises(rtshm.ProgramError, match=f"tasks/safe.bpf.c: {words}"):
        bpf.ready_made("safe")


def test_program_without_a_path_needs_a_name() -> None:
    with pytest.raises(TypeError, match="a program without a path needs a name"):
        rtshm.Task("r", 3)
    for arguments in ({}, {"program": 3, "source": "a.bpf.c"}):
        with pytest.raises(TypeError, match="give either a program or a source"):
            rtshm.Task("r", name="a", **arguments)  # type: ignore[arg-type]


def test_queue_of_another_object_is_refused() -> None:
    with pytest.raises(TypeError, match=r"^motor: only the rtshm\.Queue that made 'queue' can put"):
        rtshm.Queue.of("motor", "queue")
