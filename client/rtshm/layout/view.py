"""A layout as a ctypes structure over live memory.

ctypes cuts an integer that is out of range to what fits. Here every store is
checked first: whatever raises has stored nothing.
"""

from __future__ import annotations

import ctypes
import errno
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple, NoReturn

from rtshm.layout.fields import (
    NUMBERS,
    Field,
    Kind,
    decoder,
    encoder,
    exactly,
    with_padding,
)

if TYPE_CHECKING:
    from collections.abc import Callable


class _Place(NamedTuple):
    """A place for values: what ctypes has there, and the way to it and back."""

    ctype: Any
    load: Callable[[Any], Any] | None
    """None: as ctypes has it."""
    store: Callable[[Any], Any]


class _Member(property):
    """A field of the structure, in the place of the one that ctypes made."""

    def __init__(self, member: Any, place: _Place) -> None:
        def load(view: ctypes.Structure) -> Any:
            assert place.load
            return place.load(member.__get__(view))

        def store(view: ctypes.Structure, value: Any) -> None:
            member.__set__(view, place.store(value))

        super().__init__(load if place.load else member.__get__, store)
        self.offset: int = member.offset
        self.size: int = member.size


def structure(name: str, struct: Field, *, readonly: bool = False) -> type[ctypes.Structure]:
    """The ctypes structure that is laid out as `struct`; `readonly` refuses every store."""
    places = {field.name: _place(field, field.shape, readonly) for field in struct.fields}
    members: list[tuple[str, Any]] = []
    for padding, field in with_padding(struct):
        if padding:
            members.append((f"_pad{len(members)}", ctypes.c_uint8 * padding))
        if field:
            members.append((field.name, places[field.name].ctype))
    # No slots, so that a name that is no field's raises AttributeError.
    view = type(name, (ctypes.Structure,), {"__slots__": (), "_fields_": members})
    for field_name, place in places.items():
        setattr(view, field_name, _Member(getattr(view, field_name), place))
    return view


def _place(field: Field, shape: tuple[int, ...], readonly: bool) -> _Place:
    place = _writable_place(field, shape, readonly)
    return place._replace(store=partial(_refuse, field)) if readonly else place


def _writable_place(field: Field, shape: tuple[int, ...], readonly: bool) -> _Place:
    if shape:
        return _array(field, shape[0], _place(field, shape[1:], readonly))
    match field.kind:
        case Kind.STRUCT:
            view = structure(field.path.replace(".", "_"), field, readonly=readonly)
            return _Place(view, None, partial(_same, field, view))
        case Kind.BYTES:
            array, encode = ctypes.c_uint8 * field.element, encoder(field)
            return _Place(
                array, decoder(field), lambda value: array.from_buffer_copy(encode(value))
            )
        case kind:
            return _Place(NUMBERS[kind].ctype, decoder(field), encoder(field))


def _same(field: Field, view: type[ctypes.Structure], value: Any) -> Any:
    if not isinstance(value, view):
        raise TypeError(
            f"{field.path}: {value!r} is no {view.__name__}; store its fields one by one"
        )
    return value


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

    methods = {"__setitem__": setitem} | ({"__getitem__": getitem} if element.load else {})
    checked: Any = type(plain.__name__, (plain,), {"__slots__": (), **methods})

    def store(value: Any) -> Any:
        # ctypes takes fewer values than there are elements.
        return value if isinstance(value, checked) else checked(*exactly(field, count, value))

    return _Place(checked, None, store)


class ReadOnlyView:
    """A view of memory that may not be written to, which ctypes cannot have itself.

    Each field is of a copy as of its access.
    """

    __slots__ = ("_copy",)
    _copy: Callable[[], Any]

    def __init__(self, copy: Callable[[], Any]) -> None:
        object.__setattr__(self, "_copy", copy)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._copy(), name)

    def __setattr__(self, name: str, value: Any) -> None:
        # The copy refuses.
        setattr(self._copy(), name, value)
