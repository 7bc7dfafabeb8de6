"""The loop a developer lives in, compared with virtme-ng: from a changed line of C to a verdict.

Runs on the host. Each round changes a line of a copy of this checkout, builds the
module, has a machine load it, write a value with the client, wait for the value in
the log and unload the module; the round counts if the changed line is then in the
log. The module prints changes: with a line a tick, the value would wait for the next
second, when the log may have more lines. The ways take turns, with the build alone,
and the least of some rounds counts. Processor time is reported next to the time on the
clock, which is that of this host and of what else it does.

The kernel is one with 9p, on which virtme-ng depends: Debian's cloud kernels have none.
virtme-ng gets that kernel, a Debian root with the client's packages, this harness's build
and its processor, so that what differs is the machine's way to the command and back.
"""

from __future__ import annotations

import os
import platform
import resource
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from bench.figures import Figures, Run
from vm.host import accel, cache, checkout, debian, image, kbuild, qemu
from vm.host.errors import HarnessError
from vm.host.progress import run_logged, step

if TYPE_CHECKING:
    from collections.abc import Callable

    from vm.host.kernels import Kernel, Table

CHECKOUT = Path(__file__).resolve().parents[1]
KERNEL = "6.12-rt"
ROUNDS = 3
BUILD = "the build alone"
DEADLINE_SECONDS = 300

# What virtme-ng's root has over an essential system: its own needs, then the client's. No
# udev: virtme-ng would then trigger all devices, for which an emulated guest takes a minute.
PACKAGES = (
    *("bash", "iproute2", "kmod", "mount", "procps"),
    *("python3", "python3-click", "python3-construct", "python3-pyroute2", "python3-tomli-w"),
)
VIRTME = "virtme-ng==1.42"
VIRTME_RUN = """\
#!/bin/sh
exec python3 "$PYTHONPATH/bin/virtme-run" "$@"
"""

LINE = "unloaded after"
VERDICT = """\
insmod rtshm.ko period_ns=10000000 print=2 && {rtshm} write 42 &&
timeout 60 grep -q -m1 'shared mem=42$' /dev/kmsg && rmmod rtshm && dmesg | tail -n 1
"""


@dataclass(frozen=True, slots=True)
class Cost:
    """Seconds on the clock, and of processors."""

    wall: float
    cpu: float


def peer(table: Table, kernel: Kernel) -> Path:
    """virtme-ng, and a root for its guest with all of the kernel's modules."""
    release = image.files(table, kernel).release
    hook = (
        'cd "$1" && export APT_CONFIG="$MMDEBSTRAP_APT_CONFIG" && '
        f"apt-get -q -o APT::Sandbox::User=root download linux-image-{release} && "
        "dpkg-deb --fsys-tarfile linux-image-*.deb | tar -x --keep-directory-symlink && "
        f'rm linux-image-*.deb && chroot "$1" depmod {release}'
    )

    def make(path: Path) -> None:
        log = cache.root() / "virtme.log"
        customize = f"--customize-hook={hook}"
        with step("making a root for virtme-ng", "2 minutes"):
            debian.make_tree(path / "root", kernel.suite, PACKAGES, customize, log=log)
            pip = [sys.executable, "-m", "pip", "install", "-qq", "--target"]
            run_logged([*pip, str(path / "python"), VIRTME], log, "pip")
        # pip's own begins with where it was installed, which is another place soon.
        (path / "bin").mkdir()
        program = path / "bin/virtme-run"
        program.write_text(VIRTME_RUN)
        program.chmod(0o755)

    return cache.artefact(
        "virtme", [release, PACKAGES, VIRTME, VIRTME_RUN, hook, kernel.suite], make
    )


def ways(
    table: Table, kernel: Kernel, work: Path, accelerator: str
) -> dict[str, Callable[[], str]]:
    """How each way builds the module of `work` and runs it; what its guest printed, or what of
    that is in the module."""
    files = image.files(table, kernel)
    with_virtme = peer(table, kernel)

    def make() -> str:
        kbuild.make(files, kernel, work, [])
        return (work / "rtshm.ko").read_bytes().decode(errors="replace")

    def ours(cold: str) -> str:
        # The Python that runs this, which virtme-ng has, too.
        path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
        variables = {"KERNEL": kernel.name, "ICOUNT": "", "COLD": cold, "PATH": path}
        return output([str(work / "vm/run"), VERDICT.format(rtshm="rtshm")], os.environ | variables)

    def virtme() -> str:
        make()
        path = with_virtme / "root"
        command = [sys.executable, str(with_virtme / "python/bin/vng")]
        command += ["--run", str(next((path / "boot").glob("vmlinuz-*"))), "--root", str(path)]
        # Debian's 9p is a module.
        command += ["--force-9p", "--force-initramfs", f"--rwdir=/mnt={work}"]
        command += ["--user", "root", "--cpus", "2", "--memory", qemu.MEMORY]
        if accelerator == "tcg":
            command += ["--disable-kvm"]
            command += [f"--qemu-opts={word}" for word in qemu.acceleration(accelerator)]
        verdict = VERDICT.format(rtshm="PYTHONPATH=client python3 -m rtshm")
        variables = {
            "PYTHONPATH": str(with_virtme / "python"),
            "PATH": f"{with_virtme / 'bin'}:{os.environ['PATH']}",
        }
        # Its own way for what a command says are ports that it finds by links of udev's.
        said = work / "said"
        said.unlink(missing_ok=True)
        script = f"cd /mnt && {{ {verdict}}} >said 2>&1"
        of_machine = output([*command, "--exec", script], os.environ | variables)
        return said.read_text() if said.exists() else of_machine

    return {BUILD: make, "virtme-ng": virtme, "cold": lambda: ours("1"), "warm": lambda: ours("")}


def output(command: list[str], environment: dict[str, str]) -> str:
    with subprocess.Popen(
        command,
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        start_new_session=True,
    ) as process:
        try:
            said, _ = process.communicate(timeout=DEADLINE_SECONDS)
        except BaseException:
            # virtme-ng's QEMU does not end with it.
            os.killpg(process.pid, signal.SIGKILL)
            raise
    return said.decode(errors="replace")


def change(work: Path, words: str) -> None:
    path = work / "kmod/main.c"
    text = (CHECKOUT / "kmod/main.c").read_text()
    if LINE not in text:
        raise HarnessError(f"{path} has no {LINE!r} to change")
    path.write_text(text.replace(LINE, words))


def measure(act: Callable[[], str], words: str) -> Cost:
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    begin = time.monotonic()
    said = act()
    wall = time.monotonic() - begin
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    if f"rtshm: {words} " not in said:
        print(said, file=sys.stderr)
        raise HarnessError(f"no {words!r} in what was printed")
    cpu = after.ru_utime - before.ru_utime + after.ru_stime - before.ru_stime
    return Cost(wall, cpu)


def copy(work: Path) -> None:
    subprocess.run(["git", "init", "-q", work], check=True)
    for name in checkout.files(CHECKOUT):
        (work / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(CHECKOUT / name, work / name, follow_symlinks=False)


def run(table: Table) -> Run:
    """The figures of all ways; of one that does not work there is the reason."""
    kernel = table[KERNEL]
    accelerator, _ = accel.choose(image.boot_files(table, kernel))
    found: dict[str, list[Cost]] = {}
    missing: dict[str, str] = {}
    with tempfile.TemporaryDirectory(prefix="rtshm-loop-") as directory:
        work = Path(directory)
        copy(work)
        acts = ways(table, kernel, work, accelerator)
        # The first round, which makes what a later one finds made, does not count.
        for number in range(ROUNDS + 1):
            for name, act in acts.items():
                if name in missing:
                    continue
                change(work, words := f"{name}-{number} unloaded after")
                try:
                    cost = measure(act, words)
                except (HarnessError, subprocess.TimeoutExpired) as error:
                    missing[name] = str(error).splitlines()[-1]
                    continue
                if number:
                    found.setdefault(name, []).append(cost)
    figures = Figures()
    figures.group = "loop"
    compare(figures, found, missing)
    release = image.files(table, kernel).release
    return Run(kernel.name, release, accelerator, platform.python_version(), tuple(figures.found))


def compare(figures: Figures, found: dict[str, list[Cost]], missing: dict[str, str]) -> None:
    for name in (BUILD, "virtme-ng", "cold", "warm"):
        if name in missing:
            figures.absent(name, missing[name])
            continue
        figures.add(name, wall(found[name]), "s")
        figures.add(f"{name}, processor time", cpu(found[name]), "s")
    if missing:
        return
    theirs = found["virtme-ng"]
    for name in ("warm", "cold"):
        ours = found[name]
        figures.add(f"{name} / virtme-ng", wall(ours) / wall(theirs))
        figures.add(f"{name} / virtme-ng, processor time", cpu(ours) / cpu(theirs))


def wall(costs: list[Cost]) -> float:
    return min(cost.wall for cost in costs)


def cpu(costs: list[Cost]) -> float:
    return min(cost.cpu for cost in costs)
