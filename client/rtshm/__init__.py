"""Memory shared with a periodic task inside the Linux kernel.

>>> import rtshm
>>> with rtshm.open("default") as region:
...     region.publish(42)
...     region.wait_taken(timeout=20)

A tick has then taken the value, and prints it in the kernel log.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

from rtshm._version import __version__ as __version__

if TYPE_CHECKING:
    # For type checkers and editors, which take `as` for a public name.
    from rtshm.control import Changed as Changed
    from rtshm.control import Control as Control
    from rtshm.control import Counters as Counters
    from rtshm.control import Created as Created
    from rtshm.control import Deleted as Deleted
    from rtshm.control import Overrun as Overrun
    from rtshm.control import RegionInfo as RegionInfo
    from rtshm.control import TaskInfo as TaskInfo
    from rtshm.culprit import LateTick as LateTick
    from rtshm.devmem import DevMem as DevMem
    from rtshm.devmem import open_devmem as open_devmem
    from rtshm.errors import AccessError as AccessError
    from rtshm.errors import ClosedError as ClosedError
    from rtshm.errors import ExtraError as ExtraError
    from rtshm.errors import IncompatibleError as IncompatibleError
    from rtshm.errors import LayoutError as LayoutError
    from rtshm.errors import ModuleNotLoadedError as ModuleNotLoadedError
    from rtshm.errors import ProgramError as ProgramError
    from rtshm.errors import RefusedError as RefusedError
    from rtshm.errors import RegionDeletedError as RegionDeletedError
    from rtshm.errors import RegionExistsError as RegionExistsError
    from rtshm.errors import RegionNotFoundError as RegionNotFoundError
    from rtshm.errors import RtshmError as RtshmError
    from rtshm.late import blame as blame
    from rtshm.layout import Layout as Layout
    from rtshm.layout import struct as struct
    from rtshm.layout.fields import Array as Array
    from rtshm.layout.fields import bool8 as bool8
    from rtshm.layout.fields import f32 as f32
    from rtshm.layout.fields import f64 as f64
    from rtshm.layout.fields import i8 as i8
    from rtshm.layout.fields import i16 as i16
    from rtshm.layout.fields import i32 as i32
    from rtshm.layout.fields import i64 as i64
    from rtshm.layout.fields import q16 as q16
    from rtshm.layout.fields import u8 as u8
    from rtshm.layout.fields import u16 as u16
    from rtshm.layout.fields import u32 as u32
    from rtshm.layout.fields import u64 as u64
    from rtshm.queued import Queue as Queue
    from rtshm.recording import Recording as Recording
    from rtshm.recording import load as load
    from rtshm.recording.conditions import Conditions as Conditions
    from rtshm.recording.live import Live as Live
    from rtshm.recording.record import Progress as Progress
    from rtshm.recording.record import record as record
    from rtshm.recording.recorder import Recorder as Recorder
    from rtshm.region import Region as Region
    from rtshm.region import create as create
    from rtshm.region import open as open
    from rtshm.safe import SafeValues as SafeValues
    from rtshm.samples import Sample as Sample
    from rtshm.samples import Samples as Samples
    from rtshm.settings import Clock as Clock
    from rtshm.settings import PrintMode as PrintMode
    from rtshm.task import Task as Task

# Each name is imported when it is first used. This and the imports inside functions of the
# package are for the heavy libraries, pyroute2, construct, numpy and those that draw: to import
# pyroute2 takes longer than most programs and commands without it, two seconds under emulation.
_HOMES = {
    "control": "Changed Control Counters Created Deleted Overrun RegionInfo TaskInfo",
    "culprit": "LateTick",
    "devmem": "DevMem open_devmem",
    "errors": (
        "AccessError ClosedError ExtraError IncompatibleError LayoutError ModuleNotLoadedError "
        "ProgramError RefusedError RegionDeletedError RegionExistsError RegionNotFoundError "
        "RtshmError"
    ),
    "late": "blame",
    "layout": "Layout struct",
    "layout.fields": "Array bool8 f32 f64 i8 i16 i32 i64 q16 u8 u16 u32 u64",
    "queued": "Queue",
    "recording": "Recording load",
    "recording.conditions": "Conditions",
    "recording.live": "Live",
    "recording.record": "Progress record",
    "recording.recorder": "Recorder",
    "region": "Region create open",
    "safe": "SafeValues",
    "samples": "Sample Samples",
    "settings": "Clock PrintMode",
    "task": "Task",
}
_HOME = {name: home for home, names in _HOMES.items() for name in names.split()}
__all__ = sorted(_HOME)
_MODULES = ("control", "layout", "recording", "testing")


# A type checker that saw this would take any name for one of the package's.
if not TYPE_CHECKING:

    def __getattr__(name: str) -> object:
        if name in _MODULES:
            return importlib.import_module(f"rtshm.{name}")
        if name not in _HOME:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        try:
            home = importlib.import_module(f"rtshm.{_HOME[name]}")
        except ModuleNotFoundError:
            # Modules import it at their top, and no other library that may be missing.
            importlib.import_module("rtshm.errors").need("numpy", f"rtshm.{name}", "numpy")
            raise
        return getattr(home, name)

    def __dir__() -> list[str]:
        return sorted({"__version__", *__all__, *_MODULES})
