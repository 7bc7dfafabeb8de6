"""A BPF program that runs in each tick of a region."""

from __future__ import annotations

import errno
import os
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from rtshm import bpf
from rtshm.errors import LayoutError, RefusedError, no_layout
from rtshm.layout import Layout
from rtshm.layout.fields import NUMBERS

if TYPE_CHECKING:
    from collections.abc import Iterator

    from rtshm.control import Control, TaskInfo
    from rtshm.layout import Field
    from rtshm.layout.fields import Kind
    from rtshm.region import Region

_GONE = (errno.ENOENT, errno.ESRCH)


class Task:
    """A BPF program in the tick of a region; as a context manager it removes the task at the end.

    ::

        with rtshm.Task(motor, source="controller.bpf.c"):
            motor.update(setpoint=1.0)

    Without `with` it runs until remove() or until its region is deleted, also
    when this process has ended. `region` is a Region, or the name of one.
    Either `source` is a C file, which clang compiles with <rtshm_region.h>, a
    header made of the region's layout; or `program` is an object file, a path
    where a program is pinned, or a descriptor of a loaded one: a number, or
    what has fileno() or file_descriptor. `name` is the file's, up to the first
    dot, if it is not given; of several programs in it, the function of this name
    is taken. `unbounded` accepts a program although nothing
    bounds its instructions, in a region that has a task_long_max.

    Raises ProgramError with the words of the compiler or the verifier; OSError as
    Control.add_task(): EEXIST for a name that is taken, ENOSPC, ERANGE for a
    program that reaches beyond the record, EPERM without CAP_BPF, CAP_PERFMON
    and CAP_SYS_RESOURCE.
    """

    __slots__ = ("_name", "_region")

    def __init__(
        self,
        region: Region[Any] | str,
        program: Any = None,
        *,
        source: str | os.PathLike[str] | None = None,
        name: str | None = None,
        unbounded: bool = False,
    ) -> None:
        self._region = region_name(region)
        self._name = file_name(program if source is None else source) if name is None else name
        with self._descriptor(program, source) as fd:
            self._add(fd, unbounded=unbounded)

    @classmethod
    def of(cls, region: Region[Any] | str, name: str) -> Self:
        """Return an existing BPF task by its name; the kernel is asked when it is first used."""
        found = cls.__new__(cls)
        found._region = region_name(region)
        found._name = name
        return found

    def __repr__(self) -> str:
        return f"<rtshm.Task {self._name} of {self._region}>"

    @property
    def name(self) -> str:
        """The name of the task; no other of the region has it."""
        return self._name

    @property
    def info(self) -> TaskInfo:
        """The task as it is now. Raises OSError(ESRCH) if the region has none of its name."""
        with _control() as control:
            for task in control.get(self._region).tasks:
                if task.name == self._name:
                    return task
        raise RefusedError(errno.ESRCH, "the region has no task of this name", self._where)

    def replace(
        self,
        program: Any = None,
        *,
        source: str | os.PathLike[str] | None = None,
        unbounded: bool = False,
    ) -> None:
        """Replace the program: each tick runs the old one or the new one.

        A program that is refused leaves the old one running. Arguments and errors are as for
        Task(); OSError(ESRCH) if the task was removed.
        """
        with self._descriptor(program, source) as fd, _control() as control:
            control.replace_task(self._region, self._name, fd, unbounded=unbounded)

    def remove(self) -> None:
        """Remove the task; on return it does not run any more. Does nothing if there is none."""
        with _control() as control:
            try:
                control.remove_task(self._region, self._name)
            except OSError as error:
                if error.errno not in _GONE:
                    raise

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.remove()

    def _add(self, fd: int, *, unbounded: bool = False) -> None:
        with _control() as control:
            control.add_task(self._region, self._name, fd, unbounded=unbounded)

    @property
    def _where(self) -> str:
        return f"{self._region}: {self._name}"

    @contextmanager
    def _descriptor(self, program: Any, source: str | os.PathLike[str] | None) -> Iterator[int]:
        if (program is None) == (source is None):
            raise TypeError("give either a program or a source")
        if source is None:
            with bpf.descriptor(program, self._name) as fd:
                yield fd
            return
        text = self._layout().declaration(f"region_{self._region.replace('-', '_')}", bpf=True)
        made = bpf.compiled(Path(source), text)
        with bpf.loaded(made, os.fspath(source), self._name) as loaded:
            yield loaded.fd

    def _layout(self) -> Layout:
        with _control() as control:
            stored = control.get(self._region).layout
        if not stored:
            raise no_layout(self._region)
        return Layout(stored)


def _control() -> Control:
    from rtshm.control import Control

    return Control()


def region_name(region: Region[Any] | str) -> str:
    """Return the name of a Region, or of one that is given by its name."""
    return region if isinstance(region, str) else region.name


def file_name(file: Any) -> str:
    """Return the name that a program has by its path."""
    if not isinstance(file, (str, os.PathLike)):
        raise TypeError("a program without a path needs a name")
    return Path(file).name.partition(".")[0]


def number_field(layout: Layout, name: str, kind: Kind | None = None) -> Field:
    """Return a field for a ready-made program: one number, of this kind if one is given."""
    numbers = {
        field.name: field
        for field in layout.fields
        if not field.shape and field.kind in NUMBERS
        if not kind or (field.kind == kind and not field.enum)
    }
    if name not in numbers:
        raise LayoutError(
            f"{name!r} is not a field with one {kind or 'number'}; "
            f"there are: {', '.join(numbers) or 'none'}"
        )
    return numbers[name]
