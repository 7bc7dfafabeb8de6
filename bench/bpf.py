"""bench/programs/peer.bpf.o, loaded by libbpf, through ctypes."""

from __future__ import annotations

import ctypes
import mmap
import os
import struct
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

OBJECT = Path(__file__).with_name("programs") / "peer.bpf.o"
TICKS = 65_536
SAMPLE_BYTES = 56
RING_BYTES = 8 << 20


class _TestRun(ctypes.Structure):
    """struct bpf_test_run_opts of <bpf/bpf.h>."""

    _fields_ = (
        ("sz", ctypes.c_size_t),
        ("data_in", ctypes.c_void_p),
        ("data_out", ctypes.c_void_p),
        ("data_size_in", ctypes.c_uint32),
        ("data_size_out", ctypes.c_uint32),
        ("ctx_in", ctypes.c_void_p),
        ("ctx_out", ctypes.c_void_p),
        ("ctx_size_in", ctypes.c_uint32),
        ("ctx_size_out", ctypes.c_uint32),
        ("retval", ctypes.c_uint32),
        ("repeat", ctypes.c_int),
        ("duration", ctypes.c_uint32),
        ("flags", ctypes.c_uint32),
        ("cpu", ctypes.c_uint32),
        ("batch_size", ctypes.c_uint32),
    )


# Above 0, perf makes its events rarer where they take more of the time.
_PERF_PERCENT = Path("/proc/sys/kernel/perf_cpu_time_max_percent")
# Between two ticks of the scheduler, perf stops an event that comes more often than this; on
# an idle cpu, the next of them is far.
_PERF_RATE = Path("/proc/sys/kernel/perf_event_max_sample_rate")
_PERF_EVENT_OPEN = 298  # x86-64


def _cpu_clock(period_ns: int) -> int:
    """A descriptor of perf_event_open(2): PERF_COUNT_SW_CPU_CLOCK of cpu 0, not enabled."""
    # struct perf_event_attr in its first form: type, size, config, sample_period, ..., flags.
    software, size, cpu_clock, disabled = 1, 64, 0, 1
    attr = struct.pack("=IIQQQQQ16x", software, size, cpu_clock, period_ns, 0, 0, disabled)
    libc = ctypes.CDLL(None, use_errno=True)
    fd: int = libc.syscall(_PERF_EVENT_OPEN, attr, -1, 0, -1, 8)  # PERF_FLAG_FD_CLOEXEC
    if fd < 0:
        raise OSError(ctypes.get_errno(), "perf_event_open of cpu-clock")
    return fd


SAMPLE = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_size_t)


class Peer:
    """The object, loaded. A context manager."""

    def __init__(self) -> None:
        self._lib = lib = ctypes.CDLL("libbpf.so.1", use_errno=True)
        for name in (
            "bpf_object__open_file",
            "bpf_object__find_program_by_name",
            "bpf_program__attach_perf_event",
            "ring_buffer__new",
        ):
            getattr(lib, name).restype = ctypes.c_void_p
        lib.bpf_object__open_file.argtypes = [ctypes.c_char_p, ctypes.c_void_p]
        for name in ("bpf_object__load", "bpf_object__close", "bpf_program__fd"):
            getattr(lib, name).argtypes = [ctypes.c_void_p]
        for name in ("bpf_object__find_map_fd_by_name", "bpf_object__find_program_by_name"):
            getattr(lib, name).argtypes = [ctypes.c_void_p, ctypes.c_char_p]
        lib.bpf_program__attach_perf_event.argtypes = [ctypes.c_void_p, ctypes.c_int]
        lib.bpf_link__destroy.argtypes = [ctypes.c_void_p]
        lib.ring_buffer__new.argtypes = [ctypes.c_int, SAMPLE, ctypes.c_void_p, ctypes.c_void_p]
        lib.ring_buffer__consume.argtypes = [ctypes.c_void_p]
        lib.ring_buffer__free.argtypes = [ctypes.c_void_p]
        self._object = lib.bpf_object__open_file(str(OBJECT).encode(), None)
        if not self._object:
            raise OSError(ctypes.get_errno(), f"libbpf cannot open {OBJECT}")
        if error := lib.bpf_object__load(self._object):
            raise OSError(-error, f"libbpf cannot load {OBJECT}")

    def __enter__(self) -> Peer:
        return self

    def __exit__(self, *exc: object) -> None:
        self._lib.bpf_object__close(self._object)

    def map(self, name: str) -> int:
        """The descriptor of a map."""
        fd: int = self._lib.bpf_object__find_map_fd_by_name(self._object, name.encode())
        assert fd >= 0, name
        return fd

    def call(self, name: str, *arguments: int) -> None:
        """A program of the type syscall, with its context: numbers of 8 bytes."""
        program = self._lib.bpf_object__find_program_by_name(self._object, name.encode())
        context = struct.pack(f"={len(arguments)}Q", *arguments)
        buffer = ctypes.create_string_buffer(context, len(context))
        test = _TestRun(sz=ctypes.sizeof(_TestRun), ctx_size_in=len(context))
        test.ctx_in = ctypes.cast(buffer, ctypes.c_void_p)
        fd = self._lib.bpf_program__fd(program)
        error = self._lib.bpf_prog_test_run_opts(fd, ctypes.byref(test))
        if error or test.retval:
            raise OSError(-error, f"BPF program {name}: returned {test.retval}")

    @contextmanager
    def ticking(self, period_ns: int, *, keep: bool = False) -> Iterator[None]:
        self.call("run", period_ns, keep)
        try:
            yield
        finally:
            self.call("run", 0, 0)

    @contextmanager
    def clocking(self, period_ns: int, *, keep: bool = False) -> Iterator[None]:
        """As ticking(), by the event cpu-clock of perf, on cpu 0."""
        percent, rate = _PERF_PERCENT.read_text(), _PERF_RATE.read_text()
        # In this order: the rate cannot be written while the percentage is 0.
        _PERF_RATE.write_text("100000000")
        _PERF_PERCENT.write_text("0")
        fd = _cpu_clock(period_ns)
        program = self._lib.bpf_object__find_program_by_name(self._object, b"clock")
        self.call("expect", period_ns, keep)
        link = self._lib.bpf_program__attach_perf_event(program, fd)
        if not link:
            os.close(fd)
            raise OSError(ctypes.get_errno(), "libbpf cannot attach to cpu-clock")
        try:
            yield
        finally:
            # Closes fd, too.
            self._lib.bpf_link__destroy(link)
            _PERF_PERCENT.write_text(percent)
            _PERF_RATE.write_text(rate)

    def ticks(self) -> int:
        """Of the timer since it was started."""
        # struct bpf_timer is 16 bytes.
        return self._number("tasks", 7, 4)

    def clock_ticks(self) -> int:
        """Of the clock since it was started."""
        return self._number("clocks", 5, 2)

    def _number(self, name: str, count: int, index: int) -> int:
        """One of the numbers of the only value of a map."""
        value = (ctypes.c_uint64 * count)()
        key = ctypes.c_uint32(0)
        assert self._lib.bpf_map_lookup_elem(self.map(name), ctypes.byref(key), value) == 0
        return int(value[index])

    def mapped(self, name: str, size: int) -> mmap.mmap:
        """An array that is BPF_F_MMAPABLE."""
        return mmap.mmap(self.map(name), size)

    def updater(self) -> Callable[[int], object]:
        """A function that stores a word by the system call bpf(2)."""
        update = self._lib.bpf_map_update_elem
        update.argtypes = [ctypes.c_int, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_uint64]
        fd, key, value = self.map("state"), ctypes.c_uint32(0), ctypes.c_uint64(0)
        at_key, at_value = ctypes.addressof(key), ctypes.addressof(value)

        def store(word: int, keep: object = key) -> None:
            value.value = word
            update(fd, at_key, at_value, 0)

        return store

    def consumer(self, into: bytearray) -> tuple[Callable[[], int], Callable[[], None]]:
        """Two functions: one that copies what is in the ring into `into`, and one that ends it."""
        begin = ctypes.addressof(ctypes.c_char.from_buffer(into))
        at = 0

        def one(context: int, data: int, size: int) -> int:
            nonlocal at
            ctypes.memmove(begin + at, data, size)
            at += size
            return 0

        callback = SAMPLE(one)
        manager = self._lib.ring_buffer__new(self.map("ring"), callback, None, None)

        def consume() -> int:
            nonlocal at
            at = 0
            count: int = self._lib.ring_buffer__consume(manager)
            return count

        def end(held: object = callback) -> None:
            self._lib.ring_buffer__free(manager)

        return consume, end

    def drainer(self) -> Callable[[], numpy.ndarray[Any, numpy.dtype[Any]]]:
        """A function that takes what is in the ring without libbpf, samples all of one size.

        Documentation/bpf/ringbuf.rst: the consumer's position, the producer's, and the
        data twice, so that none is cut at the end; a header of 8 bytes before each.
        """
        fd, page = self.map("ring"), mmap.PAGESIZE
        consumer = memoryview(mmap.mmap(fd, page)).cast("Q")
        memory = mmap.mmap(fd, page + 2 * RING_BYTES, prot=mmap.PROT_READ, offset=page)
        producer = memoryview(memory)[:8].cast("Q")
        record = 8 + SAMPLE_BYTES

        def drain() -> numpy.ndarray[Any, numpy.dtype[Any]]:
            begin, end = consumer[0], producer[0]
            data = numpy.frombuffer(memory, "u1", end - begin, page + begin % RING_BYTES)
            samples = data.reshape(-1, record)[:, 8:].copy()
            consumer[0] = end
            return samples.view("u8")

        return drain
