"""A layout as a ctypes structure over live memory.

ctypes cuts an integer that is out of range to what fits. Here every store is
checked first: whatever raises has stored nothing.
"""

from __future__ import annotations

import ctypes
import errno
from collections.abc import Callable, Iterable
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple, NoReturn, cast

from rtshm.layout.codec import Codec
from rtshm.layout.fields import (
    NUMBERS,
    Field,
    Kind,
    View,
    decoder,
    encoder,
    exactly,
    limits,
    with_padding,
)

if TYPE_CHECKING:
    from rtshm.layout.codec import Classes

_DIGIT = 2**30 - 1
_F32_MAX = (2 - 2**-23) * 2.0**127


class _Place(NamedTuple):
    """A place for values: what ctypes has there, and the way to it and back."""

    ctype: Any
    load: Callable[[Any], Any] | None
    """None: as ctypes has it."""
    store: Callable[[Any], Any]
    quick: str = ""
    """Whether `value` needs no encoder, as an expression; "" if any does."""


def _setter(raw: str, place: _Place) -> Callable[[Any, Any], None]:
    """Return what stores a value in a view, by the attribute `raw` of ctypes' own making.

    It is compiled for each field: by a closure it would take a third longer.
    """
    names: dict[str, Any] = {"store": place.store}
    store = f"view.{raw} = store(value)"
    if place.quick:
        body = f"if {place.quick}:\n   view.{raw} = value\n  else:\n   {store}"
        # What does not compare is for the encoder to refuse.
        body = f"try:\n  {body}\n except (TypeError, ValueError):\n  {store}"
    else:
        body = store
    exec(f"def put(view, value):\n {body}", names)
    put: Callable[[Any, Any], None] = names["put"]
    return put


class _Member(property):
    """A field of the structure, instead of the one that ctypes made."""

    def __init__(self, member: Any, raw: str, place: _Place) -> None:
        def load(view: ctypes.Structure) -> Any:
            assert place.load
            return place.load(member.__get__(view))

        super().__init__(load if place.load else member.__get__, _setter(raw, place))
        self.offset: int = member.offset
        self.size: int = member.size


def structure(
    name: str, struct: Field, classes: Classes, *, readonly: bool = False
) -> type[ctypes.Structure]:
    """The ctypes structure that is laid out as `struct`; `readonly` refuses every store.

    `classes` has by path the classes whose objects its structs take.
    """
    places = {field.name: _place(field, field.shape, classes, readonly) for field in struct.fields}
    members: list[tuple[str, Any]] = []
    for padding, field in with_padding(struct):
        if padding:
            members.append((f"_pad{len(members)}", ctypes.c_uint8 * padding))
        if field:
            members.append((field.name, places[field.name].ctype))
    # No slots, so that an unknown name raises AttributeError.
    own = {"__slots__": (), "_fields_": members, "_names": tuple(places)}
    view: Any = type(name, (View, ctypes.Structure), own)
    for field_name, place in places.items():
        member, raw = getattr(view, field_name), f"_raw_{field_name}"
        setattr(view, raw, member)
        setattr(view, field_name, _Member(member, raw, place))
    return cast("type[ctypes.Structure]", view)


def _place(field: Field, shape: tuple[int, ...], classes: Classes, readonly: bool) -> _Place:
    place = _writable_place(field, shape, classes, readonly)
    return place._replace(store=partial(_refuse, field), quick="") if readonly else place


def _writable_place(
    field: Field, shape: tuple[int, ...], classes: Classes, readonly: bool
) -> _Place:
    if shape:
        return _array(field, shape[0], _place(field, shape[1:], classes, readonly))
    match field.kind:
        case Kind.STRUCT:
            view: Any = structure(field.path.replace(".", "_"), field, classes, readonly=readonly)
            return _Place(view, None, partial(_same, view, Codec(field, classes).build))
        case Kind.BYTES:
            array, encode = ctypes.c_uint8 * field.element, encoder(field)
            return _Place(
                array, decoder(field), lambda value: array.from_buffer_copy(encode(value))
            )
        case kind:
            return _Place(NUMBERS[kind].ctype, decoder(field), encoder(field), _quick(field))


def _quick(field: Field) -> str:
    match field.kind:
        case _ if field.enum or field.kind in (Kind.BOOL, Kind.Q16):
            return ""
        case Kind.F64:
            return "value.__class__ is float"
        case Kind.F32:
            return f"value.__class__ is float and {-_F32_MAX!r} <= value <= {_F32_MAX!r}"
        case kind:
            # Python compares integers of one digit of its own in fewer steps. In this range
            # ctypes itself refuses a value that is not an integer.
            low, high = (max(min(end, _DIGIT), -_DIGIT) for end in limits(kind))
            return f"{low} <= value <= {high}"


def _same(view: Any, build: Callable[[Any], bytes], value: Any) -> Any:
    return value if isinstance(value, view) else view.from_buffer_copy(build(value))


def _refuse(field: Field, value: Any) -> NoReturn:
    raise PermissionError(errno.EACCES, "opened read-only", field.path)


def _array(field: Field, count: int, element: _Place) -> _Place:
    plain = element.ctype * count

    def getitem(array: Any, index: Any) -> Any:
        assert element.load
        loaded = plain.__getitem__(array, index)
        if isinstance(index, slice):
            return [element.load(value) for value in loaded]
        return element.load(loaded)

    def setitem(array: Any, index: Any, value: Any) -> None:
        if isinstance(index, slice):
            stored: Any = [element.store(one) for one in value]
        else:
            stored = element.store(value)
        plain.__setitem__(array, index, stored)

    def equal(array: Any, other: Any) -> Any:
        if not isinstance(other, list | tuple | ctypes.Array):
            return NotImplemented
        return list(array) == list(other)

    methods: dict[str, Any] = {
        "__setitem__": setitem,
        "__eq__": equal,
        "__hash__": None,
        "__repr__": lambda array: repr(list(array)),
        **({"__getitem__": getitem} if element.load else {}),
    }
    checked: Any = type(plain.__name__, (plain,), {"__slots__": (), **methods})

    def store(value: Any) -> Any:
        # ctypes takes fewer values than there are elements.
        return value if isinstance(value, checked) else checked(*exactly(field, count, value))

    return _Place(checked, None, store)


class ReadOnlyView(View):
    """A view of memory that may not be written to, which ctypes cannot have itself.

    Each field is of a copy as of its access.
    """

    __slots__ = ("_copy", "_names")
    _copy: Callable[[], Any]

    def __init__(self, copy: Callable[[], Any], names: Iterable[str]) -> None:
        object.__setattr__(self, "_copy", copy)
        object.__setattr__(self, "_names", tuple(names))

    def __getattr__(self, name: str) -> Any:
        return getattr(self._copy(), name)

    def __setattr__(self, name: str, value: Any) -> None:
        # The copy refuses.
        setattr(self._copy(), name, value)

    def __repr__(self) -> str:
        return repr(self._copy())
