"""One layout, declared in each way that there is."""

from __future__ import annotations

import enum
from typing import Annotated

import construct as c
import rtshm

TEXT = "speed:f64 gain:f32 mode:u8{OFF=0,ON=1} _:x3 axes:i32[3] tag:bytes[4]"


class Mode(enum.IntEnum):
    OFF = 0
    ON = 1


@rtshm.struct
class Motor:
    speed: rtshm.f64
    gain: rtshm.f32
    mode: Annotated[Mode, rtshm.u8]
    axes: Annotated[rtshm.Array[int], rtshm.i32, 3]
    tag: Annotated[bytes, 4] = b"abcd"


MOTOR = c.Struct(
    "speed" / c.Float64n,
    "gain" / c.Float32n,
    "mode" / c.Enum(c.Int8un, OFF=0, ON=1),
    c.Padding(3),
    "axes" / c.Array(3, c.Int32sn),
    "tag" / c.Bytes(4),
)
