"""A box whose kernel's headers are in no archive any more, as those of public boxes become."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.vagrant import harness

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.vagrant.harness import Vagrant


@pytest.fixture(scope="module")
def vagrant() -> Iterator[Vagrant]:
    """With a kernel of the suite before, and the newest one in the archive."""
    with harness.machine("old") as vagrant:
        yield vagrant


@pytest.mark.promise("vagrant: With an old box vagrant up says what to do, and that works")
def test_up_fails_and_says_that_a_reload_is_needed(vagrant: Vagrant) -> None:
    shown = vagrant("up", status=1)
    assert "this box runs Linux 6.1." in shown
    assert "    vagrant reload --provision\n" in shown
    assert "# rtshm write" not in shown


@pytest.mark.promise("vagrant: With an old box vagrant up says what to do, and that works")
def test_reload_with_provisioning_goes_on_with_the_new_kernel(vagrant: Vagrant) -> None:
    shown = vagrant("reload", "--provision")
    assert "rtshm: default: shared mem=7" in shown
    vagrant.ssh("rtshm write 42")
    assert vagrant.ssh("rtshm read; uname -r").startswith("42\n6.12.")
    vagrant("destroy", "--force")
    assert vagrant.domains() == ""
