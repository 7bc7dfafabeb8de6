"""What goes wrong outside the guest: one clear line, a status, and nothing is left behind."""

from __future__ import annotations

import os
import shlex
import signal
import subprocess
import time
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from vm.host import cache
from vm.tests.ran import TABLE, run

if TYPE_CHECKING:
    from collections.abc import Callable

PATIENCE = 60.0
PYTHON = "Traceback"
# A signal that comes before all is ready, or when all is done, has its default action.
INTERRUPTED = (-signal.SIGINT, 128 + signal.SIGINT)


@pytest.fixture(scope="module")
def real(copy: Path) -> Path:
    """The cache, with all that a run needs."""
    run(copy, "true")
    return cache.root()


@pytest.fixture
def cache_without(real: Path, tmp_path: Path) -> Callable[..., Path]:
    """Make a cache that has what the real one has, but for some kinds; its XDG_CACHE_HOME."""

    def make(*kinds: str) -> Path:
        ours = tmp_path / "cache" / cache.FOLDER
        ours.mkdir(parents=True)
        seen: Counter[str] = Counter()
        # Few of a kind, those used last: more would be pruned.
        for path in sorted(real.iterdir(), key=lambda path: -path.stat().st_mtime):
            kept = path.is_dir() and not path.name.startswith((*kinds, "partial-"))
            if kept and path.name not in ("locks", "runs", "build"):
                kind = path.name.rpartition("-")[0]
                seen[kind] += 1
                if kind not in ("snapshot", "bytecode") or seen[kind] <= 2:
                    (ours / path.name).symlink_to(path)
        return ours.parent

    return make


def start(copy: Path, **environment: str) -> subprocess.Popen[str]:
    # A group of its own, as that of a shell's foreground job.
    return subprocess.Popen(
        [copy / "vm/run", "sleep 600"],
        env={**os.environ, **environment},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
    )


def nothing_is_left(home: Path) -> None:
    ours = home / cache.FOLDER
    assert not [*ours.glob("partial-*")]
    assert not [*ours.glob("runs/*/job.tar")]
    assert str(home) not in Path("/proc/mounts").read_text()
    assert not [*home.glob("tmp/*")]
    deadline = time.monotonic() + PATIENCE
    while left := processes(str(home)):
        assert time.monotonic() < deadline, left
        time.sleep(0.1)


def processes(word: str) -> list[str]:
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            words = path.read_bytes().replace(b"\0", b" ").decode(errors="replace")
        except OSError:
            continue
        if word in words:
            found.append(words)
    return found


def test_kernel_that_is_not_in_the_table(copy: Path) -> None:
    command = [str(copy / "vm/run"), "--kernel=5.4", "true"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (125, "")
    assert (
        done.stderr == f"vm: no kernel '5.4' in kernels.toml; it has {', '.join(TABLE.kernels)}\n"
    )


Moment = tuple[tuple[str, ...], str, dict[str, str]]
ROOT: Moment = (("root-trixie",), "making the Debian trixie root", {})
DISK: Moment = (("guest-",), "making the disk image", {})
SNAPSHOT: Moment = (("snapshot-",), "making a snapshot", {})
BOOT: Moment = ((), " under ", {"COLD": "1"})


# What is missing in the cache is made; the word is printed before. So many seconds later.
@pytest.mark.parametrize(
    ("kinds", "word", "environment", "seconds"),
    [
        pytest.param(*ROOT, 0.0, id="a Debian root is about to be made"),
        pytest.param(*ROOT, 1.5, id="a Debian root is made"),
        pytest.param(*DISK, 0.0, id="the guest's disk is about to be made"),
        pytest.param(*DISK, 1.5, id="the guest's disk is made"),
        pytest.param(*SNAPSHOT, 1.5, id="a snapshot is made"),
        pytest.param(*BOOT, 0.0, id="the machine is about to boot"),
        pytest.param(*BOOT, 1.5, id="the machine boots and modules are built"),
    ],
)
def test_control_c_leaves_nothing_whenever_it_comes(
    copy: Path,
    cache_without: Callable[..., Path],
    kinds: tuple[str, ...],
    word: str,
    environment: dict[str, str],
    seconds: float,
) -> None:
    home = cache_without(*kinds)
    (home / "tmp").mkdir()
    places = {"XDG_CACHE_HOME": str(home), "TMPDIR": str(home / "tmp")}
    with start(copy, **places, **environment) as process:
        assert process.stderr is not None
        said = ""
        while word not in said:
            said = process.stderr.readline()
            assert said, "it ended too early"
        time.sleep(seconds)
        os.killpg(process.pid, signal.SIGINT)
        rest = process.stderr.read()
        assert process.wait(PATIENCE) == 128 + signal.SIGINT
    assert PYTHON not in rest
    nothing_is_left(home)


def test_second_control_c_does_not_cut_off_what_the_first_removes(
    copy: Path, cache_without: Callable[..., Path]
) -> None:
    kinds, word, environment = ROOT
    home = cache_without(*kinds)
    (home / "tmp").mkdir()
    places = {"XDG_CACHE_HOME": str(home), "TMPDIR": str(home / "tmp")}
    with start(copy, **places, **environment) as process:
        assert process.stderr is not None
        while word not in process.stderr.readline():
            pass
        time.sleep(1.5)
        while process.poll() is None:
            os.killpg(process.pid, signal.SIGINT)
            time.sleep(0.05)
        assert process.returncode in INTERRUPTED
        assert process.stderr.read().splitlines()[-1] == "vm: interrupted"
    nothing_is_left(home)


@pytest.mark.parametrize("seconds", [0.02, 0.05, 0.1, 0.2])
def test_control_c_while_it_starts_prints_no_traceback(
    copy: Path, tmp_path: Path, seconds: float
) -> None:
    with start(copy, XDG_CACHE_HOME=str(tmp_path)) as process:
        time.sleep(seconds)
        os.killpg(process.pid, signal.SIGINT)
        assert process.wait(PATIENCE) in INTERRUPTED
        assert process.stderr is not None
        assert PYTHON not in process.stderr.read()


def test_no_network_is_said_and_leaves_nothing(
    copy: Path, cache_without: Callable[..., Path]
) -> None:
    home = cache_without("root-trixie")
    (home / "tmp").mkdir()
    environment = {**os.environ, "XDG_CACHE_HOME": str(home), "TMPDIR": str(home / "tmp")}
    # Nobody listens there.
    environment |= {"http_proxy": "http://127.0.0.1:9", "https_proxy": "http://127.0.0.1:9"}
    command = [str(copy / "vm/run"), "true"]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 125
    assert PYTHON not in done.stderr
    assert "127.0.0.1" in done.stderr
    assert done.stderr.splitlines()[-1].startswith("mmdebstrap of trixie failed (status ")
    nothing_is_left(home)


# A file system with this room, and nothing of these kinds.
FULL = [("the guest's disk", ("guest-",), "40m"), ("the job of a run", (), "64k")]


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can mount a small file system")
@pytest.mark.parametrize(("kinds", "size"), [row[1:] for row in FULL], ids=[row[0] for row in FULL])
def test_no_space_is_said_and_leaves_nothing(
    copy: Path, cache_without: Callable[..., Path], kinds: tuple[str, ...], size: str
) -> None:
    home = cache_without(*kinds)
    small = home.parent / "small"
    small.mkdir()
    script = (
        f"mount -t tmpfs -o size={size} none {small} && cp -a {home}/. {small} && "
        f"XDG_CACHE_HOME={small} {shlex.quote(str(copy / 'vm/run'))} true; status=$?; "
        f"find {small} -name 'partial-*' -o -name job.tar; exit $status"
    )
    done = subprocess.run(
        ["unshare", "--mount", "sh", "-c", script], capture_output=True, text=True, check=False
    )
    assert done.returncode == 125, done.stderr
    assert done.stdout == ""
    assert PYTHON not in done.stderr
    assert "No space left on device" in done.stderr, done.stderr
