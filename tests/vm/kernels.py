"""The table of kernels, `kernels.toml`."""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
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
    quick: bool = False

    @property
    def own(self) -> bool:
        """Built by own_kernel.py, and in none of Debian's packages."""
        return bool(self.source)


@dataclass(frozen=True, slots=True)
class Table:
    default: str
    kernels: dict[str, Kernel]

    def __getitem__(self, name: str) -> Kernel:
        """The kernel of that name; the empty name is the default."""
        try:
            return self.kernels[name or self.default]
        except KeyError:
            known = ", ".join(self.kernels)
            raise HarnessError(f"no kernel {name!r} in {TABLE.name}; it has {known}") from None

    def quick(self) -> list[str]:
        return [kernel.name for kernel in self.kernels.values() if kernel.quick]

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
    return Table(default=raw["default"], kernels=kernels)


def row_of(path: Path, name: str, row: dict[str, Any]) -> Kernel:
    kernel = Kernel(name=name, **row | {"config": tuple(row.get("config", ()))})
    debian = bool(kernel.image and kernel.headers)
    own = bool(kernel.source and kernel.config)
    if debian == own:
        raise HarnessError(
            f"{path}: kernel {name!r} must have image and headers, or source and config"
        )
    return kernel
