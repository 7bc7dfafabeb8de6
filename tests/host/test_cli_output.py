"""What a command writes to a file is there whole, or the file is as it was."""

from __future__ import annotations

import os
import resource
import stat
import threading
from typing import TYPE_CHECKING

import pytest
from rtshm.cli.save import write_text

from tests.lib import child

if TYPE_CHECKING:
    from pathlib import Path


def test_file_is_replaced_and_keeps_its_mode(tmp_path: Path) -> None:
    file = tmp_path / "regions.toml"
    file.write_text("old")
    file.chmod(0o604)
    write_text(str(file), "new")
    assert file.read_text() == "new"
    assert stat.S_IMODE(file.stat().st_mode) == 0o604
    link = tmp_path / "link"
    link.symlink_to(file)
    write_text(str(link), "newer")
    assert link.is_symlink()
    assert file.read_text() == "newer"
    assert sorted(os.listdir(tmp_path)) == ["link", "regions.toml"]


def test_file_stays_when_there_is_no_room(tmp_path: Path) -> None:
    file = tmp_path / "regions.toml"
    file.write_text("precious")

    def write() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (512, 512))
        with pytest.raises(OSError) as refused:
            write_text(str(file), "x" * 4096)
        assert refused.value.filename == str(file)

    assert child.status_of(write) == 0
    assert file.read_text() == "precious"
    assert os.listdir(tmp_path) == ["regions.toml"]


def test_fifo_is_written_through(tmp_path: Path) -> None:
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)
    read: list[str] = []
    thread = threading.Thread(target=lambda: read.append(fifo.read_text()))
    thread.start()
    write_text(str(fifo), "text")
    thread.join(60)
    assert read == ["text"]
    assert fifo.is_fifo()
