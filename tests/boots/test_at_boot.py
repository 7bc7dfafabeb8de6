"""Regions that a machine makes at boot: one that boots systemd, with the packages installed."""

from __future__ import annotations

import pytest

from tests.lib import deb, payload
from tests.lib.payload import CHECKOUT

# Process 1, until the machine has what it boots with: see the program.
INIT = b"""#!/bin/sh
until [ -e /run/go ]; do sleep 0.5; done
exec /usr/lib/systemd/systemd
"""
PROGRAM = "python3 -m tests.boots.guest.at_boot"
# udev takes a minute under emulation to trigger the events of all devices, and no unit here needs
# them. The first start of rtshm compiles its Python, so the regions come late.
ARGUMENTS = " ".join(
    (
        f"init={CHECKOUT}/init",
        "systemd.mask=systemd-udev-trigger.service",
        "systemd.mask=serial-getty@ttyS0.service",
        "systemd.default_device_timeout_sec=600",
        "systemd.show_status=0",
    )
)


@pytest.mark.promise(
    "install: After the boot the regions exist with their values and tasks, and services that "
    "bind to a region have started"
)
def test_regions_and_their_tasks_are_made_at_boot_and_services_bind_to_them() -> None:
    packages = deb.build(CHECKOUT).glob("*.deb")
    extra = {f"{deb.FOLDER}/{path.name}": path.read_bytes() for path in packages}
    done = payload.run(
        PROGRAM,
        disk=deb.install_image(),
        extra={**extra, "init": INIT},
        arguments=ARGUMENTS,
        deadline=1500,
    )
    said = (done.stdout + done.stderr).decode(errors="replace")
    assert done.outcome.lost is None, f"machine lost: {done.outcome.lost}\n{said}"
    assert done.outcome.splats() == []
    assert (done.outcome.status, said) == (0, "at_boot: passed\n"), said
