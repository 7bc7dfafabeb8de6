"""Runs that begin with a snapshot: as a boot would have it, of the checkout as it is now."""

from __future__ import annotations

import concurrent.futures
import os
import re
import shutil
import signal
import subprocess
import time
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from vm.host import cache, image, job, qemu, snapshot
from vm.tests import ran
from vm.tests.ran import TABLE

if TYPE_CHECKING:
    from pathlib import Path

    from vm.host.captured import Done

STAMP = re.compile(r"\[ *\d+\.\d+\] ")

# What a program can see of the guest and of itself; the module, and its client in all the
# ways in which the interpreter of the snapshot has to be like one of its own, or to decline.
SESSION = r"""
uname -a; id; pwd; umask; ulimit -a; env | sort; mount; cat /proc/cmdline
find . -path ./.git -prune -o -print | sort | grep -v __pycache__
insmod hello.ko
tried() { "$@"; echo "status $?"; }
tried greet to reader
tried greet whom
tried timeout 20 grep -q -m1 'hello, world$' /dev/kmsg
echo writer >name; tried greet to <name
tried greet nobody
tried sh -c 'greet whom >/dev/full'
tried setpriv --reuid=65534 --clear-groups greet to me
tried sh -c 'cd /tmp && greet whom'
tried env COLUMNS=60 greet --help
tried sh -c 'ulimit -n 16; greet whom'
for closed in '<&-' '>&-' '2>&-' '<&- >&-' '<&- 2>&-' '>&- 2>&-' '<&- >&- 2>&-'; do
	tried sh -c "greet whom $closed"
done
tried sh -c 'greet nobody 2>&-'
python3 -c '
import signal, subprocess
for number in signal.SIGINT, signal.SIGTERM, signal.SIGKILL:
    process = subprocess.Popen(["greet", "follow"], stdout=subprocess.PIPE)
    process.stdout.readline()
    process.send_signal(number)
    print(number.name, process.wait())
'
tried rmmod hello
"""


def run(source: Path, command: str, **options: bool) -> Done:
    done = ran.run(source, command, deadline=300, **options)
    assert done.outcome.splats() == []
    return done


def test_a_snapshot_and_a_boot_have_the_same_results(copy: Path) -> None:
    warm, cold = run(copy, SESSION), run(copy, SESSION, warm=False)
    assert (warm.outcome.warm, cold.outcome.warm) == (True, False)
    assert warm.stdout == cold.stdout
    assert warm.stderr == cold.stderr
    assert warm.outcome.status == cold.outcome.status == 0
    assert warm.stdout.count(b"status 0\n") == 15
    # The log has the boot, too, and every line of it once.
    for done in (warm, cold):
        log = [STAMP.sub("", line) for line in done.outcome.log()]
        assert "Linux version" in log[0]
        assert not [line for line in log if "lost" in line]
        assert len([line for line in log if "Run /init as init process" in line]) == 1
        assert log.count("hello: hello, world") == 1
        assert log[-1] == "vm: end"


def test_a_changed_module_is_seen(copy: Path) -> None:
    path = copy / "hello.c"
    text = path.read_text()
    assert "goodbye" in text
    for word in ("goodbye", "farewell"):
        path.write_text(text.replace("goodbye", word))
        try:
            done = run(copy, "insmod hello.ko && rmmod hello")
        finally:
            path.write_text(text)
        assert done.outcome.warm
        assert [line for line in done.outcome.log() if f"hello: {word}, world" in line]


def test_two_runs_at_once_share_the_time_and_no_random_numbers(copy: Path) -> None:
    command = """
        cat /proc/sys/kernel/random/boot_id
        head -c 16 /dev/urandom | od -An -tx1
        date +%s
    """
    begin = int(time.time())
    with concurrent.futures.ThreadPoolExecutor() as pool:
        both = [pool.submit(run, copy, command) for _ in range(2)]
        assert [each.result().outcome.warm for each in both] == [True, True]
        one, two = ([*each.result().stdout.splitlines()] for each in both)
    assert one[0] != two[0]
    assert one[1] != two[1]
    for lines in (one, two):
        assert begin <= int(lines[2]) <= time.time()


# The parent of a program; each way that follows is not like the interpreter's.
SERVED = r"""
cat >who.py <<'end'
import os
from pathlib import Path
print("interpreter.py" in Path(f"/proc/{os.getppid()}/cmdline").read_text())
end
who() { /run/warm/call python3 -m who; }
who; PYTHONPATH=/tmp who; cd lib; PYTHONPATH=.. who; cd ..
umask 0; who; umask 022
sh -c 'ulimit -n 16; /run/warm/call python3 -m who'
LC_ALL=C who
PYTHONOPTIMIZE=1 who
nice -n 5 /run/warm/call python3 -m who
setpriv --reuid=65534 --clear-groups /run/warm/call python3 -m who
"""

# A signal that comes while a caller waits for its fork.
INTERRUPTED = r"""
import signal, subprocess, time
for delay in range(0, 300, 20):
    call = ["/run/warm/call", "python3", "-m", "endless"]
    process = subprocess.Popen(call, stderr=subprocess.DEVNULL)
    time.sleep(delay / 1000)
    process.send_signal(signal.SIGINT)
    print(process.wait(20))
"""


def test_the_interpreter_of_the_snapshot_serves_who_is_like_it(copy: Path) -> None:
    done = run(copy, SERVED)
    assert done.outcome.warm
    assert done.stdout.split() == [b"True"] * 3 + [b"False"] * 6


def test_no_interrupt_is_lost_between_the_caller_and_its_fork(copy: Path) -> None:
    (copy / "endless.py").write_text("import time\nwhile True:\n    time.sleep(1)\n")
    (copy / "interrupted.py").write_text(INTERRUPTED)
    done = run(copy, "python3 interrupted.py")
    assert done.outcome.warm
    assert done.stdout.split() == [b"%d" % -signal.SIGINT] * 15


# A program that ends in each way, and leaves a file open that is not written yet.
ENDS = r"""
cat >ends.py <<'end'
import atexit, os, sys, threading, time
kept = open("kept", "w")
kept.write("kept\n")
atexit.register(print, "at exit")
def late():
    time.sleep(0.2)
    print("late")
way = sys.argv[1]
if way == "thread":
    threading.Thread(target=late).start()
elif way == "raise":
    raise ValueError(way)
elif way == "full":
    os.dup2(os.open("/dev/full", os.O_WRONLY), 1)
elif way != "nothing":
    sys.exit(int(way) if way.isdigit() else way)
end
for way in nothing 0 3 259 words thread full raise; do
	rm -f kept
	python3 -m ends $way 2>&1
	echo "$way: $?"
	cat kept
done
"""


def test_program_ends_as_by_an_interpreter_of_its_own(copy: Path) -> None:
    # But for the lines of runpy in a traceback.
    frames = re.compile(r"^  .*\n", re.MULTILINE)
    called = ENDS.replace("\tpython3", "\t/run/warm/call python3")
    done = run(copy, f"{ENDS}\necho again\n{called}")
    assert done.outcome.warm
    own, forked = frames.sub("", done.stdout.decode()).split("again\n")
    assert forked == own
    assert own.count("kept\n") == 8


# Whether a fork has the client already; each way that follows would import another, or
# another version of a file.
SEEN = r"""
cat >seen.py <<'end'
import sys
print("greeter" in sys.modules)
end
seen() { /run/warm/call python3 -m seen; }
seen
PYTHONPATH=/tmp seen
mkdir -p sub/greeter; echo >sub/greeter/__init__.py; cd sub; PYTHONPATH="$PYTHONPATH:.." seen; cd ..
touch lib/greeter/__init__.py
seen
echo 'print("another version")' >>lib/greeter/__init__.py
greet --help | head -n 1
"""


def test_the_client_of_the_checkout_is_there_as_long_as_it_is_the_callers(copy: Path) -> None:
    done = run(copy, SEEN)
    assert done.outcome.warm
    assert done.stdout.decode().splitlines() == ["True", *["False"] * 3, "another version"]


def test_output_of_an_import_goes_to_the_caller(copy: Path) -> None:
    path = copy / "lib/greeter/__init__.py"
    text = path.read_text()
    path.write_text(text + 'print("imported")\n')
    try:
        done = run(copy, "greet --help; greet --help")
    finally:
        path.write_text(text)
    assert done.outcome.warm
    assert done.stdout.decode().splitlines().count("imported") == 2


def test_make_vm_begins_with_a_snapshot_unless_told_not_to(copy: Path) -> None:
    for cold, words in (("", "under TCG, from a snapshot ("), ("1", "under TCG (")):
        command = ["make", "-s", "-C", str(copy), "vm", "CMD=true", f"COLD={cold}"]
        done = subprocess.run(command, capture_output=True, text=True, check=True)
        said = done.stderr.replace("under KVM", "under TCG")
        assert len([line for line in said.splitlines() if words in line]) == 1


@pytest.mark.parametrize(
    "fault", ["no file of devices", "no devices", "half of the devices", "other memory"]
)
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
    if fault == "no file of devices":
        (broken / "devices").unlink()
    monkeypatch.setattr(snapshot, "of", lambda guest: broken)
    capsys.readouterr()
    done = run(copy, "echo booted; exit 3")
    assert (done.stdout, done.outcome.status, done.outcome.warm) == (b"booted\n", 3, False)
    said = [line for line in capsys.readouterr().err.splitlines() if "boot" in line]
    assert len(said) == 1
    assert said[0].startswith("vm: the snapshot did not come back, this is a whole boot: ")
    assert not broken.exists()


def test_a_guest_that_counts_instructions_boots(copy: Path) -> None:
    assert not run(copy, "true", icount=True).outcome.warm


def test_all_that_a_snapshot_is_made_of_is_in_its_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    kernel, initrd, disk, another = (tmp_path / name for name in ("k", "i", "d", "a"))
    for path in (kernel, initrd, disk, another):
        path.touch()
    guest = qemu.Guest(image.Boot(kernel, initrd), "tcg", (disk,))
    found = [
        snapshot.made_of(guest),
        snapshot.made_of(replace(guest, boot=image.Boot(another, initrd))),
        snapshot.made_of(replace(guest, boot=image.Boot(kernel, another))),
        snapshot.made_of(replace(guest, accelerator="kvm")),
        snapshot.made_of(replace(guest, disks=(another,))),
        snapshot.made_of(replace(guest, arguments="isolcpus=1")),
    ]
    # Made anew, in the same place.
    disk.write_text("with what is newer")
    found.append(snapshot.made_of(guest))
    monkeypatch.setattr(qemu, "ANY_COMMAND_LINE", "quiet")
    found.append(snapshot.made_of(guest))
    monkeypatch.setattr(job, "BYTES", 2 << 30)
    found.append(snapshot.made_of(guest))
    host = tmp_path / "boot_id"
    host.write_text("the next boot\n")
    monkeypatch.setattr(snapshot, "HOST", host)
    found.append(snapshot.made_of(guest))
    (tmp_path / qemu.QEMU).write_text("another QEMU")
    (tmp_path / qemu.QEMU).chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    found.append(snapshot.made_of(guest))
    assert len({cache.key(parts) for parts in found}) == len(found)


def test_the_snapshots_used_last_are_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    for name in ("k", "i", "d"):
        (tmp_path / name).touch()
    guest = qemu.Guest(image.Boot(tmp_path / "k", tmp_path / "i"), "tcg", (tmp_path / "d",))
    names = [f"{snapshot.KIND}-{number}" for number in range(snapshot.KEEP + 2)]
    monkeypatch.setattr(snapshot, "make", lambda path, guest: None)
    of_guest = snapshot.of(guest)
    os.utime(of_guest, (0, 0))
    for time_s, name in enumerate(names, start=1):
        (cache.root() / name).mkdir()
        os.utime(cache.root() / name, (time_s, time_s))
    # Of a run that was killed.
    (cache.root() / f"partial-{names[0]}").mkdir()
    assert snapshot.of(guest) == of_guest
    kept = {path.name for path in cache.root().iterdir()}
    assert kept == {"locks", of_guest.name, *names[3:]}
