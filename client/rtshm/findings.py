"""What rtshm doctor says of one piece of a machine."""

from __future__ import annotations

import enum
from dataclasses import dataclass


class Level(enum.Enum):
    """How bad it is."""

    OK = "ok"
    UNKNOWN = "-"
    """Cannot be told, by this user or before something else is right."""
    WARNING = "warning"
    """Works, but not for all, not after the next kernel, or later than it could."""
    ERROR = "error"
    """Does not work."""


@dataclass(frozen=True, slots=True)
class Finding:
    """What was found of one piece, and what to do about it; "" if there is nothing to do."""

    check: str
    level: Level
    text: str
    remedy: str = ""
