"""Recordings on a disk that fails: an ext4 file system on a loop device, which root can make."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import subprocess
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import rtshm
from rtshm import Recorder

from tests.host.recordings import TEXT, begun, is_beginning, made

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

SUFFIXES = pytest.mark.parametrize("suffix", [".arrows", ".mcap", ".csv"])
COUNT, ROWS = 20_000, 250

pytestmark = pytest.mark.skipif(
    os.geteuid() != 0 or not Path("/dev/loop-control").exists(),
    reason="only root makes loop devices",
)


def sh(*command: str | Path) -> str:
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()


class Synced:
    """os.fdatasync(), which counts how often it was called and what was on the disk after it."""

    def __init__(self, really: Callable[[int], None]) -> None:
        self._really = really
        self.appended = 0
        """Samples in the file, as the test counts them: the call is in another thread."""
        self.times = self.samples = 0

    def __call__(self, fd: int) -> None:
        appended = self.appended
        self._really(fd)
        self.samples = appended
        self.times += 1


class Disk:
    """A disk that claims more blocks than there are, as one of a virtual machine may."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder / "mnt"
        self._blocks = folder / "blocks"
        self.folder.mkdir()
        self._blocks.mkdir()
        sh("mount", "-t", "tmpfs", "-o", "size=1536k", "none", self._blocks)
        self._mounted = [self._blocks]
        (self._blocks / "image").touch()
        os.truncate(self._blocks / "image", 16 << 20)
        # No block is written for the journal before it has something in it.
        sh("mke2fs", "-q", "-F", "-t", "ext4", "-J", "size=1", self._blocks / "image")
        self._loop = sh("losetup", "-f", "--show", self._blocks / "image")
        sh("mount", self._loop, self.folder)
        self._mounted.append(self.folder)

    def remove(self) -> None:
        """As a disk that is pulled: nothing is written from now on, nor read."""
        fd = os.open(self.folder, os.O_RDONLY)
        # EXT4_IOC_SHUTDOWN, EXT4_GOING_FLAGS_NOLOGFLUSH
        fcntl.ioctl(fd, 0x8004587D, (2).to_bytes(4, "little"))
        os.close(fd)

    def saved(self) -> Path:
        """A folder with what is on the disk, as another machine reads it."""
        copy, folder = self.folder.with_name("copy"), self.folder.with_name("saved")
        sh("cp", "--sparse=always", self._blocks / "image", copy)
        folder.mkdir()
        sh("mount", "-o", "loop", copy, folder)
        self._mounted.append(folder)
        return folder

    def close(self) -> None:
        # Another process may have copied them into a namespace of its own.
        for folder in reversed(self._mounted):
            sh("umount", "-l", folder)
        sh("losetup", "-d", self._loop)


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Disk]:
    with contextlib.closing(Disk(tmp_path)) as disk:
        yield disk


@pytest.fixture
def synced(monkeypatch: pytest.MonkeyPatch) -> Iterator[Synced]:
    monkeypatch.setattr("rtshm.recording.recorder.CHUNK_SECONDS", 0.1)
    watched = Synced(os.fdatasync)
    monkeypatch.setattr("rtshm.recording.recorder.os.fdatasync", watched)
    yield watched


@pytest.mark.promise(
    "recordings: A failing disk keeps what it stored, and the error names the file"
)
@SUFFIXES
@pytest.mark.parametrize("how", ["no more blocks", "removed"])
def test_disk_that_fails_keeps_what_it_took(
    disk: Disk, synced: Synced, suffix: str, how: str
) -> None:
    recording = made(TEXT, COUNT)
    path = disk.folder / f"run{suffix}"
    with pytest.raises(OSError) as failed, Recorder(path, begun(recording)) as recorder:
        for at in range(0, COUNT, ROWS):
            if how == "removed" and synced.times == 4:
                disk.remove()
            recorder.write(recording.array[at : at + ROWS])
            recorder.flush()
            synced.appended = at + ROWS
            time.sleep(0.02)
        recorder.finish("test")
    # After an error in its journal a file system is read-only.
    assert failed.value.errno in (errno.EIO, errno.EROFS, errno.ENOSPC)
    assert failed.value.filename == str(path)
    assert failed.value.__notes__ == [f"{path} has the samples that the disk took"]
    back = rtshm.load(disk.saved() / path.name)
    assert is_beginning(back, recording)
    assert back.conditions.ended == "cut off"
    assert 0 < synced.samples <= len(back.array) < COUNT


@pytest.mark.promise(
    "recordings: A failing disk keeps what it stored, and the error names the file"
)
def test_disk_that_fails_at_the_very_end_is_an_error(
    disk: Disk, synced: Synced, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The kernel says it once, and to the thread that writes to the disk meanwhile."""
    recording = made(TEXT, COUNT)
    path = disk.folder / "run.arrows"
    with pytest.raises(OSError) as failed, Recorder(path, begun(recording)) as recorder:
        really = Recorder._append

        def append(recorder: Recorder) -> None:
            really(recorder)
            disk.remove()
            while not recorder._sync.error:
                time.sleep(0.01)

        recorder.write(recording.array)
        recorder.flush()
        monkeypatch.setattr(Recorder, "_append", append)
        recorder.finish("test")
    assert (failed.value.errno, failed.value.filename) == (errno.EIO, str(path))
