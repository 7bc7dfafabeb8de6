"""A recording as .npz: `samples`, a structured array, and `conditions`, a JSON text.

The header of an array in it has its length, so the samples go to a nameless
file beside it until they are counted: while a recording is closed, it takes
its size twice on the disk, and never in memory.
"""

from __future__ import annotations

import dataclasses
import json
import shutil
import tempfile
import zipfile
from contextlib import suppress
from typing import TYPE_CHECKING, Any, BinaryIO

import numpy

from rtshm.recording.conditions import Conditions

if TYPE_CHECKING:
    from pathlib import Path

    from rtshm.recording.columns import Array


class Writer:
    def __init__(
        self, file: BinaryIO, path: Path, _conditions: Conditions, dtype: numpy.dtype[Any]
    ) -> None:
        self._file = file
        self._dtype = dtype
        self._count = 0
        self._spill = tempfile.TemporaryFile(dir=path.parent)

    def write(self, array: Array) -> None:
        self._count += len(array)
        self._spill.write(numpy.ascontiguousarray(array).view(numpy.uint8).data)

    def end(self, conditions: Conditions) -> None:
        form = numpy.lib.format
        header = {
            "descr": form.dtype_to_descr(self._dtype),
            "fortran_order": False,
            "shape": (self._count,),
        }
        self._spill.seek(0)
        with zipfile.ZipFile(self._file, "w") as archive:
            with archive.open("samples.npy", "w", force_zip64=True) as member:
                form.write_array_header_2_0(member, header)
                shutil.copyfileobj(self._spill, member, 1 << 20)
            with archive.open("conditions.npy", "w") as member:
                text = json.dumps(dataclasses.asdict(conditions))
                form.write_array(member, numpy.array(text), allow_pickle=False)

    def close(self) -> None:
        # It writes what is left, for which there may be no room.
        with suppress(OSError):
            self._spill.close()


def read(path: Path) -> tuple[Conditions, Array]:
    with numpy.load(path, allow_pickle=False) as archive:
        conditions = Conditions.of(json.loads(str(archive["conditions"])))
        return conditions, archive["samples"]
