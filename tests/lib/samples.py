"""The history by system calls: samples as /dev/rtshm/<name>.samples gives them."""

from __future__ import annotations

import fcntl
import os
import struct
import time
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rtshm import Control

HOUR_NS = 3_600_000_000_000
MS = 1_000_000
NODE = Path("/dev/rtshm/a.samples")

# struct rtshm_sample, its record apart, and _IOW('r', 0x80, struct rtshm_watermark).
HEADER = struct.Struct("=QQQII")
WATERMARK = struct.Struct("=IIQ")
IOC_WATERMARK = 1 << 30 | WATERMARK.size << 16 | ord("r") << 8 | 0x80
STRIDE = HEADER.size + 8


@dataclass(frozen=True, slots=True)
class Sample:
    tick: int
    time_ns: int
    lateness_ns: int
    flags: int
    missed: int
    record: bytes


def split(data: bytes, stride: int = STRIDE) -> list[Sample]:
    assert len(data) % stride == 0, "a read gave part of a sample"
    parts = [data[at : at + stride] for at in range(0, len(data), stride)]
    return [Sample(*(*HEADER.unpack_from(part), part[HEADER.size :])) for part in parts]


def read(fd: int, most: int = 4096, stride: int = STRIDE) -> list[Sample]:
    return split(os.read(fd, most * stride), stride)


def set_watermark(fd: int, samples: int, wait_ns: int = 0, reserved: int = 0) -> None:
    fcntl.ioctl(fd, IOC_WATERMARK, WATERMARK.pack(samples, reserved, wait_ns))


def check_order(samples: list[Sample], period_ns: int) -> None:
    """Consecutive ticks, each on the grid, with the periods missed between them counted."""
    for before, after in pairwise(samples):
        assert after.tick == before.tick + 1
        due = [sample.time_ns - sample.lateness_ns for sample in (before, after)]
        assert due[1] - due[0] == period_ns * (1 + after.missed)


def rest(control: Control) -> int:
    """Let `a` tick no more; the number of its last tick."""
    control.set("a", period=HOUR_NS)
    # The tick that was due next still comes, before a later timer of its cpu.
    allowed = os.sched_getaffinity(0)
    for cpu in allowed:
        os.sched_setaffinity(0, {cpu})
        time.sleep(0.05)
    os.sched_setaffinity(0, allowed)
    return control.get("a").counters.ticks
