"""GDB=1: the printed command attaches gdb, which stops in a function of the module."""

from __future__ import annotations

import os
import shlex
import signal
import subprocess
from typing import TYPE_CHECKING

import pytest

from vm.host import gdb
from vm.host.errors import HarnessError

if TYPE_CHECKING:
    from pathlib import Path

PATIENCE = 60.0

COMMAND = """
insmod hello.ko
symbols
while insmod neighbour/neighbour.ko && rmmod neighbour; do echo again; sleep 0.1; done
"""


def test_gdb_stops_where_the_module_is_called_and_the_guest_goes_on(copy: Path) -> None:
    environment = {**os.environ, "GDB": "1"}
    with subprocess.Popen(
        [copy / "vm/run", COMMAND],
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        try:
            said = ""
            while "attach by: " not in said:
                said = process.stderr.readline()
                assert said, "no command for gdb"
            command = shlex.split(said.partition("attach by: ")[2])
            symbols = process.stdout.readline()
            assert symbols.startswith("add-symbol-file ")
            assert process.stdout.readline() == "again\n"
            given = (symbols, "break hello_say", "continue", "backtrace", "list", "detach")
            orders = [word for each in given for word in ("-ex", each.strip())]
            done = subprocess.run(
                [*command, "-batch", "-nx", *orders],
                capture_output=True,
                text=True,
                timeout=PATIENCE,
                check=True,
            )
            assert "hello_say (name=" in done.stdout, done.stdout + done.stderr
            assert '"neighbour") at ' in done.stdout
            # The source is found, in this checkout.
            assert 'pr_info("hello: hello, %s' in done.stdout
            for _ in range(20):
                assert process.stdout.readline() == "again\n"
        finally:
            process.send_signal(signal.SIGTERM)
            process.communicate()


def test_a_socket_whose_path_is_too_long_is_refused_with_a_remedy(tmp_path: Path) -> None:
    with pytest.raises(HarnessError, match="is too long for a socket; set XDG_CACHE_HOME"):
        gdb.place(tmp_path / ("long" * 25))
