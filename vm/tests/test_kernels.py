"""The table of kernels, and what becomes of a kernel that cannot be had as its row says."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from vm.host import image, kernels, own_kernel
from vm.host.errors import HarnessError
from vm.host.kernels import Kernel, Table

if TYPE_CHECKING:
    from pathlib import Path

TABLE = kernels.load()


@pytest.fixture
def small_roots(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Roots without a compiler, in a cache of their own: they fail before they are used."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setattr(image, "BUILD_PACKAGES", ("kmod",))


@pytest.mark.usefixtures("small_roots")
@pytest.mark.parametrize(
    ("name", "package", "complaint"),
    [
        ("5.99", "linux-image-5.99-amd64", "has no package linux-image-5.99-amd64"),
        # A metapackage stands for another version than when its row was written.
        ("5.10", "linux-image-cloud-amd64", r"now has linux-image-6\.1\.\S+ in its place"),
    ],
)
def test_kernel_that_the_archive_does_not_have_is_named(
    name: str, package: str, complaint: str
) -> None:
    headers = package.replace("image", "headers")
    row = Kernel(name, suite="bookworm", about="", image=package, headers=headers)
    with pytest.raises(HarnessError, match=f"E: kernel {name}: the archive {complaint}"):
        image.files(Table(default=name, kernels={name: row}), row)


# The last fragment that has it counts.
OVERRIDDEN = {"6.12-signed": {"CONFIG_MODULE_SIG_KEY"}}


def test_every_own_kernel_has_the_base_and_a_name_of_its_own() -> None:
    own = [kernel for kernel in TABLE.kernels.values() if kernel.own]
    assert own
    for kernel in own:
        assert kernel.config[0] == "base.config"
        texts = [(own_kernel.CONFIGS / name).read_text() for name in kernel.config]
        lines = own_kernel.settings("\n".join(texts).splitlines())
        names = [name for name, _ in lines]
        twice = {name for name in names if names.count(name) > 1}
        assert twice == OVERRIDDEN.get(kernel.name, set()), f"{kernel.name}: in two fragments"
        # In the release, so that no module of another kernel is taken for one of this.
        variant = kernel.name.partition("-")[2]
        assert dict(lines)["CONFIG_LOCALVERSION"] == f'"-{variant}"'


def test_a_line_of_a_fragment_that_kconfig_did_not_keep_is_named() -> None:
    fragments = ['# why\nCONFIG_A=y\nCONFIG_B=n\nCONFIG_C="text"\n', "CONFIG_D=y\nCONFIG_E=16\n"]
    assert (
        own_kernel.missing(fragments, 'CONFIG_A=y\nCONFIG_C="text"\nCONFIG_D=y\nCONFIG_E=16') == []
    )
    assert own_kernel.missing(
        fragments, 'CONFIG_A=m\nCONFIG_B=y\nCONFIG_C=""\n# CONFIG_D is not set\n'
    ) == ["CONFIG_A=y", "CONFIG_B=n", 'CONFIG_C="text"', "CONFIG_D=y", "CONFIG_E=16"]


def test_own_kernel_that_lacks_an_option_is_not_built(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "base.config").write_text("CONFIG_64BIT=y\nCONFIG_NO_SUCH_OPTION=y\n")
    monkeypatch.setattr(own_kernel, "CONFIGS", tmp_path)
    row = Kernel(
        "6.12-none", suite="trixie", about="", source="linux-source-6.12", config=("base.config",)
    )
    with pytest.raises(HarnessError, match=r"kernel 6\.12-none: .* CONFIG_NO_SUCH_OPTION=y,"):
        own_kernel.tree(row)


def test_row_is_of_a_package_or_of_a_source(tmp_path: Path) -> None:
    table = tmp_path / "kernels.toml"
    table.write_text(
        'default = "x"\n[kernels.x]\nsuite = "sid"\nabout = ""\nimage = "i"\nsource = "s"\n'
    )
    with pytest.raises(HarnessError, match="kernel 'x' must have"):
        kernels.load(table)
