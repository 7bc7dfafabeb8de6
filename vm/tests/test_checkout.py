"""What of a checkout goes to the guest."""

from __future__ import annotations

import tarfile
from typing import TYPE_CHECKING

from vm.host import checkout
from vm.host.payload import Payload

if TYPE_CHECKING:
    from pathlib import Path


def archive(copy: Path, target: Path, command: str = "true") -> dict[str, tarfile.TarInfo]:
    checkout.write(target, Payload(copy), command)
    with tarfile.open(target) as tar:
        return {f"/{info.name}": info for info in tar}


def test_untracked_files_go_and_ignored_and_deleted_ones_do_not(copy: Path) -> None:
    names = {str(path) for path in checkout.files(copy)}
    assert {"Kbuild", "new file", "link"} <= names
    assert not {"ignored", "gone"} & names


def test_links_and_executable_bits_are_kept(copy: Path, tmp_path: Path) -> None:
    found = archive(copy, tmp_path / "job.tar")
    assert found[f"{copy}/link"].linkname == "new file"
    assert found[f"{copy}/tool"].mode == 0o755
    assert found[f"{copy}/Kbuild"].mode == 0o644


def test_anyone_can_enter_every_directory_above_the_checkout(copy: Path, tmp_path: Path) -> None:
    found = archive(copy, tmp_path / "job.tar")
    for parent in [copy, *copy.parents][:-1]:
        assert found[str(parent)].isdir()
        assert found[str(parent)].mode == 0o755


def test_a_command_arrives_byte_for_byte(copy: Path, tmp_path: Path) -> None:
    command = "echo \"$HOME\" 'a  b' `id` \\\n # é \udcff"
    archive(copy, tmp_path / "job.tar", command)
    with tarfile.open(tmp_path / "job.tar") as tar:
        file = tar.extractfile("run/vm/command")
        assert file is not None
        assert file.read() == command.encode(errors="surrogateescape") + b"\n"
