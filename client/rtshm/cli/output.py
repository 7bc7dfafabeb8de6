"""Files that commands write: whole, or as they were."""

from __future__ import annotations

import os
import tempfile
from contextlib import suppress
from pathlib import Path


def write_text(path: str, text: str) -> None:
    """Write a temporary file and rename it when it is whole and on the disk.

    What is not a regular file, as a FIFO or /dev/stdout, is written through.
    Raises OSError, with the file's name; what was there is then as it was.
    """
    place = Path(os.path.realpath(path))
    if place.exists() and not place.is_file():
        place.write_text(text, encoding="utf-8")
        return
    try:
        number, part = tempfile.mkstemp(prefix=f".{place.name}.", suffix=".part", dir=place.parent)
        try:
            with open(number, "w", encoding="utf-8") as file:
                os.fchmod(number, _mode(place))
                file.write(text)
                file.flush()
                os.fsync(number)
            os.replace(part, place)
        except BaseException:
            with suppress(OSError):
                os.unlink(part)
            raise
    except OSError as error:
        error.filename, error.filename2 = path, None
        raise


def _mode(place: Path) -> int:
    """Of the file that is replaced, or as open(2) would make it."""
    try:
        return place.stat().st_mode & 0o7777
    except FileNotFoundError:
        mask = os.umask(0)
        os.umask(mask)
        return 0o666 & ~mask
