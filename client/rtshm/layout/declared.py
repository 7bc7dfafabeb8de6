"""Layouts declared otherwise than with construct, by a typed class, numpy or ctypes: as construct.

A class needs no padding: it is put in where C puts it.
"""

from __future__ import annotations

import ctypes
import dataclasses
import enum
import sys
import typing
from typing import Any

import construct

from rtshm.errors import LayoutError
from rtshm.layout.construct import keeping, number
from rtshm.layout.fields import NUMBERS, Kind

LAYOUT = "__rtshm_layout__"
"""The attribute of a class that @rtshm.struct declared: its annotations, by name."""


def from_class(cls: type[Any], path: str = "") -> tuple[construct.Struct, dict[str, type[Any]]]:
    """Return what a class declares, and by path the classes of it and of the structs in it."""
    classes = {path: cls}
    subcons = []
    for name, annotation in getattr(cls, LAYOUT).items():
        inner = f"{path}.{name}" if path else name
        subcons.append(name / _annotated(annotation, inner, classes))
    return construct.Struct(*subcons), classes


def _annotated(annotation: Any, path: str, classes: dict[str, type[Any]]) -> Any:
    """Return what Annotated[Array[int], i32, 3] and its like declare, or a class in a class."""
    if hasattr(annotation, LAYOUT):
        return _nested(annotation, path, classes)
    if typing.get_origin(annotation) is not typing.Annotated:
        raise LayoutError(
            f"{path}: {annotation!r} does not say how it lies in memory; "
            "use rtshm.f64, rtshm.i32, ..., Annotated[..., rtshm.u8], or an rtshm.struct"
        )
    python, *marks = typing.get_args(annotation)
    counts = [mark for mark in marks if isinstance(mark, int)]
    kinds = [mark for mark in marks if not isinstance(mark, int)]
    if _innermost(python)[0] is bytes:
        kinds = [Kind.BYTES]
    if len(kinds) != 1:
        raise LayoutError(f"{path}: {annotation!r}: give one type, for example rtshm.u8")
    (kind,) = kinds
    while typing.get_origin(kind) is typing.Annotated:
        _, kind = typing.get_args(kind)
    element, dimensions = _innermost(python)
    declared: Any
    if hasattr(kind, LAYOUT):
        _check_is(element, kind, path, kind.__name__)
        declared = _nested(kind, path, classes)
    elif kind is Kind.BYTES:
        if not counts:
            raise LayoutError(f"{path}: bytes without a length; use Annotated[bytes, 16]")
        declared = construct.Bytes(counts.pop())
    elif not isinstance(kind, Kind):
        raise LayoutError(f"{path}: {kind!r} is not a type of rtshm, for example rtshm.u8")
    else:
        declared = number(kind)
        if isinstance(element, type) and issubclass(element, enum.IntFlag):
            known = sum(element)
            if odd := [entry for entry, bits in element.__members__.items() if bits & ~known]:
                raise LayoutError(f"{path}: {', '.join(odd)}: give each bit a name of its own, too")
            declared = keeping(construct.FlagsEnum(declared, element), element)
        elif isinstance(element, type) and issubclass(element, enum.IntEnum):
            declared = keeping(construct.Enum(declared, element), element)
        else:
            _check_is(element, _PYTHON.get(kind, int), path, kind)
    if dimensions != len(counts):
        raise LayoutError(f"{path}: {annotation!r}: give a length for each Array[...] in it")
    for count in reversed(counts):
        declared = construct.Array(count, declared)
    return declared


_PYTHON = {Kind.F32: float, Kind.F64: float, Kind.Q16: float, Kind.BOOL: bool}
"""What a checker is to know of the values of a kind; of all others int."""


def _check_is(element: Any, python: type[Any], path: str, kind: str) -> None:
    """Refuse a declaration that has a checker believe in other values than there will be."""
    if element not in (python, Any):
        enums = ", an IntEnum or an IntFlag" if python is int else ""
        raise LayoutError(
            f"{path}: declared as {getattr(element, '__name__', element)}, but the values of "
            f"{kind} are {python.__name__}; declare {python.__name__}{enums}"
        )


def _innermost(python: Any) -> tuple[Any, int]:
    """Return int, 2 of Array[Array[int]]."""
    dimensions = 0
    while arguments := typing.get_args(python):
        python = arguments[0]
        dimensions += 1
    return python, dimensions


def _nested(cls: type[Any], path: str, classes: dict[str, type[Any]]) -> construct.Struct:
    declared, inner = from_class(cls, path)
    classes.update(inner)
    return declared


def from_ctypes(cls: type[ctypes.Structure], path: str = "") -> construct.Struct:
    """Return what a ctypes structure declares, with its padding."""
    where = path or cls.__name__
    if not issubclass(cls, ctypes.Structure) or issubclass(cls, _FOREIGN):
        raise LayoutError(f"{where}: foreign byte order, or a union; use a ctypes.Structure")
    members = []
    # A class has its own fields after those of the class that it was made from.
    fields = [each for base in reversed(cls.__mro__) for each in vars(base).get("_fields_", ())]
    for name, ctype, *bits in fields:
        inner = f"{path}.{name}" if path else name
        if bits:
            raise LayoutError(f"{inner}: it is packed in bits; use whole integers")
        members.append((getattr(cls, name).offset, name / _ctype(ctype, inner)))
    return _with_gaps(members, ctypes.sizeof(cls), path)


def _with_gaps(members: list[tuple[int, Any]], size: int, path: str) -> construct.Struct:
    """Return the struct of members at these offsets, with its gaps as padding."""
    subcons: list[Any] = []
    end = 0
    for offset, member in [*members, (size, None)]:
        if offset < end:
            raise LayoutError(
                f"{f'{path}.' if path else ''}{member.name}: it overlaps another field"
            )
        if offset > end:
            subcons.append(construct.Padding(offset - end))
        if member is not None:
            subcons.append(member)
            end = offset + member.sizeof()
    return construct.Struct(*subcons)


_FOREIGN = (
    ctypes.BigEndianStructure if sys.byteorder == "little" else ctypes.LittleEndianStructure,
)


def _ctype(ctype: Any, path: str) -> Any:
    if issubclass(ctype, ctypes.Array):
        if ctype._type_ is ctypes.c_char:
            return construct.Bytes(ctype._length_)
        return construct.Array(ctype._length_, _ctype(ctype._type_, path))
    if issubclass(ctype, ctypes.Structure):
        return from_ctypes(ctype, path)
    for kind, each in NUMBERS.items():
        if ctype is each.ctype:
            return number(kind)
    raise LayoutError(f"{path}: {ctype.__name__} cannot lie in place; use a number of fixed size")


def is_dtype(declared: Any) -> bool:
    numpy = sys.modules.get("numpy")
    return numpy is not None and isinstance(declared, numpy.dtype)


def from_dtype(dtype: Any, path: str = "") -> construct.Struct:
    """Return what a structured numpy dtype declares, with its gaps as padding."""
    if dtype.fields is None:
        raise LayoutError(f"{path or 'layout'}: {dtype} has no fields; use a structured dtype")
    members = []
    for name in sorted(dtype.names, key=lambda name: dtype.fields[name][1]):
        inner, offset, *_ = dtype.fields[name]
        members.append((offset, name / _dtype(inner, f"{path}.{name}" if path else name)))
    return _with_gaps(members, dtype.itemsize, path)


def _dtype(dtype: Any, path: str) -> Any:
    if dtype.subdtype:
        inner, shape = dtype.subdtype
        declared = _dtype(inner, path)
        for count in reversed(shape):
            declared = construct.Array(int(count), declared)
        return declared
    if dtype.fields is not None:
        return from_dtype(dtype, path)
    if dtype.kind in "VS":
        return construct.Bytes(dtype.itemsize)
    if dtype.kind == "b":
        return number(Kind.BOOL)
    if not dtype.isnative:
        raise LayoutError(f"{path}: foreign byte order; use the native one")
    kind = f"{dtype.kind}{dtype.itemsize * 8}"
    if kind not in [each.value for each in NUMBERS]:
        raise LayoutError(f"{path}: {dtype} cannot lie in place; use a number up to 64 bits")
    return number(Kind(kind))


def declare(cls: type[Any], namespace: dict[str, Any]) -> type[Any]:
    """Make a dataclass of a class and note its annotations: what @rtshm.struct does."""
    made = dataclasses.dataclass(cls)
    hints = typing.get_type_hints(made, localns=namespace, include_extras=True)
    fields = dataclasses.fields(made)
    if left_out := [field.name for field in fields if not field.init]:
        raise LayoutError(f"{', '.join(left_out)}: init=False, but a record is made of all fields")
    setattr(made, LAYOUT, {field.name: hints[field.name] for field in fields})
    return made
