"""A layout is declared once, with construct; what else speaks of it is derived here."""

from __future__ import annotations

import ctypes
import sys
from typing import Any

import construct

from rtshm.errors import LayoutError

# construct's format characters have standard sizes, whatever the platform.
_CTYPES: dict[str, type[ctypes._SimpleCData[Any]]] = {
    "b": ctypes.c_int8,
    "B": ctypes.c_uint8,
    "h": ctypes.c_int16,
    "H": ctypes.c_uint16,
    "l": ctypes.c_int32,
    "L": ctypes.c_uint32,
    "q": ctypes.c_int64,
    "Q": ctypes.c_uint64,
    "f": ctypes.c_float,
    "d": ctypes.c_double,
}
_FOREIGN = {"little": ">", "big": "<"}[sys.byteorder]


def structure(name: str, layout: construct.Struct) -> type[ctypes.Structure]:
    """The ctypes structure that lies in memory as `layout` is built.

    Fields are numbers in this machine's byte order, each at a multiple of its
    size, so that a load or a store of one is a single instruction, and
    padding. Raises LayoutError, naming the field, for everything else.
    """
    fields: list[tuple[str, Any]] = []
    offset = 0
    for index, subcon in enumerate(layout.subcons):
        field = subcon.name or f"_pad{index}"
        path = f"{name}.{field}"
        if subcon.name and (field.startswith("_") or not field.isidentifier()):
            raise LayoutError(f"{path}: not a name of a field; use letters, digits and _ inside")
        if field in dict(fields):
            raise LayoutError(f"{path}: there are two fields of this name")
        ctype = _field(path, subcon, offset)
        fields.append((field, ctype))
        offset += ctypes.sizeof(ctype)
    view = type(name, (ctypes.Structure,), {"_fields_": fields})
    if ctypes.sizeof(view) != offset:
        raise LayoutError(
            f"{name}: {offset} bytes are no multiple of its largest field; "
            f"end it with Padding({ctypes.sizeof(view) - offset})"
        )
    return view


def _field(path: str, subcon: Any, offset: int) -> type[ctypes._CData]:
    inner = subcon.subcon if isinstance(subcon, construct.Renamed) else subcon
    if isinstance(inner, construct.Padded) and inner.subcon is construct.Pass:
        if not isinstance(inner.length, int):
            raise LayoutError(f"{path}: padding of a length that is not fixed")
        padding: type[ctypes._CData] = ctypes.c_uint8 * inner.length
        return padding
    if not isinstance(inner, construct.FormatField):
        raise LayoutError(f"{path}: {type(inner).__name__} cannot be mapped in place")
    order, code = inner.fmtstr
    if order == _FOREIGN and inner.length > 1:
        raise LayoutError(f"{path}: foreign byte order; use the native one (Int32sn, Float64n)")
    if code not in _CTYPES:
        raise LayoutError(f"{path}: format {inner.fmtstr!r} has no ctypes counterpart")
    if offset % inner.length:
        raise LayoutError(
            f"{path}: offset {offset} is no multiple of its {inner.length} bytes; "
            f"put Padding({-offset % inner.length}) before it"
        )
    return _CTYPES[code]
