"""vagrant up, ssh, reload and destroy, in the order of the tests: each goes on from the last."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest

from tests.vagrant import harness

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.vagrant.harness import Vagrant

TOOK = "rtshm: default: shared mem={}"


@pytest.fixture(scope="module")
def vagrant() -> Iterator[Vagrant]:
    """With a box that has the headers of its kernel."""
    with harness.machine("new") as vagrant:
        yield vagrant


def test_leftover_is_found_while_it_exists(vagrant: Vagrant) -> None:
    assert "process libvirtd" in vagrant.inside.left()


@pytest.mark.promise("vagrant: Vagrant up installs and loads the module and shows the demo")
def test_up_installs_and_loads_the_module_and_shows_the_demo(vagrant: Vagrant) -> None:
    shown = vagrant("up")
    end = shown.index("# rtshm write 42")
    assert re.search(r"rtshm\.ko\S*\n", shown[:end])
    for value in (42, 7):
        assert re.search(rf"# rtshm write {value}\n.*{TOOK.format(value)}", shown[end:])
    assert vagrant.domains() != ""


@pytest.mark.promise("vagrant: The ordinary user writes without sudo")
def test_ordinary_user_writes(vagrant: Vagrant) -> None:
    vagrant.ssh("rtshm write 42")
    assert vagrant.ssh("rtshm read") == "42\n"
    # At the next tick; there are two a second.
    assert TOOK.format(42) in vagrant.ssh("sleep 2; sudo dmesg | tail -n 5")


def test_machine_has_what_git_has_of_the_checkout(vagrant: Vagrant) -> None:
    there = vagrant.ssh(
        "cd rtshm && find . -name .git -o -name .venv -o -name '*.o' -o -name client"
    )
    assert there.split() == ["./client"]


@pytest.mark.promise("vagrant: The module is loaded after a reload")
def test_module_is_there_after_a_reload(vagrant: Vagrant) -> None:
    vagrant("reload")
    vagrant.ssh("rtshm write 43")
    assert vagrant.ssh("rtshm read") == "43\n"


def test_destroy_leaves_no_machine(vagrant: Vagrant) -> None:
    vagrant("destroy", "--force")
    assert vagrant.domains() == ""
    assert not [name for name in vagrant.inside.processes() if name.startswith("qemu")]
