"""The table of kernels, `kernels.toml`, and the user space that their guests share."""

from __future__ import annotations

import tomllib
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from vm.host.errors import HarnessError
from vm.host.processor import PROCESSORS, X86, Processor

TABLE = Path(__file__).parents[1] / "kernels.toml"


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
    arch: str = "x86"
    make: tuple[str, ...] = ()
    keep: tuple[str, ...] = ()

    @property
    def own(self) -> bool:
        """Built by own_kernel.py, and in none of Debian's packages."""
        return bool(self.source)

    @property
    def um(self) -> bool:
        """User-mode Linux: a program of the host, which no QEMU runs."""
        return self.arch == "um"

    @property
    def processor(self) -> Processor:
        return PROCESSORS[self.arch]


@dataclass(frozen=True, slots=True)
class UserSpace:
    """What the guest's disk has, which is the same for all kernels: a project's choice."""

    suite: str = "trixie"
    """Debian's, also of the root that programs for the guest are compiled in."""
    packages: tuple[str, ...] = ()
    """Debian packages besides those that the machine itself needs."""
    wheels: str = ""
    """Packages of PyPI that Debian does not have: a requirements file with hashes."""
    imports: tuple[str, ...] = ()
    """Modules of these that a warm interpreter has imported: see interpreter.py."""


@dataclass(frozen=True, slots=True)
class Table:
    default: str
    kernels: dict[str, Kernel]
    space: UserSpace = field(default_factory=UserSpace)

    def __getitem__(self, name: str) -> Kernel:
        """The kernel of that name; the empty name is the default."""
        try:
            return self.kernels[name or self.default]
        except KeyError:
            known = ", ".join(self.kernels)
            raise HarnessError(f"no kernel {name!r} in {TABLE.name}; it has {known}") from None

    def of_suite(self, suite: str, processor: Processor = X86) -> list[Kernel]:
        """The kernels of Debian's that are packages of `suite` for this processor."""
        return [
            kernel
            for kernel in self.kernels.values()
            if kernel.suite == suite and kernel.processor == processor and not kernel.own
        ]


def load(path: Path = TABLE, space: UserSpace | None = None) -> Table:
    """Read the table; its guests have the user space `space`."""
    raw = tomllib.loads(path.read_text(encoding="utf-8"))
    kernels = {name: row_of(path, name, row) for name, row in raw["kernels"].items()}
    if raw["default"] not in kernels:
        raise HarnessError(f"{path}: the default {raw['default']!r} is not in the table")
    return Table(default=raw["default"], kernels=kernels, space=space or UserSpace())


def row_of(path: Path, name: str, row: dict[str, Any]) -> Kernel:
    lists = {key: tuple(row.get(key, ())) for key in ("config", "make", "keep")}
    kernel = Kernel(name=name, **row | lists)
    debian = bool(kernel.image and kernel.headers)
    own = bool(kernel.source and kernel.config)
    if debian == own:
        raise HarnessError(
            f"{path}: kernel {name!r} must have image and headers, or source and config"
        )
    if kernel.arch not in PROCESSORS:
        raise HarnessError(
            f"{path}: kernel {name!r}: arch {kernel.arch!r} is none of {', '.join(PROCESSORS)}"
        )
    return kernel
