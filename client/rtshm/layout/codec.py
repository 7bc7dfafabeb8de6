"""Records as bytes and back, by the module struct: code is made for each layout, once.

A record of a few numbers takes about as long as the struct.pack() in it. What the quick
way does not take goes through the encoders of the fields, which say what is wrong.
"""

from __future__ import annotations

import dataclasses
import struct
from collections.abc import Callable, Mapping
from enum import IntEnum
from functools import partial
from math import prod
from typing import TYPE_CHECKING, Any

from rtshm.layout.fields import (
    NUMBERS,
    Q16_ONE,
    Kind,
    View,
    decoder,
    encoder,
    exactly,
    with_padding,
)

if TYPE_CHECKING:
    from rtshm.layout.fields import Field

    Classes = Mapping[str, type[Any]]


class Codec:
    """What makes bytes of the fields of a struct, and values of bytes.

    `classes` has by path the classes whose objects structs are read as, "" for the
    layout itself; a struct without a class is a dict.
    """

    def __init__(self, root: Field, classes: Classes) -> None:
        self._root = root
        self._classes = classes
        self._struct = struct.Struct("=" + _format(root))
        self.size = self._struct.size
        self.build: Callable[[Any], bytes] = self._builder()
        """The bytes of a record: of a mapping, or of an object of the class."""
        self.parse: Callable[[Any], dict[str, Any]] = self._unpacker({})
        """The values in the first bytes of a buffer, as a dict."""
        self.load: Callable[[Any], Any] = self._unpacker(classes) if classes else self.parse
        """The same, as an object of the class if there is one."""

    def _builder(self) -> Callable[[Any], bytes]:
        """build(values): values of the usual types go to struct.pack() as they are."""
        root, flat = self._root, _flat_struct(self._root, self._classes)
        names: dict[str, Any] = {
            "pack": self._struct.pack,
            # Says what is wrong; or takes what is not of the usual types.
            "encode": lambda values: self._struct.pack(*flat(values)),
            "error": struct.error,
            "cls": self._classes.get(root.path),
        }
        items, attributes, arguments = [], [], []
        for at, field in enumerate(root.fields):
            value, function = f"v{at}", f"f{at}"
            items.append(f"   {value} = values[{field.name!r}]")
            attributes.append(f"   {value} = values.{field.name}")
            if field.shape or field.fields:
                names[function] = _flat(field, self._classes)
                arguments.append(f"*{function}({value})")
            else:
                names[function], names[f"e{at}"] = encoder(field), field.enum
                arguments.append(_quick(field).format(v=value, f=function, e=f"e{at}"))
        lines = [
            *("def made(values):", " try:", "  if values.__class__ is cls:", *attributes),
            *(f"  elif len(values) == {len(items)}:", *items, "  else:"),
            *("   return encode(values)", f"  return pack({', '.join(arguments)})"),
            " except (error, OverflowError, LookupError, TypeError, AttributeError, ValueError):",
            "  return encode(values)",
        ]
        return _made("\n".join(lines), names)

    def _unpacker(self, classes: Classes) -> Callable[[Any], Any]:
        names: dict[str, Any] = {"unpack_from": self._struct.unpack_from}
        expression = _Reader(classes, names).struct(self._root, "", 0)
        return _made(f"def made(data):\n t = unpack_from(data)\n return {expression}", names)


def field_codec(field: Field, classes: Classes) -> Callable[[Any], bytes]:
    """Return what makes the bytes of one field of its value."""
    flat = _flat(field, classes)
    pack = struct.Struct("=" + _element_format(field, field.count)).pack
    return lambda value: pack(*flat(value))


def _quick(field: Field) -> str:
    """Return the expression of a value that struct.pack() takes, or else refuses."""
    match field.kind:
        # Flags may have bits that are none of them.
        case _ if field.enum:
            quick = "{e}" if issubclass(field.enum, IntEnum) else ""
        case Kind.F32 | Kind.F64:
            quick = "float"
        case Kind.BOOL | Kind.BYTES | Kind.Q16:
            quick = ""
        case _:
            quick = "int"
    return f"{{v}} if {{v}}.__class__ is {quick} else {{f}}({{v}})" if quick else "{f}({v})"


def _format(root: Field) -> str:
    parts = []
    for padding, field in with_padding(root):
        if padding:
            parts.append(f"{padding}x")
        if field:
            parts.append(_element_format(field, field.count))
    return "".join(parts)


def _element_format(field: Field, count: int = 1) -> str:
    match field.kind:
        case Kind.STRUCT:
            return _format(field) * count
        case Kind.BYTES:
            return f"{field.element}s" * count
        case kind:
            return f"{count if count > 1 else ''}{NUMBERS[kind].code}"


def _made(source: str, names: dict[str, Any]) -> Callable[..., Any]:
    exec(source, names)
    made: Callable[..., Any] = names["made"]
    return made


def _flat(field: Field, classes: Classes) -> Callable[[Any], list[Any]]:
    """Return what makes of a field's value the list that struct.pack() takes."""
    one = _flat_struct(field, classes) if field.fields else None
    encode = encoder(field) if one is None else None
    # Lists of these need no look at each: struct.pack() refuses what is out of range.
    quick = {Kind.F32: float, Kind.F64: float}.get(field.kind) if not field.enum else None

    def flat(shape: tuple[int, ...], value: Any) -> list[Any]:
        if not shape:
            return one(value) if one else [encode(value)]  # type: ignore[misc]
        listed = exactly(field, shape[0], value)
        if quick and len(shape) == 1 and {*map(type, listed)} <= {quick}:
            for number in listed if field.kind is Kind.F32 else ():
                encode(number)  # type: ignore[misc]
            return listed
        return [each for inner in listed for each in flat(shape[1:], inner)]

    return partial(flat, field.shape)


def _flat_struct(root: Field, classes: Classes) -> Callable[[Any], list[Any]]:
    inner = {field.name: _flat(field, classes) for field in root.fields}
    where = root.path or "layout"
    names = [*inner]

    def flat(values: Any) -> list[Any]:
        if isinstance(values, Mapping):
            check_known(root, values)
            if missing := [name for name in names if name not in values]:
                raise ValueError(f"{where}: no value for {', '.join(missing)}")
            found = [values[name] for name in names]
        elif isinstance(values, classes.get(root.path, ())) or (
            isinstance(values, View) and dir(values) == sorted(names)
        ):
            found = [getattr(values, name) for name in names]
        else:
            raise TypeError(f"{where}: {values!r} is not a mapping of names to values")
        return [
            each for name, value in zip(names, found, strict=True) for each in inner[name](value)
        ]

    return flat


def check_known(root: Field, values: Mapping[str, Any]) -> None:
    """Raise ValueError if a name is not that of a field."""
    names = [field.name for field in root.fields]
    if unknown := [name for name in values if name not in names]:
        raise ValueError(
            f"{root.path or 'layout'}: no field {', '.join(map(str, unknown))}; "
            f"there are {', '.join(names)}"
        )


class _Reader:
    """Expressions that make values of `t`, what struct.unpack() gave."""

    def __init__(self, classes: Classes, names: dict[str, Any]) -> None:
        self._classes = classes
        self._names = names

    def struct(self, root: Field, base: str, at: int) -> str:
        """Of a struct whose values begin at `at`, counted from the variable `base` if any."""
        parts = {}
        for field in root.fields:
            parts[field.name] = self._elements(field, field.shape, base, at)
            at += _slots(field)
        if (made := self._classes.get(root.path)) is None:
            return "{" + ", ".join(f"{name!r}: {value}" for name, value in parts.items()) + "}"
        named = {field.name for field in dataclasses.fields(made) if field.kw_only}
        given = [value for name, value in parts.items() if name not in named]
        given += [f"{name}={parts[name]}" for name in parts if name in named]
        return f"{self._name(made)}({', '.join(given)})"

    def _elements(self, field: Field, shape: tuple[int, ...], base: str, at: int) -> str:
        if not shape:
            return self._element(field, base, at)
        each = _slots(field) // field.count * prod(shape[1:])
        begin, end = _place(base, at), _place(base, at + each * shape[0])
        if len(shape) == 1 and not field.fields and not decoder(field):
            return f"list(t[{begin}:{end}])"
        index = self._name(None)
        inner = self._elements(field, shape[1:], index, 0)
        return f"[{inner} for {index} in range({begin}, {end}, {each})]"

    def _element(self, field: Field, base: str, at: int) -> str:
        if field.fields:
            return self.struct(field, base, at)
        value = f"t[{_place(base, at)}]"
        if field.enum and issubclass(field.enum, IntEnum):
            # What no enum has, stored by somebody else, stays a number.
            known = self._name({int(member): member for member in field.enum})
            return f"{known}.get({value}, {value})"
        if field.kind is Kind.Q16:
            return f"{value} / {Q16_ONE}"
        decode = decoder(field)
        return f"{self._name(decode)}({value})" if decode else value

    def _name(self, thing: Any) -> str:
        name = f"n{len(self._names)}"
        self._names[name] = thing
        return name


def _place(base: str, at: int) -> str:
    return f"{base}+{at}" if base and at else base or str(at)


def _slots(field: Field) -> int:
    """Values that struct.unpack() gives for a field."""
    inner = sum(map(_slots, field.fields)) if field.fields else 1
    return inner * field.count
