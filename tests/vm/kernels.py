"""The table of kernels, `kernels.toml`."""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from pathlib import Path

from tests.vm.errors import HarnessError

TABLE = Path(__file__).with_name("kernels.toml")


@dataclass(frozen=True, slots=True)
class Kernel:
    """One row: a Debian kernel and where it comes from."""

    name: str
    suite: str
    image: str
    headers: str
    about: str


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

    def of_suite(self, suite: str) -> list[Kernel]:
        return [kernel for kernel in self.kernels.values() if kernel.suite == suite]


def load(path: Path = TABLE) -> Table:
    raw = tomllib.loads(path.read_text(encoding="utf-8"))
    kernels = {name: Kernel(name=name, **row) for name, row in raw["kernels"].items()}
    if raw["default"] not in kernels:
        raise HarnessError(f"{path}: the default {raw['default']!r} is not in the table")
    return Table(default=raw["default"], kernels=kernels)
