"""What a kernel refuses that is locked down: `python3 -m tests.boots.guest.lockdown`.

Only a boot leads back, so tests/boots/test_lockdown.py gives it a machine of its own.
"""

from __future__ import annotations

import errno
import subprocess
from pathlib import Path

import pytest
import rtshm
from rtshm.tracing import INSTANCES

from tests.lib import module, raw
from tests.lib.libc import PAGE

LOCKDOWN = Path("/sys/kernel/security/lockdown")


def main() -> None:
    subprocess.run("mount -t securityfs none /sys/kernel/security", shell=True, check=True)
    module.load(print=0)
    with rtshm.Control() as control:
        control.create("a", phys=raw.ADDRESS)
        with rtshm.open_devmem("a") as memory, rtshm.open("a") as region:
            memory.some_int = 5
            LOCKDOWN.write_text("integrity")

            with pytest.raises(rtshm.AccessError) as refused:
                control.create("b", phys=raw.ADDRESS + PAGE)
            assert refused.value.errno == errno.EPERM
            assert refused.value.strerror == (
                "phys: the kernel is locked down: see kernel_lockdown(7)"
            )
            with pytest.raises(rtshm.AccessError) as refused:
                rtshm.open_devmem("a")
            locked = "lockdown: this kernel is locked down (integrity): "
            assert refused.value.remedy.startswith(locked), refused.value
            # What was there stays, and so do regions of the kernel's memory.
            assert region.some_int == 5
            memory.some_int = 6
            assert region.some_int == 6
            control.create("b")
            # Tracing goes on under this level.
            assert rtshm.blame("b", "1h", timeout="10ms") is None
        LOCKDOWN.write_text("confidentiality")
        # EINVAL: the kernel makes no file of an instance, and says nothing of the reason.
        with pytest.raises(rtshm.RefusedError) as denied:
            rtshm.blame("b", "1h")
        assert denied.value.errno == errno.EINVAL
        assert denied.value.remedy.startswith("the kernel is locked down: boot with ")
        assert not list(INSTANCES.iterdir())
    module.unload()
    print("lockdown: passed")


if __name__ == "__main__":
    main()
