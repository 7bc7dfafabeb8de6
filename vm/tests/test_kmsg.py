"""Records of /dev/kmsg to lines as dmesg has them."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING

from vm.host import kmsg

if TYPE_CHECKING:
    from pathlib import Path


def test_records_become_lines_with_times_and_each_comes_once() -> None:
    file = io.BytesIO()
    lines: list[str] = []
    log = kmsg.Log(file, lines.append)
    log.feed(b"5,0,0,-;Linux version\n SUBSYSTEM=x\n6,1,1250000,-;a; b\\x0ac")
    log.feed(b"\n5,0,0,-;Linux version\n6,1,1250000,-;a; b\\x0ac\n6,4,2000000,-;late\n")
    assert lines == ["Linux version", "a; b\nc", "late"]
    assert file.getvalue().decode().splitlines() == [
        "[    0.000000] Linux version",
        "[    1.250000] a; b",
        "[    1.250000] c",
        "[ 2 records lost: the guest was overtaken ]",
        "[    2.000000] late",
    ]


def test_end_mark_ends_the_log() -> None:
    log = kmsg.Log(io.BytesIO(), lambda line: None)
    assert not log.ended
    log.feed(b"12,9,5,-;vm: end\n")
    assert log.ended


def test_console_adds_what_the_log_does_not_have(tmp_path: Path) -> None:
    dmesg, console = tmp_path / "dmesg", tmp_path / "console"
    dmesg.write_text("[    1.000000] one\n")
    console.write_bytes(b"SeaBIOS\r\n[    1.000000] one\r\n[    2.000000] Kernel panic\r\n")
    kmsg.append_console(dmesg, console)
    assert dmesg.read_text() == "[    1.000000] one\n[    2.000000] Kernel panic\n"
