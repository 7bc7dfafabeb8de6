"""What a layout is made of: fields, each with its place and the values that it takes."""

from __future__ import annotations

import ctypes
import struct
from collections.abc import Callable, Iterable, Iterator, Mapping, Set
from dataclasses import dataclass
from enum import IntEnum, IntFlag, StrEnum
from functools import cache, partial, reduce
from math import isinf, prod
from numbers import Real
from operator import index, or_
from typing import Annotated, Any, NamedTuple, NoReturn, Protocol, TypeVar, cast

T = TypeVar("T")


class Kind(StrEnum):
    """What an element of a field is, by its name in a layout text."""

    I8 = "i8"
    U8 = "u8"
    I16 = "i16"
    U16 = "u16"
    I32 = "i32"
    U32 = "u32"
    I64 = "i64"
    U64 = "u64"
    F32 = "f32"
    F64 = "f64"
    Q16 = "q16"
    """A number in an i32, with 16 bits behind the point: 65536 is 1.0."""
    BOOL = "bool"
    BYTES = "bytes"
    STRUCT = "struct"


# The types of fields, for the annotations of a class: see rtshm.struct().
i8 = Annotated[int, Kind.I8]
u8 = Annotated[int, Kind.U8]
i16 = Annotated[int, Kind.I16]
u16 = Annotated[int, Kind.U16]
i32 = Annotated[int, Kind.I32]
u32 = Annotated[int, Kind.U32]
i64 = Annotated[int, Kind.I64]
u64 = Annotated[int, Kind.U64]
f32 = Annotated[float, Kind.F32]
f64 = Annotated[float, Kind.F64]
q16 = Annotated[float, Kind.Q16]
bool8 = Annotated[bool, Kind.BOOL]


class Array(Protocol[T]):
    """An array of a fixed length: a list in a record, live memory in a view."""

    def __len__(self) -> int: ...
    def __iter__(self) -> Iterator[T]: ...
    def __getitem__(self, index: int, /) -> T: ...
    def __setitem__(self, index: int, value: T, /) -> None: ...


class View:
    """Live fields of a struct: equal to what has the same values, and never a copy."""

    __slots__ = ()
    _names: tuple[str, ...]

    def __dir__(self) -> Iterable[str]:
        return self._names

    def __repr__(self) -> str:
        values = (f"{name}={getattr(self, name)!r}" for name in self._names)
        return f"{type(self).__name__}({', '.join(values)})"

    def __eq__(self, other: object) -> bool:
        mine = {name: getattr(self, name) for name in self._names}
        if isinstance(other, Mapping):
            return mine == other
        try:
            return mine == {name: getattr(other, name) for name in self._names}
        except AttributeError:
            return NotImplemented

    __hash__ = None  # type: ignore[assignment]

    def __reduce__(self) -> NoReturn:
        raise TypeError("a view is live memory, and cannot be copied or pickled; use read()")


class Number(NamedTuple):
    """A kind of number elsewhere."""

    code: str
    """The format character of the modules struct and construct, for the standard sizes."""
    ctype: type[ctypes._SimpleCData[Any]]
    c: str


NUMBERS = {
    Kind.I8: Number("b", ctypes.c_int8, "__s8"),
    Kind.U8: Number("B", ctypes.c_uint8, "__u8"),
    Kind.I16: Number("h", ctypes.c_int16, "__s16"),
    Kind.U16: Number("H", ctypes.c_uint16, "__u16"),
    Kind.I32: Number("l", ctypes.c_int32, "__s32"),
    Kind.U32: Number("L", ctypes.c_uint32, "__u32"),
    Kind.I64: Number("q", ctypes.c_int64, "__s64"),
    Kind.U64: Number("Q", ctypes.c_uint64, "__u64"),
    Kind.F32: Number("f", ctypes.c_float, "float"),
    Kind.F64: Number("d", ctypes.c_double, "double"),
    Kind.Q16: Number("l", ctypes.c_int32, "__s32"),
    # Not C's bool: a byte of shared memory may hold more than 0 or 1, which bool does not.
    Kind.BOOL: Number("?", ctypes.c_bool, "__u8"),
}


@dataclass(frozen=True, slots=True)
class Field:
    """A field with a name; padding is what no field covers."""

    name: str
    path: str
    """Its name after those of the structs that it is in, with dots."""
    offset: int
    """Bytes from the layout's beginning; of an element of an array of structs, the first."""
    kind: Kind
    element: int
    """Bytes of one element."""
    alignment: int
    shape: tuple[int, ...] = ()
    """Elements by dimension, as in C; () if it is not an array."""
    enum: type[IntEnum] | type[IntFlag] | None = None
    fields: tuple[Field, ...] = ()
    """Of a struct."""

    @property
    def count(self) -> int:
        """Elements in all."""
        return prod(self.shape)

    @property
    def size(self) -> int:
        """Bytes in all."""
        return self.element * self.count


Q16_ONE = 1 << 16
"""What a q16 of 1.0 has in memory."""


class _Pickled:
    """Of an enum that a layout names, and no program: what makes it again is pickled."""

    def __reduce_ex__(self, protocol: Any) -> Any:
        kind: Any = type(self)
        entries = tuple((name, int(member)) for name, member in kind.__members__.items())
        return _member, (kind.__name__, entries, issubclass(kind, IntFlag), int(cast("int", self)))


class _Named(_Pickled, IntEnum):
    pass


class _NamedBits(_Pickled, IntFlag):
    pass


@cache
def named(
    name: str, entries: tuple[tuple[str, int], ...], flags: bool
) -> type[IntEnum] | type[IntFlag]:
    """Return the enum of these entries: the same class for the same ones."""
    base: Any = _NamedBits if flags else _Named
    made: type[IntEnum] | type[IntFlag] = base(name, entries, module=__name__)
    return made


def _member(name: str, entries: tuple[tuple[str, int], ...], flags: bool, value: int) -> int:
    return named(name, entries, flags)(value)


def with_padding(struct: Field) -> Iterator[tuple[int, Field | None]]:
    """The fields of a struct, each after the bytes of padding before it; None for its end."""
    end = struct.offset
    for field in struct.fields:
        yield field.offset - end, field
        end = field.offset + field.size
    yield struct.offset + struct.element - end, None


def limits(kind: Kind) -> tuple[int, int]:
    """The least and the greatest value of a kind of integer."""
    bits = 8 * ctypes.sizeof(NUMBERS[kind].ctype)
    return (-(1 << bits - 1), (1 << bits - 1) - 1) if kind.startswith("i") else (0, (1 << bits) - 1)


def encoder(field: Field) -> Callable[[Any], Any]:
    """What turns a value into what is stored in an element: an int, a float, a bool or bytes.

    It raises TypeError, OverflowError or ValueError for what the element does not take.
    """
    if field.enum:
        return partial(_encode_member, field, field.enum)
    match field.kind:
        case Kind.BYTES:
            return partial(_encode_bytes, field)
        case Kind.BOOL:
            return partial(_encode_bool, field)
        case Kind.F32 | Kind.F64:
            return partial(_encode_float, field, struct.Struct(f"={NUMBERS[field.kind].code}"))
        case Kind.Q16:
            return partial(_encode_q16, field)
        case kind:
            return partial(_encode_integer, field, *limits(kind))


def decoder(field: Field) -> Callable[[Any], Any] | None:
    """What turns what is stored in an element into its value; None if that is the value."""
    if field.enum:
        return partial(_decode_member, field.enum)
    if field.kind is Kind.Q16:
        return lambda stored: stored / Q16_ONE
    return bytes if field.kind is Kind.BYTES else None


def exactly(field: Field, count: int, values: Iterable[Any]) -> list[Any]:
    """As many values as there are elements."""
    try:
        if isinstance(values, Set | Mapping):
            # They have no order, or none that is meant.
            raise TypeError
        listed = list(values)
    except TypeError:
        raise TypeError(
            f"{field.path}: {values!r} is not a sequence; give {count} values"
        ) from None
    if len(listed) != count:
        raise ValueError(f"{field.path}: {len(listed)} values; give {count}")
    return listed


def _encode_integer(field: Field, low: int, high: int, value: Any) -> int:
    number = _integer(field, value)
    if not low <= number <= high:
        raise OverflowError(
            f"{field.path}: {number} does not fit {field.kind}; give {low} to {high}"
        )
    return number


def _float(field: Field, value: Any) -> float:
    if not isinstance(value, (float, int, Real)):
        raise TypeError(f"{field.path}: {value!r} is not a number")
    return float(value)


def _encode_float(field: Field, stored: struct.Struct, value: Any) -> float:
    try:
        number = _float(field, value)
        # C makes an infinity of what is too large, and so does numpy of a longdouble.
        stored.pack(number)
        if isinf(number) and value != number:
            raise OverflowError
    except OverflowError:
        raise OverflowError(f"{field.path}: {value!r} is too large for {field.kind}") from None
    return number


def _encode_q16(field: Field, value: Any) -> int:
    low, high = limits(Kind.I32)
    try:
        # To multiply by a power of two is exact; the rounding is to the nearest.
        stored = round(_float(field, value) * Q16_ONE)
    except ValueError:
        raise ValueError(f"{field.path}: {value!r} does not fit q16") from None
    except OverflowError:
        stored = high + 1
    if not low <= stored <= high:
        raise OverflowError(
            f"{field.path}: {value!r} does not fit q16; give {low / Q16_ONE} to {high / Q16_ONE}"
        )
    return stored


def _encode_bool(field: Field, value: Any) -> bool:
    if value not in (False, True):
        raise ValueError(f"{field.path}: {value!r} is not a bool; give True or False")
    return bool(value)


def _encode_bytes(field: Field, value: Any) -> bytes:
    if not isinstance(value, (bytes, bytearray, memoryview)):
        raise TypeError(f"{field.path}: {value!r} is not bytes")
    data = bytes(value)
    if len(data) != field.element:
        raise ValueError(
            f"{field.path}: {len(data)} bytes; give {field.element}, "
            f"as .ljust({field.element}, b'\\0') makes them of fewer"
        )
    return data


def _encode_member(field: Field, enum: type[IntEnum] | type[IntFlag], value: Any) -> int:
    flags = issubclass(enum, IntFlag)
    members = enum.__members__
    if isinstance(value, str):
        names = {name.strip() for name in value.split("|")} if flags else {value}
        if flags and names == {""}:
            return 0
        if names <= members.keys():
            return reduce(or_, (int(members[name]) for name in names))
    else:
        number = _integer(field, value)
        # Aliases, and names of several bits, are members, and no items.
        if flags and number & sum(enum) == number:
            return number
        if not flags and number in members.values():
            return number
    separator = " | " if flags else ", "
    raise ValueError(f"{field.path}: {value!r} is none of {separator.join(members)}")


def _decode_member(enum: type[IntEnum] | type[IntFlag], stored: int) -> int:
    try:
        return enum(stored)
    except ValueError:
        # Anybody may have stored it.
        return stored


def _integer(field: Field, value: Any) -> int:
    try:
        return index(value)
    except TypeError:
        raise TypeError(f"{field.path}: {value!r} is not a whole number") from None
