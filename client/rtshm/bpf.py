"""BPF programs: compiled by clang, loaded by libbpf, or pinned or loaded by somebody else."""

from __future__ import annotations

import ctypes
import errno
import operator
import os
import shutil
import subprocess
import sysconfig
import tempfile
import threading
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from rtshm.errors import ProgramError, refused

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

HEADER = "rtshm_region.h"
"""What a source includes: the declarations of the region that it is compiled for."""
SECTION = "raw_tp.w"
"""That of a program which is to be a task."""

_TASKS = Path(__file__).parent / "tasks"
_TYPE = 24  # BPF_PROG_TYPE_RAW_TRACEPOINT_WRITABLE of <linux/bpf.h>
_MULTIARCH = Path("/usr/include", sysconfig.get_config_var("MULTIARCH") or "")
# -g: the verifier shows the lines of the source. -mcpu=v3 is in every kernel from 5.1 on.
_CLANG = ("clang", "-O2", "-g", "-Wall", "-target", "bpf", "-mcpu=v3")
_INCLUDE = ("-idirafter", str(_MULTIARCH))
_REMEDY = "loading a BPF program takes CAP_BPF and CAP_PERFMON: use sudo, outside of containers"

_Print = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_int, ctypes.c_char_p, ctypes.c_void_p)
# libbpf has one function for all that it prints.
_printing = threading.Lock()


class _ProgInfo(ctypes.Structure):
    """struct bpf_prog_info of <linux/bpf.h>, as far as it is read."""

    _fields_ = (
        ("before", ctypes.c_uint32 * 13),
        ("maps_count", ctypes.c_uint32),
        ("maps", ctypes.c_uint64),
    )


class _MapInfo(ctypes.Structure):
    """struct bpf_map_info of it."""

    _fields_ = (
        ("before", ctypes.c_uint32 * 3),
        ("value_size", ctypes.c_uint32),
        ("entries", ctypes.c_uint32),
        ("flags", ctypes.c_uint32),
        ("name", ctypes.c_char * 16),
    )


class Loaded(NamedTuple):
    """A program that the kernel has, while the context of loaded() lasts."""

    fd: int
    map_fd: Callable[[str], int]
    """The descriptor of a map of its object, by its name."""


def ready_made(name: str) -> tuple[bytes, str]:
    """Return the object of a program of this package, and the file that it comes from.

    A package that was built without clang has only the source, which is compiled here.
    """
    built = _TASKS / f"{name}.bpf.o"
    if built.exists():
        return built.read_bytes(), str(built)
    source = built.with_suffix(".c")
    return compiled(source, (_TASKS / HEADER).read_text(encoding="utf-8")), str(source)


def compiled(source: Path, header: str) -> bytes:
    """Compile a source that includes <rtshm_region.h>, whose text is `header`: the object.

    Raises ProgramError with what clang says of it, or if there is no clang.
    """
    if not shutil.which(_CLANG[0]):
        raise ProgramError(
            f"{source}: there is no clang to compile it: apt-get install clang; or compile it "
            "elsewhere, and give the object file"
        )
    with tempfile.TemporaryDirectory(prefix="rtshm-") as folder:
        (Path(folder) / HEADER).write_text(header, encoding="utf-8")
        made = Path(folder) / "program.o"
        command = [*_CLANG, "-I", folder, *_INCLUDE, "-c", "-o", str(made), str(source)]
        done = subprocess.run(
            command, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False
        )
        if done.returncode:
            said = done.stderr.strip()
            if "signed division" in said:
                # A page of LLVM's own state follows.
                said = f"{said.splitlines()[0]}\nshift, or divide as client/examples/pi.bpf.c does"
            raise ProgramError(f"{source}: clang refuses it:\n{said}")
        return made.read_bytes()


@contextmanager
def loaded(program: bytes, file: str, name: str, constants: bytes = b"") -> Iterator[Loaded]:
    """Load an object's program for the task `name`, in the context.

    Of several programs it is the function of that name, and the others are not loaded.
    `constants` are all bytes of its section .rodata. Raises ProgramError with the
    verifier's words.
    """
    lib = _libbpf()
    with _said(lib) as said:
        handle = lib.bpf_object__open_mem(program, len(program), None)
        number = ctypes.get_errno()
    if not handle:
        words = f"{file}: libbpf cannot read it ({os.strerror(number)})"
        raise ProgramError("\n".join(filter(None, (words, _text(said)))))
    try:
        wanted = _chosen(lib, handle, file, name)
        if constants:
            section = lib.bpf_object__find_map_by_name(handle, b".rodata")
            if lib.bpf_map__set_initial_value(section, constants, len(constants)):
                raise ProgramError(f"{file}: it does not have {len(constants)} bytes of constants")
        with _said(lib) as said:
            error = -lib.bpf_object__load(handle)
        # Without the rights the verifier is not asked.
        if error == errno.EPERM:
            raise refused(OSError(error, "the kernel does not load it"), file, _REMEDY)
        if error:
            words = _verifier(_text(said))
            raise ProgramError(f"{file}: not loaded ({os.strerror(error)}):\n{words}")
        yield Loaded(
            lib.bpf_program__fd(wanted),
            lambda map_: int(lib.bpf_object__find_map_fd_by_name(handle, map_.encode())),
        )
    finally:
        lib.bpf_object__close(handle)


def pusher(fd: int) -> Callable[[int], bool]:
    """Return what puts a 64-bit number into a queue, a map; False if the queue is full."""
    update = _libbpf().bpf_map_update_elem
    number = ctypes.c_uint64()
    place = ctypes.byref(number)

    def push(value: int) -> bool:
        number.value = value
        error = -update(fd, None, place, 0)
        if error in (0, errno.E2BIG):
            return not error
        raise OSError(error, os.strerror(error))

    return push


def map_value(fd: int, size: int) -> bytes:
    """Return the first value of an array, a map."""
    value = ctypes.create_string_buffer(size)
    error = -_libbpf().bpf_map_lookup_elem(fd, ctypes.byref(ctypes.c_uint32()), value)
    if error:
        raise OSError(error, os.strerror(error))
    return value.raw


def sections(prog_id: int) -> dict[str, bytes]:
    """Return the variables of a loaded program, by the names of their sections: .bss, .rodata.

    Raises OSError(EPERM) without CAP_SYS_ADMIN, OSError(ENOENT) if it is gone.
    """
    lib = _libbpf()
    ids = (ctypes.c_uint32 * 64)()
    info = _ProgInfo(maps_count=len(ids), maps=ctypes.addressof(ids))
    with _by_id(lib.bpf_prog_get_fd_by_id, prog_id) as fd:
        _describe(fd, info)
    found = {}
    for map_id in ids[: min(info.maps_count, len(ids))]:
        with _by_id(lib.bpf_map_get_fd_by_id, map_id) as fd:
            about = _MapInfo()
            _describe(fd, about)
            _, dot, name = about.name.decode().partition(".")
            # libbpf calls the map of a section PROGRAM.SECTION.
            if dot:
                found[dot + name] = map_value(fd, about.value_size)
    return found


@contextmanager
def _by_id(get: Callable[[int], int], number: int) -> Iterator[int]:
    fd = get(number)
    if fd < 0:
        raise OSError(-fd, os.strerror(-fd))
    try:
        yield fd
    finally:
        os.close(fd)


def _describe(fd: int, info: ctypes.Structure) -> None:
    size = ctypes.c_uint32(ctypes.sizeof(info))
    error = -_libbpf().bpf_obj_get_info_by_fd(fd, ctypes.byref(info), ctypes.byref(size))
    if error:
        raise OSError(error, os.strerror(error))


@contextmanager
def descriptor(program: Any, name: str) -> Iterator[int]:
    """The descriptor of a program for the task `name`, in the context.

    `program` is an object file, a path where one is pinned, what has fileno() or
    file_descriptor, or a number.
    """
    if isinstance(program, (str, os.PathLike)):
        path = Path(program)
        try:
            data = path.read_bytes()
        except OSError as error:
            # So the BPF file system answers for what is pinned.
            if error.errno != errno.EIO:
                raise
            fd = _pinned(path)
            try:
                yield fd
            finally:
                os.close(fd)
            return
        with loaded(data, str(path), name) as made:
            yield made.fd
        return
    number = getattr(program, "file_descriptor", None)
    if number is None:
        number = program.fileno() if hasattr(program, "fileno") else program
    yield operator.index(number)


def _pinned(path: Path) -> int:
    fd: int = _libbpf().bpf_obj_get(os.fsencode(path))
    if fd < 0:
        raise refused(OSError(ctypes.get_errno(), ""), path, _REMEDY)
    return fd


def _chosen(lib: Any, handle: int, file: str, name: str) -> int:
    """The program for a task, the only one of the object that will be loaded."""
    programs: dict[str, int] = {}
    found = lib.bpf_object__next_program(handle, None)
    while found:
        lib.bpf_program__set_autoload(found, False)
        if lib.bpf_program__type(found) == _TYPE:
            programs[lib.bpf_program__name(found).decode()] = found
        found = lib.bpf_object__next_program(handle, found)
    if not programs:
        raise ProgramError(
            f'{file}: no function of it is in the section "{SECTION}", as RTSHM_TASK of '
            f"{HEADER} puts it"
        )
    wanted = name.replace("-", "_")
    if len(programs) > 1 and wanted not in programs:
        raise ProgramError(f"{file}: there is no program {wanted}; there are {', '.join(programs)}")
    chosen = programs.get(wanted) or next(iter(programs.values()))
    lib.bpf_program__set_autoload(chosen, True)
    return chosen


@cache
def _libbpf() -> Any:
    try:
        lib = ctypes.CDLL("libbpf.so.1", use_errno=True)
    except OSError:
        raise ProgramError(
            "there is no libbpf.so.1 to load it with: apt-get install libbpf1"
        ) from None
    pointer, text = ctypes.c_void_p, ctypes.c_char_p
    for function, result, *arguments in (
        ("bpf_object__open_mem", pointer, text, ctypes.c_size_t, pointer),
        ("bpf_object__load", ctypes.c_int, pointer),
        ("bpf_object__close", None, pointer),
        ("bpf_object__find_map_by_name", pointer, pointer, text),
        ("bpf_object__find_map_fd_by_name", ctypes.c_int, pointer, text),
        ("bpf_map__set_initial_value", ctypes.c_int, pointer, text, ctypes.c_size_t),
        ("bpf_object__next_program", pointer, pointer, pointer),
        ("bpf_program__type", ctypes.c_int, pointer),
        ("bpf_program__fd", ctypes.c_int, pointer),
        ("bpf_program__name", text, pointer),
        ("bpf_program__set_autoload", ctypes.c_int, pointer, ctypes.c_bool),
        ("bpf_map_lookup_elem", ctypes.c_int, ctypes.c_int, pointer, pointer),
        ("bpf_map_update_elem", ctypes.c_int, ctypes.c_int, pointer, pointer, ctypes.c_uint64),
        ("bpf_obj_get", ctypes.c_int, text),
        ("bpf_obj_get_info_by_fd", ctypes.c_int, ctypes.c_int, pointer, pointer),
        ("bpf_map_get_fd_by_id", ctypes.c_int, ctypes.c_uint32),
        ("bpf_prog_get_fd_by_id", ctypes.c_int, ctypes.c_uint32),
        ("libbpf_set_print", pointer, pointer),
    ):
        getattr(lib, function).restype = result
        getattr(lib, function).argtypes = arguments
    return lib


@contextmanager
def _said(lib: Any) -> Iterator[list[bytes]]:
    """What libbpf prints in the context."""
    said: list[bytes] = []
    libc = ctypes.CDLL(None)

    def keep(level: int, form: bytes, arguments: int) -> int:
        text = ctypes.c_char_p()
        if level < 2 and libc.vasprintf(ctypes.byref(text), form, ctypes.c_void_p(arguments)) >= 0:
            said.append(text.value or b"")
            libc.free(text)
        return 0

    callback = _Print(keep)
    with _printing:
        before = lib.libbpf_set_print(ctypes.cast(callback, ctypes.c_void_p))
        try:
            yield said
        finally:
            lib.libbpf_set_print(before)


def _text(said: list[bytes]) -> str:
    return b"".join(said).decode(errors="replace").strip()


def _verifier(text: str) -> str:
    """The verifier's words, or if there are none all that libbpf said."""
    _, begin, rest = text.partition("-- BEGIN PROG LOAD LOG --\n")
    return rest.partition("-- END PROG LOAD LOG --")[0].strip() if begin else text
