"""A layout is declared once; what else speaks of it is derived here.

It describes the bytes of a region that begin right after the first 8, struct
rtshm_word; offsets count from there. With construct:

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
>>> layout == Layout(layout.text)
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
OverflowError: axes: 2147483648 does not fit i32; give -2147483648 to 2147483647

A whole record at once:

>>> layout.parse(memory)
{'speed': 0.0, 'gain': 0.0, 'mode': <mode.on: 1>, 'axes': [0, -5]}
>>> layout.build({"speed": 1.5, "gain": 0, "mode": "off", "axes": [1, 2]}).hex(" ", 8)
'000000000000f83f 0000000000000000 0100000002000000'
"""

from __future__ import annotations

import ctypes as _ctypes
import dataclasses
import sys
from collections.abc import Callable, Mapping
from functools import cached_property
from typing import TYPE_CHECKING, Any, Protocol, TypeAlias, TypeVar, dataclass_transform

from rtshm.abi import LAYOUT_OFFSET
from rtshm.errors import LayoutError, need
from rtshm.layout import c, view
from rtshm.layout.codec import Codec, check_known, field_codec
from rtshm.layout.fields import NUMBERS, Field, Kind

if TYPE_CHECKING:
    import numpy

    class Struct(Protocol):
        """A construct.Struct: construct has no types, and Any would hide the other ways."""

        subcons: Any

        def sizeof(self, **context: Any) -> int: ...

    class Dtype(Protocol):
        """A numpy.dtype, which is Any where there is no numpy."""

        @property
        def names(self) -> tuple[str, ...] | None: ...
        @property
        def itemsize(self) -> int: ...

    Declared: TypeAlias = "Layout | Struct | Dtype | type[_ctypes.Structure] | str"

__all__ = ["Field", "Kind", "Layout", "struct"]

T = TypeVar("T")


@dataclass_transform()
def struct(cls: type[T], /) -> type[T]:
    """Declare a layout by the annotations of a class, and make the class a dataclass.

    A field is a number (f64, f32, q16, i8 to u64, bool8), Annotated[Mode, u8] of an
    IntEnum or IntFlag, Annotated[bytes, 16], a class that is a struct itself,
    or an array: Annotated[Array[int], i32, 3], with a length for each
    dimension. Padding is put in where a C compiler puts it; Layout(cls).text
    shows it. Raises LayoutError for what cannot lie in place.
    """
    from rtshm.layout.declared import declare

    frame = sys._getframe(1)
    made = declare(cls, {**frame.f_globals, **frame.f_locals})
    Layout(made)
    return made


@dataclasses.dataclass(frozen=True, init=False)
class Layout:
    """The fields of a region: their names, types and offsets.

    A layout is made from a class with @struct, a construct Struct, a structured numpy dtype,
    a ctypes Structure, or a text. A Struct has native numbers, Flag, Bytes,
    Enum, FlagsEnum, and Array and Struct of them; each number must lie at a
    multiple of its size, and a struct end at a multiple of its largest
    number's, with Padding where construct would put none. A class and a text
    are padded as C does it. Raises LayoutError, with the path of the field, the
    reason and what to do, for everything that cannot lie in place.

    Layouts with the same text are equal. They can be pickled.
    """

    text: str
    """As the kernel stores it with a region; rtshm.layout.text has the grammar."""
    declared: type[Any] | None = dataclasses.field(compare=False, repr=False)
    """The class that it was made of, if it was one: records are its objects."""
    _root: Field = dataclasses.field(compare=False, repr=False)
    _classes: Mapping[str, type[Any]] = dataclasses.field(compare=False, repr=False)

    def __init__(self, declared: Declared | type[Any]) -> None:
        from rtshm.layout.construct import from_construct
        from rtshm.layout.text import check_length, to_text

        struct, classes, padded = _declared(declared)
        root = from_construct(struct, padded=padded)
        c.check_names(root)
        text = to_text(root)
        check_length(text)
        # Frozen, but for its own making.
        vars(self).update(text=text, declared=classes.get(""), _root=root, _classes=classes)

    def __reduce__(self) -> Any:
        return Layout, (self.declared or self.text,)

    @property
    def fields(self) -> tuple[Field, ...]:
        """In the order of their offsets; a struct has its own in its `fields`."""
        return self._root.fields

    @property
    def size(self) -> int:
        """Bytes."""
        return self._root.element

    @cached_property
    def ctypes(self) -> type[_ctypes.Structure]:
        """The live view: a ctypes structure, for from_buffer() of memory that can be written to.

        A field is read and stored as its value: an enum as its member, which
        may be stored by its name too (flags as "run|fault"), bytes as bytes of
        just that length. A number that no enum has, stored by somebody else,
        is read as the plain int. Arrays and structs are live themselves; an
        array takes a sequence as long as it is, too, and a struct a mapping.
        What a field does not take is TypeError, OverflowError or ValueError,
        with nothing stored; a name that is none of a field, AttributeError.

        A number is one load or store. Bytes, arrays and structs are not: the
        kernel and others may be seen halfway.
        """
        return view.structure("Layout", self._root, self._classes)

    @cached_property
    def ctypes_readonly(self) -> type[_ctypes.Structure]:
        """As `ctypes`, for from_buffer_copy(): every store is PermissionError."""
        return view.structure("Layout", self._root, self._classes, readonly=True)

    @cached_property
    def dtype(self) -> numpy.dtype[numpy.void]:
        """For numpy: enums are their integers, bytes are void, padding is not there.

        It is of the memory: a q16 is an i4, with 65536 for 1.0.

        Raises ExtraError if there is no numpy.
        """
        need("numpy", "a dtype", "numpy")
        import numpy

        made: numpy.dtype[numpy.void] = numpy.dtype(_dtype(self._root))
        return made

    def declaration(self, name: str, *, bpf: bool = False) -> str:
        """A C header that declares `struct <name>`, for user space (C and C++) and the kernel.

        It asserts sizes and offsets. The values of enums are constants
        <NAME>_<FIELD>_<ENTRY>; what a field is beyond its C type is in a
        comment. `bpf` makes it one for BPF programs, with RECORD(tick) to get at
        the record and struct rtshm_tick; it needs no other header.
        """
        return c.declaration(name, self._root, self.text, bpf=bpf)

    @property
    def build(self) -> Callable[[Any], bytes]:
        """build(values): the bytes of a whole record.

        Of a mapping, or of an object of the class that it was made of; a struct
        is one of these, too, an array a sequence. Raises what a store in the
        live view does, and ValueError for a field that is missing or not there.
        """
        return self._codec.build

    @property
    def load(self) -> Callable[[bytes | bytearray | memoryview], Any]:
        """load(data): as parse(), as an object of the class that it was made of, if any."""
        return self._codec.load

    def build_fields(self, values: Mapping[str, Any]) -> list[tuple[Field, bytes]]:
        """Return some fields, each with its bytes, in the order of their offsets.

        Raises what build() raises, except for missing fields.
        """
        check_known(self._root, values)
        codecs = self._field_codecs
        return [
            (field, codecs[field.name](values[field.name]))
            for field in self.fields
            if field.name in values
        ]

    def parse(self, data: bytes | bytearray | memoryview) -> dict[str, Any]:
        """Return the values in the first `size` bytes, as the live view reads them."""
        if len(data) < self.size:
            raise ValueError(f"there are {len(data)} bytes, and the layout has {self.size}")
        return self._codec.parse(data)

    def parse_part(self, data: bytes | memoryview) -> dict[str, Any]:
        """Return the fields that lie wholly in `data`, which may be shorter than the layout."""
        size = min(len(data), self.size)
        if size not in self._parts:
            fields = tuple(f for f in self.fields if f.offset + f.size <= size)
            end = max((field.offset + field.size for field in fields), default=0)
            root = dataclasses.replace(self._root, fields=fields, element=end)
            self._parts[size] = Codec(root, {}).parse if fields else lambda _: {}
        return self._parts[size](data)

    @cached_property
    def _codec(self) -> Codec:
        return Codec(self._root, self._classes)

    @cached_property
    def _field_codecs(self) -> dict[str, Callable[[Any], bytes]]:
        return {field.name: field_codec(field, self._classes) for field in self.fields}

    @cached_property
    def _parts(self) -> dict[int, Callable[[Any], dict[str, Any]]]:
        return {}


def as_layout(declared: Declared | type[Any]) -> Layout:
    """Return the layout that is declared, in any of the ways."""
    return declared if isinstance(declared, Layout) else Layout(declared)


def check_fits(where: object, layout: Layout, size: int) -> None:
    """Raise LayoutError if a region of `size` bytes has no room for a layout."""
    if layout.size > (room := size - LAYOUT_OFFSET):
        raise LayoutError(
            f"{where}: the layout has {layout.size} bytes, and the region {room} "
            f"after its first {LAYOUT_OFFSET}"
        )


def _declared(declared: Any) -> tuple[Any, Mapping[str, type[Any]], bool]:
    """Return it with construct, the classes of its structs, and whether C pads it."""
    if isinstance(declared, Layout):
        return _declared(declared.declared or declared.text)
    if isinstance(declared, str):
        from rtshm.layout.text import from_text

        return from_text(declared), {}, True
    from rtshm.layout import declared as ways

    if hasattr(declared, ways.LAYOUT):
        return *ways.from_class(declared), True
    if isinstance(declared, type):
        if issubclass(declared, _ctypes.Structure):
            return ways.from_ctypes(declared), {}, False
        raise LayoutError(f"layout: {declared.__name__} declares none; put @rtshm.struct before it")
    if ways.is_dtype(declared):
        return ways.from_dtype(declared), {}, False
    return declared, {}, False


def _dtype(struct: Field) -> Any:
    """What numpy.dtype() takes."""
    formats: list[Any] = []
    for field in struct.fields:
        match field.kind:
            case Kind.STRUCT:
                formats.append((_dtype(field), field.shape))
            case Kind.BYTES:
                formats.append((f"V{field.element}", field.shape))
            case Kind.Q16:
                from rtshm.layout.fixed import Q16

                formats.append((Q16, field.shape))
            case kind:
                formats.append((NUMBERS[kind].ctype, field.shape))
    return {
        "names": [field.name for field in struct.fields],
        "formats": formats,
        "offsets": [field.offset - struct.offset for field in struct.fields],
        "itemsize": struct.element,
    }
