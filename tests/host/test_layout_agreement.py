"""construct, the text, ctypes, numpy and C mean the same bytes: of 300 layouts made at random."""

from __future__ import annotations

import ctypes
import random
import shutil
import subprocess
from enum import IntEnum
from typing import TYPE_CHECKING, Any, NamedTuple

import construct as c
import numpy
import pytest
from rtshm.layout import Field, Kind, Layout
from rtshm.layout.construct import Q16n

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

SEEDS = range(300)

# Each number as construct can declare it: in this machine's order by its name, or as native.
NUMBERS = {
    "i8": (c.Int8sn, c.Int8sl, c.Int8sb),
    "u8": (c.Int8un, c.Int8ul, c.Int8ub, c.Byte),
    "i16": (c.Int16sn, c.Int16sl),
    "u16": (c.Int16un, c.Int16ul),
    "i32": (c.Int32sn, c.Int32sl),
    "u32": (c.Int32un, c.Int32ul),
    "i64": (c.Int64sn, c.Int64sl),
    "u64": (c.Int64un, c.Int64ul),
    "f32": (c.Float32n, c.Float32l),
    "f64": (c.Float64n, c.Float64l),
}


class Made(NamedTuple):
    """Something declared, with all that a layout is to find out about it."""

    declared: Any
    text: str
    """With %s where the counts of an array go."""
    size: int
    alignment: int
    value: Callable[[], Any]
    """Makes one; enums are names, flags integers."""


def integer_range(kind: str) -> tuple[int, int]:
    bits = int(kind[1:])
    return (0, 2**bits - 1) if kind[0] == "u" else (-(2 ** (bits - 1)), 2 ** (bits - 1) - 1)


def make_number(rng: random.Random) -> Made:
    kind = rng.choice(list(NUMBERS))
    declared = rng.choice(NUMBERS[kind])
    size = int(kind[1:]) // 8

    def value() -> float:
        if kind[0] == "f":
            return rng.randint(-(2**20), 2**20) / 8
        low, high = integer_range(kind)
        return rng.choice([low, high, 0, rng.randint(low, high)])

    return Made(declared, f":{kind}%s", size, size, value)


def make_enum(rng: random.Random) -> Made:
    kind = rng.choice([kind for kind in NUMBERS if kind[0] != "f"])
    low, high = integer_range(kind)
    values = sorted({low, high, *(rng.randint(low, high) for _ in range(rng.randint(0, 3)))})
    entries = {f"e{number}": value for number, value in enumerate(values)}
    text = ",".join(f"{name}={value}" for name, value in entries.items())
    size = int(kind[1:]) // 8
    declared = c.Enum(rng.choice(NUMBERS[kind]), **entries)
    return Made(declared, f":{kind}{{{text}}}%s", size, size, lambda: rng.choice(list(entries)))


def make_flags(rng: random.Random) -> Made:
    kind = rng.choice([kind for kind in NUMBERS if kind[0] == "u"])
    bits = rng.sample(range(int(kind[1:])), rng.randint(1, 4))
    entries = {f"b{bit}": 1 << bit for bit in bits}
    text = ",".join(f"{name}={value}" for name, value in entries.items())
    size = int(kind[1:]) // 8
    return Made(
        c.FlagsEnum(rng.choice(NUMBERS[kind]), **entries),
        f":{kind}<{text}>%s",
        size,
        size,
        lambda: sum(value for value in entries.values() if rng.random() < 0.5),
    )


def make_bytes(rng: random.Random) -> Made:
    size = rng.randint(1, 9)
    return Made(c.Bytes(size), f":bytes[{size}]%s", size, 1, lambda: rng.randbytes(size))


def make_bool(rng: random.Random) -> Made:
    return Made(c.Flag, ":bool%s", 1, 1, lambda: rng.random() < 0.5)


def make_q16(rng: random.Random) -> Made:
    low, high = integer_range("i32")
    return Made(Q16n, ":q16%s", 4, 4, lambda: rng.randint(low, high) / 65536)


def make_struct(rng: random.Random, depth: int) -> Made:
    subcons: list[Any] = []
    words: list[str] = []
    values: dict[str, Callable[[], Any]] = {}
    size, largest = 0, 1

    def pad(alignment: int) -> None:
        nonlocal size
        padding = -size % alignment + rng.choice([0, 0, 0, alignment])
        size += padding
        if padding:
            words.append(f"_:x{padding}")
            cut = rng.randint(0, padding)
            subcons.extend((c.Padding(cut), c.Padding(padding - cut)))

    for number in range(rng.randint(1, 4)):
        makers = [make_number, make_number, make_enum, make_flags, make_bytes, make_bool, make_q16]
        if depth < 2:
            makers.append(lambda rng: make_struct(rng, depth + 1))
        made = rng.choice(makers)(rng)
        name = f"{rng.choice(['speed', 'axis', 'X', 'a_b'])}{number}"
        shape = [rng.randint(1, 3) for _ in range(rng.choice([0, 0, 0, 1, 2 - depth // 2]))]
        pad(made.alignment)
        declared, value, count = made.declared, made.value, 1
        for length in reversed(shape):
            declared, value = c.Array(length, declared), repeat(value, length)
            count *= length
        subcons.append(name / declared)
        words.append(name + made.text % "".join(f"[{length}]" for length in shape))
        values[name] = value
        size += made.size * count
        largest = max(largest, made.alignment)
    pad(largest)
    return Made(
        c.Struct(*subcons),
        f"%s({' '.join(words)})",
        size,
        largest,
        lambda: {name: value() for name, value in values.items()},
    )


def repeat(value: Callable[[], Any], count: int) -> Callable[[], Any]:
    return lambda: [value() for _ in range(count)]


def make(seed: int) -> Made:
    """A layout that fits its text."""
    rng = random.Random(seed)
    while True:
        made = make_struct(rng, 0)
        if len(made.text) <= 1000:
            return made._replace(text=made.text.removeprefix("%s(").removesuffix(")"))


def fill(view: Any, values: dict[str, Any]) -> None:
    """Store the values one by one."""
    for name, value in values.items():
        if isinstance(value, dict):
            fill(getattr(view, name), value)
        elif isinstance(value, list):
            fill_array(getattr(view, name), value)
        else:
            setattr(view, name, value)


def fill_array(array: Any, values: list[Any]) -> None:
    for index, value in enumerate(values):
        if isinstance(value, dict):
            fill(array[index], value)
        elif isinstance(value, list):
            fill_array(array[index], value)
        else:
            array[index] = value


def read(value: Any) -> Any:
    """The plain values of a live view or of a parsed record, an enum's by name."""
    match value:
        case IntEnum():
            return value.name
        case dict():
            return {name: read(one) for name, one in value.items()}
        case list() | ctypes.Array():
            return [read(one) for one in value]
        case ctypes.Structure():
            names = [member[0] for member in value._fields_ if not member[0].startswith("_")]
            return {name: read(getattr(value, name)) for name in names}
        case _:
            return value


def read_numpy(fields: tuple[Field, ...], record: Any) -> dict[str, Any]:
    return {field.name: read_element(field, field.shape, record[field.name]) for field in fields}


def read_element(field: Field, shape: tuple[int, ...], value: Any) -> Any:
    if shape:
        return [read_element(field, shape[1:], one) for one in value]
    if field.fields:
        return read_numpy(field.fields, value)
    if field.kind is Kind.BYTES:
        return value.tobytes()
    if field.kind is Kind.Q16:
        return value.item() / 65536
    return read(field.enum(value)) if field.enum else value.item()


def leaves(fields: tuple[Field, ...], prefix: str = "") -> Iterator[tuple[str, Field]]:
    """Every field that is not a struct, with what C calls its first element in the first struct."""
    for field in fields:
        first = prefix + field.name + "[0]" * len(field.shape)
        if field.fields:
            yield from leaves(field.fields, first + ".")
        else:
            yield first + "[0]" * (field.kind is Kind.BYTES), field


def ctypes_offset(view: Any, path: str) -> int:
    name, _, rest = path.partition(".")
    member = getattr(view, name)
    offset = int(member.offset)
    if not rest:
        return offset
    inner = dict(view._fields_)[name]
    while hasattr(inner, "_type_"):
        inner = inner._type_
    return offset + ctypes_offset(inner, rest)


def numpy_offset(dtype: Any, path: str) -> int:
    name, _, rest = path.partition(".")
    inner, offset = dtype.fields[name][:2]
    return int(offset) + (numpy_offset(inner.base, rest) if rest else 0)


def test_the_layouts_have_every_kind_of_field() -> None:
    found = set()

    def look(fields: tuple[Field, ...]) -> None:
        for field in fields:
            found.add((field.kind, len(field.shape)))
            look(field.fields)

    for seed in SEEDS:
        look(Layout(make(seed).declared).fields)
    assert found == {(kind, dimensions) for kind in Kind for dimensions in (0, 1, 2)}


@pytest.mark.parametrize("seed", SEEDS)
def test_text_is_the_same_after_a_round_trip(seed: int) -> None:
    made = make(seed)
    layout = Layout(made.declared)
    assert layout.text == made.text
    again = Layout(layout.text)
    assert again.text == layout.text
    assert again == layout
    assert layout.size == made.size == made.declared.sizeof()


@pytest.mark.parametrize("seed", SEEDS)
def test_all_build_and_read_the_bytes_that_construct_builds(seed: int) -> None:
    made = make(seed)
    for layout in (Layout(made.declared), Layout(made.text)):
        values = made.value()
        data = made.declared.build(values)
        assert layout.build(values) == data
        assert read(layout.parse(data)) == values
        view = layout.ctypes()
        fill(view, values)
        assert bytes(view) == data
        assert read(view) == values
        record = numpy.frombuffer(data, layout.dtype)[0]
        assert read_numpy(layout.fields, record) == values


@pytest.mark.parametrize("seed", SEEDS)
def test_ctypes_and_numpy_have_the_same_offsets(seed: int) -> None:
    layout = Layout(make(seed).text)
    for _, field in leaves(layout.fields):
        assert ctypes_offset(layout.ctypes, field.path) == field.offset
        assert numpy_offset(layout.dtype, field.path) == field.offset
    assert layout.dtype.itemsize == layout.size


PROBE = """
#include <stdio.h>
#define KIND(x) _Generic((x), __s8: "i8", __u8: "u8", __s16: "i16", __u16: "u16", __s32: "i32", \\
\t__u32: "u32", __s64: "i64", __u64: "u64", float: "f32", double: "f64")
#define ROW(tag, member) { #tag " " #member, offsetof(struct tag, member), \\
\tKIND(((struct tag *)0)->member) }
static const struct { const char *name; size_t offset; const char *kind; } rows[] = {
%s
};
int main(void)
{
\tfor (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++)
\t\tprintf("%%s %%zu %%s\\n", rows[i].name, rows[i].offset, rows[i].kind);
}
"""


@pytest.fixture(scope="module")
def headers(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("headers")
    for seed in SEEDS:
        header = Layout(make(seed).declared).declaration(f"lay{seed}")
        (directory / f"lay{seed}.h").write_text(header)
    return directory


def compiler(name: str) -> str:
    path = shutil.which(name)
    assert path, f"no {name}: make test installs one"
    return path


def test_c_has_the_same_offsets_and_types(headers: Path) -> None:
    rows, expected = [], []
    for seed in SEEDS:
        for first, field in leaves(Layout(make(seed).declared).fields):
            kinds = {Kind.BOOL: "u8", Kind.BYTES: "u8", Kind.Q16: "i32"}
            kind = kinds.get(field.kind, str(field.kind))
            rows.append(f"\tROW(lay{seed}, {first}),")
            expected.append(f"lay{seed} {first} {field.offset} {kind}")
    includes = "".join(f'#include "lay{seed}.h"\n' for seed in SEEDS)
    (headers / "probe.c").write_text(includes + PROBE % "\n".join(rows))
    flags = ["-std=c11", "-Wall", "-Wextra", "-Werror"]
    build = [compiler("gcc"), *flags, "-o", "probe", "probe.c"]
    subprocess.run(build, cwd=headers, check=True)
    out = subprocess.run([headers / "probe"], check=True, capture_output=True, text=True).stdout
    assert out.splitlines() == expected


def test_headers_compile_as_cpp(headers: Path) -> None:
    includes = "".join(f'#include "lay{seed}.h"\n' for seed in SEEDS)
    (headers / "probe.cpp").write_text(includes + "int main() {}\n")
    flags = ["-Wall", "-Wextra", "-Werror", "-fsyntax-only"]
    subprocess.run([compiler("g++"), *flags, "probe.cpp"], cwd=headers, check=True)
