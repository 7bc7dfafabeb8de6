"""What a test may need of its machine: `@pytest.mark.needs(NAME)`, for tests/here.py.

The guest of vm/ has all of it.
"""

from __future__ import annotations

import importlib.util
import os
import shutil
from pathlib import Path
from typing import TYPE_CHECKING

from tests.lib import module, raw

if TYPE_CHECKING:
    from collections.abc import Callable

GIB = 1 << 30
# What the image has of the kernel's source.
YNL = Path("/usr/src/linux/tools/net/ynl")

# Whether it is here, and what is said where it is not.
NEEDS: dict[str, tuple[Callable[[], bool], str]] = {
    "raw": (lambda: raw.BYTES > 0, "no memory is set aside: boot with memmap=2M$ADDRESS"),
    "cpus": (lambda: (os.cpu_count() or 1) > 1, "there is one cpu"),
    "small": (lambda: module.meminfo("MemTotal") < GIB, "this machine has more than 1 GiB"),
    "kprobes": (
        lambda: (module.EVENTS.parent / "kprobe_events").exists(),
        "this kernel has no kprobes",
    ),
    "untainted": (
        lambda: not int(Path("/proc/sys/kernel/tainted").read_text()) & ~module.TAINT,
        "this kernel is tainted by something else",
    ),
    "bpf": (
        lambda: (
            bool(shutil.which("bpftool"))
            and (module.CHECKOUT / "client/examples/pi.bpf.o").exists()
        ),
        "there is no bpftool, or no programs that were compiled for `make vm`",
    ),
    "ebpfcat": (
        lambda: importlib.util.find_spec("ebpfcat") is not None,
        "there is no ebpfcat: pip install ebpfcat",
    ),
    "disk": (Path("/dev/vda").exists, "there is no /dev/vda"),
    "ynl": (YNL.exists, f"there is no {YNL}, of the kernel's source"),
    # Others on this machine rely on these.
    "clock": (lambda: False, "sets the clock"),
    "hotplug": (lambda: False, "takes a cpu offline"),
    "settings": (lambda: False, "changes files or settings of the machine"),
}
