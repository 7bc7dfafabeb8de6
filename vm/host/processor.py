"""The processors of guests: what each is called by Debian, by kbuild, by QEMU and by PyPI."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Processor:
    debian: str
    """Debian's name of the architecture."""
    triplet: str
    """The folder of its libraries, and what the names of its compiler begin with."""
    qemu: str
    machine: str
    """QEMU's `-M`."""
    cpu: str
    """QEMU's `-cpu` under TCG."""
    console: str
    wheels: tuple[str, ...]
    """PyPI's platforms; pip takes the first that a package has a wheel with compiled code for."""
    arch: str = ""
    """kbuild's name of the architecture, if the host has another processor."""

    @property
    def foreign(self) -> bool:
        """Whether the host cannot run its programs."""
        return bool(self.arch)

    @property
    def cross(self) -> str:
        """What the names of compiler and binutils begin with on the host."""
        return f"{self.triplet}-" if self.foreign else ""

    @property
    def variables(self) -> tuple[str, ...]:
        """Of make, for each module."""
        return (f"ARCH={self.arch}", f"CROSS_COMPILE={self.cross}") if self.foreign else ()


# QEMU 7.2's TCG mistranslates cmpxchg16b: guests die of double faults. And without
# erms and fsrm the kernel copies word by word: `rep movsb`, for which a processor
# with these moves lines, TCG does byte by byte.
X86 = Processor(
    debian="amd64",
    triplet="x86_64-linux-gnu",
    qemu="qemu-system-x86_64",
    machine="q35",
    cpu="max,-cx16,-erms,-fsrm",
    console="ttyS0",
    wheels=("manylinux_2_28_x86_64", "manylinux2014_x86_64"),
)

# The Raspberry Pi 5's. It has pages of 16 KiB, which older ones lack, and no pointer
# authentication, which TCG computes step by step.
ARM64 = Processor(
    debian="arm64",
    triplet="aarch64-linux-gnu",
    qemu="qemu-system-aarch64",
    machine="virt",
    cpu="cortex-a76",
    console="ttyAMA0",
    wheels=("manylinux_2_28_aarch64", "manylinux2014_aarch64"),
    arch="arm64",
)

# By the `arch` of a row of kernels.toml. User-mode Linux is a program of the host.
PROCESSORS = {"x86": X86, "um": X86, "arm64": ARM64}
