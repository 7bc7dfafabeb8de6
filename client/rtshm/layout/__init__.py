"""A layout is declared once, with construct; what else speaks of it is derived here.

It describes the bytes of a region that begin right after the first 8, struct
rtshm_word; offsets count from there.

>>> from construct import Array, Enum, Float32n, Float64n, Int8un, Int32sn, Padding, Struct
>>> layout = Layout(
...     Struct(
...         "speed" / Float64n,
...         "gain" / Float32n,
...         "mode" / Enum(Int8un, off=0, on=1),
...         Padding(3),
...         "axes" / Array(2, Int32sn),
...     )
... )
>>> layout.text
'speed:f64 gain:f32 mode:u8{off=0,on=1} _:x3 axes:i32[2]'
>>> layout == Layout.from_text(layout.text)
True

The live view, over any memory that can be written to:

>>> memory = bytearray(layout.size)
>>> view = layout.ctypes.from_buffer(memory)
>>> view.mode = "on"
>>> view.axes[1] = -5
>>> view.mode, list(view.axes)
(<mode.on: 1>, [0, -5])
>>> view.mode = 2
Traceback (most recent call last):
ValueError: mode: 2 is none of off, on
>>> view.axes[1] = 2**31
Traceback (most recent call last):
OverflowError: axes: 2147483648 is no i32; give -2147483648 to 2147483647

A whole record at once:

>>> layout.parse(memory)
{'speed': 0.0, 'gain': 0.0, 'mode': <mode.on: 1>, 'axes': [0, -5]}
>>> layout.build({"speed": 1.5, "gain": 0, "mode": "off", "axes": [1, 2]}).hex(" ", 8)
'000000000000f83f 0000000000000000 0100000002000000'
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from functools import cached_property, partial
from typing import TYPE_CHECKING, Any, Self

from rtshm.layout import c, view
from rtshm.layout.fields import NUMBERS, Field, Kind, decoder, encoder, exactly

if TYPE_CHECKING:
    from ctypes import Structure

    import construct
    import numpy

__all__ = ["Field", "Kind", "Layout"]


@dataclasses.dataclass(frozen=True, init=False)
class Layout:
    """What lies where in a region.

    Made of a construct Struct of native numbers, Flag, Bytes, Enum, FlagsEnum,
    and of Array and Struct of them. A number must lie at a multiple of its
    size, and a struct end at a multiple of its largest number's: what a C
    compiler would pad must be declared, as Padding, so that all see the same
    bytes. Raises LayoutError, with the path of the field, the reason and what
    to do, for everything that cannot lie in place.

    Layouts with the same text are equal.
    """

    text: str
    """As the kernel stores it with a region; rtshm.layout.text has the grammar."""
    _root: Field = dataclasses.field(compare=False, repr=False)

    def __init__(self, declared: construct.Struct) -> None:
        from rtshm.layout.construct import from_construct
        from rtshm.layout.text import check_length, to_text

        root = from_construct(declared)
        c.check_names(root)
        text = to_text(root)
        check_length(text)
        object.__setattr__(self, "text", text)
        object.__setattr__(self, "_root", root)

    @classmethod
    def from_text(cls, text: str) -> Self:
        """The layout that a text describes; LayoutError says at which column it does not."""
        from rtshm.layout.text import from_text

        return cls(from_text(text))

    @property
    def fields(self) -> tuple[Field, ...]:
        """In the order of their offsets; a struct has its own in its `fields`."""
        return self._root.fields

    @property
    def size(self) -> int:
        """Bytes."""
        return self._root.element

    @cached_property
    def ctypes(self) -> type[Structure]:
        """The live view: a ctypes structure, for from_buffer() of memory that can be written to.

        A field is read and stored as its value: an enum as its member, which
        may be stored by its name too (flags as "run|fault"), bytes as bytes of
        just that length. A number that no enum has, stored by somebody else,
        is read as the plain int. Arrays and structs are live themselves; an
        array takes a sequence as long as it is, too. What a field does not
        take is TypeError, OverflowError or ValueError, with nothing stored;
        a name that is none of a field, AttributeError.

        A number is one load or store. Bytes, arrays and structs are not: the
        kernel and others may be seen halfway.
        """
        return view.structure("Layout", self._root)

    @cached_property
    def ctypes_readonly(self) -> type[Structure]:
        """As `ctypes`, for from_buffer_copy(): every store is PermissionError."""
        return view.structure("Layout", self._root, readonly=True)

    @cached_property
    def dtype(self) -> numpy.dtype[numpy.void]:
        """For numpy: enums are their integers, bytes are void, padding is not there.

        Raises ImportError if there is no numpy.
        """
        try:
            import numpy
        except ImportError as error:
            raise ImportError("a dtype takes numpy: pip install 'rtshm[numpy]'") from error

        made: numpy.dtype[numpy.void] = numpy.dtype(_dtype(self._root))
        return made

    def declaration(self, name: str) -> str:
        """A C header that declares `struct <name>`, for user space (C and C++) and the kernel.

        It asserts sizes and offsets. The values of enums are constants
        <NAME>_<FIELD>_<ENTRY>; what a field is beyond its C type is in a
        comment.
        """
        return c.declaration(name, self._root, self.text)

    def build(self, values: Mapping[str, Any]) -> bytes:
        """The bytes of a whole record; a struct is a mapping, an array a sequence.

        Raises what a store in the live view does, and ValueError for a field
        that is missing or not there.
        """
        return bytes(self._construct.build(_encode_struct(self._root, values)))

    def build_fields(self, values: Mapping[str, Any]) -> list[tuple[Field, bytes]]:
        """Each of some fields with its bytes, in the order of their offsets.

        Raises as build() does, but for fields that are missing.
        """
        _check_known(self._root, values)
        subcons = {subcon.name: subcon for subcon in self._construct.subcons}
        return [
            (field, bytes(subcons[field.name].build(_encode_field(field, values[field.name]))))
            for field in self.fields
            if field.name in values
        ]

    def parse(self, data: bytes | bytearray | memoryview) -> dict[str, Any]:
        """The values in the first `size` bytes, as the live view reads them."""
        if len(data) < self.size:
            raise ValueError(f"there are {len(data)} bytes, and the layout has {self.size}")
        return _decode_struct(self._root, self._construct.parse(data[: self.size]))

    @cached_property
    def _construct(self) -> construct.Struct:
        from rtshm.layout.construct import to_construct

        return to_construct(self._root)


def as_layout(declared: Layout | construct.Struct) -> Layout:
    return declared if isinstance(declared, Layout) else Layout(declared)


def _dtype(struct: Field) -> Any:
    """What numpy.dtype() takes."""
    formats: list[Any] = []
    for field in struct.fields:
        match field.kind:
            case Kind.STRUCT:
                formats.append((_dtype(field), field.shape))
            case Kind.BYTES:
                formats.append((f"V{field.element}", field.shape))
            case kind:
                formats.append((NUMBERS[kind].ctype, field.shape))
    return {
        "names": [field.name for field in struct.fields],
        "formats": formats,
        "offsets": [field.offset - struct.offset for field in struct.fields],
        "itemsize": struct.element,
    }


def _encode_struct(struct: Field, values: Any) -> dict[str, Any]:
    where = struct.path or "layout"
    if not isinstance(values, Mapping):
        raise TypeError(f"{where}: {values!r} is no mapping of names to values")
    _check_known(struct, values)
    if missing := [field.name for field in struct.fields if field.name not in values]:
        raise ValueError(f"{where}: no value for {', '.join(missing)}")
    return {field.name: _encode_field(field, values[field.name]) for field in struct.fields}


def _check_known(struct: Field, values: Mapping[str, Any]) -> None:
    names = [field.name for field in struct.fields]
    if unknown := [name for name in values if name not in names]:
        raise ValueError(
            f"{struct.path or 'layout'}: no field {', '.join(map(str, unknown))}; "
            f"there are {', '.join(names)}"
        )


def _encode_field(field: Field, value: Any) -> Any:
    encode = partial(_encode_struct, field) if field.fields else encoder(field)

    def encode_all(shape: tuple[int, ...], value: Any) -> Any:
        if not shape:
            return encode(value)
        return [encode_all(shape[1:], one) for one in exactly(field, shape[0], value)]

    return encode_all(field.shape, value)


def _decode_struct(struct: Field, stored: Any) -> dict[str, Any]:
    return {field.name: _decode_field(field, stored[field.name]) for field in struct.fields}


def _decode_field(field: Field, stored: Any) -> Any:
    decode = partial(_decode_struct, field) if field.fields else decoder(field)

    def decode_all(shape: tuple[int, ...], stored: Any) -> Any:
        if not shape:
            return decode(stored) if decode else stored
        return [decode_all(shape[1:], one) for one in stored]

    return decode_all(field.shape, stored)
