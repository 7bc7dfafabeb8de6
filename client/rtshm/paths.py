"""Where the module shows itself: device nodes and sysfs."""

from __future__ import annotations

from pathlib import Path

DEVICES = Path("/dev/rtshm")
"""Device nodes, one per region, and one for the samples of each region that records."""

CLASS = Path("/sys/class/rtshm")
"""The device class: all users may list it."""

MODULE = Path("/sys/module/rtshm")
"""Exists while the module is loaded."""
