"""The types of fields, for the annotations of a class: see rtshm.struct()."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Protocol, TypeVar

from rtshm.layout.fields import Kind

if TYPE_CHECKING:
    from collections.abc import Iterator

T = TypeVar("T")

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
