"""Runs that begin with a snapshot: as a boot would have it, of the checkout as it is now."""

from __future__ import annotations

import concurrent.futures
import io
import os
import re
import shutil
import time
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from tests.vm import cache, image, kernels, machine, qemu, snapshot, splats

TABLE = kernels.load()
STAMP = re.compile(r"\[ *\d+\.\d+\] ")

# What a program can see of the guest and of itself; the module, and the client in all the
# ways in which the interpreter of the snapshot has to be like one of its own, or to decline.
SESSION = r"""
uname -a; id; pwd; umask; ulimit -a; env | sort; mount; cat /proc/cmdline
find . -path ./.git -prune -o -print | sort | grep -v __pycache__
insmod rtshm.ko period_ns=10000000
tried() { "$@"; echo "status $?"; }
tried rtshm write 42
tried timeout 20 grep -q -m1 'shared mem=42$' /dev/kmsg
tried rtshm read
echo 43 >value; tried rtshm write <value
tried rtshm write nonsense
tried sh -c 'rtshm read >/dev/full'
tried setpriv --reuid=65534 --clear-groups rtshm read
tried sh -c 'cd /tmp && rtshm create motor --layout speed:f64 && rtshm put motor speed=2.5'
tried env COLUMNS=60 rtshm get motor
tried sh -c 'ulimit -n 16; rtshm get motor'
rtshm list | cut -d ' ' -f 1
python3 -c '
import signal, subprocess
for number in signal.SIGINT, signal.SIGTERM, signal.SIGKILL:
    process = subprocess.Popen(["rtshm", "log"], stdout=subprocess.PIPE)
    process.stdout.readline()
    process.send_signal(number)
    print(number.name, process.wait())
'
tried rmmod rtshm
"""


@dataclass(frozen=True, slots=True)
class Done:
    outcome: machine.Outcome
    stdout: str
    stderr: str


def run(source: Path, command: str, *, warm: bool = True, icount: bool = False) -> Done:
    stdout, stderr = io.BytesIO(), io.BytesIO()
    outcome = machine.run(
        TABLE,
        TABLE[""],
        source,
        command,
        icount=icount,
        warm=warm,
        deadline=300,
        sinks=machine.Sinks(stdout=stdout, stderr=stderr),
    )
    assert splats.scan(outcome.log(), outcome.accelerator) == []
    return Done(outcome, stdout.getvalue().decode(), stderr.getvalue().decode())


def test_a_snapshot_and_a_boot_have_the_same_results(copy: Path) -> None:
    warm, cold = run(copy, SESSION), run(copy, SESSION, warm=False)
    assert (warm.outcome.warm, cold.outcome.warm) == (True, False)
    assert warm.stdout == cold.stdout
    assert warm.stderr == cold.stderr
    assert warm.outcome.status == cold.outcome.status == 0
    assert warm.stdout.count("status 0\n") == 8
    # The log has the boot, too, and every line of it once.
    for done in (warm, cold):
        log = [STAMP.sub("", line) for line in done.outcome.log()]
        assert "Linux version" in log[0]
        assert not [line for line in log if "lost" in line]
        assert len([line for line in log if "Run /init as init process" in line]) == 1
        assert len([line for line in log if line.startswith("rtshm: loaded")]) == 1
        assert log[-1] == "rtshm-vm: end"


def test_a_changed_module_is_seen(copy: Path) -> None:
    path = copy / "kmod/main.c"
    text = path.read_text()
    assert "unloaded after" in text
    for words in ("unloaded after", "gone after"):
        path.write_text(text.replace("unloaded after", words))
        try:
            done = run(copy, "insmod rtshm.ko print=0 && rmmod rtshm")
        finally:
            path.write_text(text)
        assert done.outcome.warm
        assert [line for line in done.outcome.log() if f"rtshm: {words} " in line]


def test_two_runs_at_once_share_the_time_and_no_random_numbers(copy: Path) -> None:
    command = """
        cat /proc/sys/kernel/random/boot_id
        head -c 16 /dev/urandom | od -An -tx1
        date +%s
    """
    begin = int(time.time())
    with concurrent.futures.ThreadPoolExecutor() as pool:
        both = [pool.submit(run, copy, command) for _ in range(2)]
        one, two = ([*each.result().stdout.splitlines()] for each in both)
    assert one[0] != two[0]
    assert one[1] != two[1]
    for lines in (one, two):
        assert begin <= int(lines[2]) <= time.time()


@pytest.mark.parametrize("fault", ["no devices", "half of the devices", "other memory"])
def test_an_unusable_snapshot_is_said_and_discarded_and_the_guest_boots(
    copy: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    fault: str,
) -> None:
    boot = image.boot_files(TABLE, TABLE[""])
    accelerator = run(copy, "true").outcome.accelerator
    whole = snapshot.of(qemu.Guest(boot, accelerator, (image.guest_image(TABLE),)))
    broken = tmp_path / "broken"
    broken.mkdir()
    for name in ("devices", "log"):
        shutil.copy(whole / name, broken)
    (broken / "ram").touch()
    os.truncate(broken / "ram", (whole / "ram").stat().st_size)
    if fault != "other memory":
        (broken / "ram").unlink()
        (broken / "ram").symlink_to(whole / "ram")
        size = (broken / "devices").stat().st_size if fault != "no devices" else 0
        os.truncate(broken / "devices", size // 2)
    monkeypatch.setattr(snapshot, "of", lambda guest: broken)
    capsys.readouterr()
    done = run(copy, "echo booted; exit 3")
    assert (done.stdout, done.outcome.status, done.outcome.warm) == ("booted\n", 3, False)
    said = [line for line in capsys.readouterr().err.splitlines() if "snapshot" in line]
    assert len(said) == 1
    assert said[0].startswith("vm: the snapshot did not come back, this is a whole boot: ")
    assert not broken.exists()


def test_a_guest_that_counts_instructions_boots(copy: Path) -> None:
    assert not run(copy, "true", icount=True).outcome.warm


def test_all_that_a_snapshot_is_made_of_is_in_its_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    boot = image.Boot(Path("/boot-1/kernel"), Path("/boot-1/initrd"))
    other = image.Boot(Path("/boot-2/kernel"), Path("/boot-2/initrd"))
    guest = qemu.Guest(boot, "tcg", (Path("/guest-1/guest.ext4"),))
    found = [
        snapshot.made_of(guest),
        snapshot.made_of(replace(guest, boot=other)),
        snapshot.made_of(replace(guest, accelerator="kvm")),
        snapshot.made_of(replace(guest, disks=(Path("/guest-2/guest.ext4"),))),
        snapshot.made_of(replace(guest, arguments="isolcpus=1")),
    ]
    monkeypatch.setattr(qemu, "COMMAND_LINE", "quiet")
    found.append(snapshot.made_of(guest))
    (tmp_path / qemu.QEMU).write_text("another QEMU")
    (tmp_path / qemu.QEMU).chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    found.append(snapshot.made_of(guest))
    assert len({cache.key(parts) for parts in found}) == len(found)


def test_the_snapshots_used_last_are_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    for number in range(snapshot.KEEP + 2):
        path = cache.root() / f"{snapshot.KIND}-{number}"
        path.mkdir(parents=True)
        os.utime(path, (number, number))
    snapshot.prune()
    kept = {path.name for path in cache.root().iterdir()}
    assert kept == {f"{snapshot.KIND}-{number}" for number in range(2, snapshot.KEEP + 2)}
