"""What it costs to bring a value into the kernel from Python, compared with the other ways.

Each way is a function of one argument, called 2000 times; the least of five
rounds counts, and the rounds go through all ways in turn.
"""

from __future__ import annotations

import ctypes
import fcntl
import mmap
import os
import struct
import timeit
from contextlib import ExitStack
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

import construct
import rtshm
from rtshm.abi import LAYOUT_OFFSET, announced
from rtshm.publisher import publisher, publisher_in_python

from bench import bare, bpf
from bench.figures import INSTRUCTION_NS, ROUNDS

if TYPE_CHECKING:
    from collections.abc import Callable

    from bench.figures import Figures

    Ways = dict[str, tuple[Callable[[int], object], int]]

CALLS = 2000
VALUE = 42
WORD = construct.Struct(
    "some_int" / construct.Int32sn, "ready" / construct.Int8un, construct.Padding(3)
)
LAYOUT = "speed:f64 gain:f32 mode:u8 _:x3"
NEVER = timedelta(hours=1)

OF_A_STORE = 1.3
OF_A_SYSCALL = 0.2
OF_STRUCT = 3.0
OF_A_FIELD = 3.0

# An attribute that any process may write an int to, any number of times.
OF_PROC = Path("/proc/self/timerslack_ns")

PUBLISH = "publish"
WRITE = "write, a record of three fields"
READ = "read, a record of three fields"
FIELD = "view.field ="
BARE = "ctypes field that checks nothing"
PACKED = "struct's pack_into and pwrite, a record of three fields"
FINISHED = "ctypes store of a word that is there already"
COMPOSED = "ctypes store, word put together, unchecked"


class Bare(ctypes.Structure):
    """The fields of LAYOUT."""

    _fields_: ClassVar = [
        ("speed", ctypes.c_double),
        ("gain", ctypes.c_float),
        ("mode", ctypes.c_uint8),
    ]


def ways(region: rtshm.Region, live: mmap.mmap) -> Ways:
    """Each way's function, and what it is called with."""
    cell = ctypes.c_int64.from_buffer(live)
    words = memoryview(live)[:8].cast("q")
    fd = region.fileno()
    fields = struct.Struct("=iB3x")
    record, room = struct.Struct("=dfB3x"), bytearray(16)
    word = announced(VALUE)
    view = region.view
    unchecked = Bare.from_buffer(live, LAYOUT_OFFSET)
    whole = {"speed": 1.0, "gain": 2.0, "mode": 3}

    def store(word: int) -> None:
        cell.value = word

    def store_composed(value: int) -> None:
        cell.value = 0x1_0000_0000 | value & 0xFFFF_FFFF

    def store_memoryview(word: int) -> None:
        words[0] = word

    def two_stores(value: int) -> None:
        region.some_int = value
        region.ready = True

    def field(value: int) -> None:
        view.mode = value

    def bare_field(value: int) -> None:
        unchecked.mode = value

    def write(value: int) -> None:
        region.write(whole)

    def read(value: int) -> None:
        region.read()

    def packed(value: int) -> None:
        record.pack_into(room, 0, 1.0, 2.0, 3)
        os.pwrite(fd, room, 8)

    def pwrite(value: int) -> None:
        os.pwrite(fd, fields.pack(value, 1), 0)

    def build(value: int) -> None:
        live[:8] = WORD.build({"some_int": value, "ready": 1})

    return {
        "an empty function": (lambda value: None, VALUE),
        FINISHED: (store, word),
        "memoryview store of a word that is there already": (store_memoryview, word),
        COMPOSED: (store_composed, VALUE),
        PUBLISH: (region.publish, VALUE),
        "publish, negative": (region.publish, -VALUE),
        "publish, where nothing is compiled": (publisher_in_python(live)[0], VALUE),
        "some_int = and ready =, two stores": (two_stores, VALUE),
        FIELD: (field, VALUE),
        BARE: (bare_field, VALUE),
        WRITE: (write, VALUE),
        READ: (read, VALUE),
        PACKED: (packed, VALUE),
        "pwrite of the word to the region": (pwrite, VALUE),
        "construct's build, into the mapping": (build, VALUE),
    }


def syscalls(stack: ExitStack) -> Ways:
    """The ways of others, each a system call at least."""
    parameter = os.open(bare.VALUE, os.O_WRONLY)
    stack.callback(os.close, parameter)
    device = os.open(bare.DEVICE, os.O_RDWR)
    stack.callback(os.close, device)

    def sysfs(value: int) -> None:
        os.pwrite(parameter, b"%d" % value, 0)

    def ioctl(value: int) -> None:
        fcntl.ioctl(device, bare.IOC_VALUE, value)

    return {
        "os.pwrite to a module parameter": (sysfs, VALUE),
        "ioctl": (ioctl, VALUE),
        "BPF map update": (stack.enter_context(bpf.Peer()).updater(), announced(VALUE)),
    }


def taken(table: Ways) -> dict[str, float]:
    """Seconds a call."""
    best = dict.fromkeys(table, float("inf"))
    for _ in range(ROUNDS):
        for name, (function, argument) in table.items():
            names = {"function": function, "argument": argument}
            timer = timeit.Timer("function(argument)", globals=names)
            best[name] = min(best[name], timer.timeit(CALLS) / CALLS)
    return best


def measure_here(figures: Figures) -> None:
    """What takes a processor time and not instructions: on the host, whose kernel has no rtshm.

    To store into memory is the same there, and a file of /proc is written to as one of sysfs.
    """
    live = mmap.mmap(-1, mmap.PAGESIZE)
    cell = ctypes.c_int64.from_buffer(live)

    def store(word: int) -> None:
        cell.value = word

    with OF_PROC.open("wb", buffering=0) as file:
        fd = file.fileno()

        def write(value: int) -> None:
            os.write(fd, b"%d" % value)

        way = f"os.write to {OF_PROC}"
        table: Ways = {
            FINISHED: (store, announced(VALUE)),
            PUBLISH: (publisher(live)[0], VALUE),
            way: (write, VALUE),
        }
        found = taken(table)
        # As it was.
        write(0)
    for name, seconds in found.items():
        figures.add(f"{name}, time", seconds * 1e9, "ns")
    figures.add(f"publish / {way}, time", found[PUBLISH] / found[way], most=OF_A_SYSCALL)


def measure(figures: Figures) -> None:
    with rtshm.Control() as control, ExitStack() as stack:
        control.create("values", period=NEVER, layout=LAYOUT)
        stack.callback(control.delete, "values")
        region = stack.enter_context(rtshm.open("values"))
        live = mmap.mmap(region.fileno(), region.size)
        peers = syscalls(stack)
        found = taken({**ways(region, live), **peers})
    for name, seconds in found.items():
        figures.add(name, seconds * 1e9 / INSTRUCTION_NS, "instructions")
    publish = found[PUBLISH]
    figures.add("publish / ctypes store", publish / found[FINISHED], most=OF_A_STORE)
    figures.add("publish / ctypes store, word put together", publish / found[COMPOSED], most=1.0)
    fastest = min(peers, key=found.__getitem__)
    name = f"publish / fastest system call ({fastest})"
    figures.add(name, publish / found[fastest], most=OF_A_SYSCALL)
    figures.add(f"{FIELD} / {BARE}", found[FIELD] / found[BARE], most=OF_A_FIELD)
    for way in (WRITE, READ):
        figures.add(f"{way} / {PACKED}", found[way] / found[PACKED], most=OF_STRUCT)
