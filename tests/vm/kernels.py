"""The table of kernels, `kernels.toml`."""

from __future__ import annotations

import tomllib
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.vm.errors import HarnessError

TABLE = Path(__file__).with_name("kernels.toml")


@dataclass(frozen=True, slots=True)
class Kernel:
    """One row: a kernel of Debian's, or one to build of its source, and what it is for."""

    name: str
    suite: str
    about: str
    image: str = ""
    headers: str = ""
    source: str = ""
    config: tuple[str, ...] = ()
    make: tuple[str, ...] = ()
    keep: tuple[str, ...] = ()
    test: tuple[str, ...] = ()
    more: tuple[str, ...] = ()

    @property
    def own(self) -> bool:
        """Built by own_kernel.py, and in none of Debian's packages."""
        return bool(self.source)


@dataclass(frozen=True, slots=True)
class Table:
    default: str
    kernels: dict[str, Kernel]
    suites: dict[str, tuple[str, ...]] = field(default_factory=dict)
    packages: tuple[str, ...] = ()
    """What a root of the guest's suite has besides: another image, of its own."""

    def __getitem__(self, name: str) -> Kernel:
        """The kernel of that name; the empty name is the default."""
        try:
            return self.kernels[name or self.default]
        except KeyError:
            known = ", ".join(self.kernels)
            raise HarnessError(f"no kernel {name!r} in {TABLE.name}; it has {known}") from None

    def quick(self) -> list[str]:
        """Names of the kernels that `make test` is about."""
        return [kernel.name for kernel in self.kernels.values() if kernel.test]

    def of_suite(self, suite: str) -> list[Kernel]:
        """The kernels of Debian's that are packages of `suite`."""
        return [
            kernel for kernel in self.kernels.values() if kernel.suite == suite and not kernel.own
        ]


def load(path: Path = TABLE) -> Table:
    raw = tomllib.loads(path.read_text(encoding="utf-8"))
    kernels = {name: row_of(path, name, row) for name, row in raw["kernels"].items()}
    if raw["default"] not in kernels:
        raise HarnessError(f"{path}: the default {raw['default']!r} is not in the table")
    suites = {name: tuple(arguments) for name, arguments in raw.get("suites", {}).items()}
    for kernel in kernels.values():
        for suite in kernel.test + kernel.more:
            if suite not in suites:
                raise HarnessError(f"{path}: kernel {kernel.name!r}: no suite {suite!r}")
    return Table(default=raw["default"], kernels=kernels, suites=suites)


def row_of(path: Path, name: str, row: dict[str, Any]) -> Kernel:
    lists = {key: tuple(row.get(key, ())) for key in ("config", "make", "keep", "test", "more")}
    kernel = Kernel(name=name, **row | lists)
    debian = bool(kernel.image and kernel.headers)
    own = bool(kernel.source and kernel.config)
    if debian == own:
        raise HarnessError(
            f"{path}: kernel {name!r} must have image and headers, or source and config"
        )
    return kernel
