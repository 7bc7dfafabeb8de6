"""The C of the netlink family, which the kernel's YNL generates from the spec."""

from __future__ import annotations

import difflib
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from vm.host import linux_source
from vm.host.errors import HarnessError
from vm.host.progress import say

SPEC = Path("kmod/netlink/rtshm.yaml")
GENERATED = {
    Path("kmod/include/uapi/linux/rtshm_netlink.h"): ["--mode", "uapi", "--header"],
    Path("kmod/netlink_gen.h"): ["--mode", "kernel", "--header"],
    Path("kmod/netlink_gen.c"): ["--mode", "kernel", "--source"],
}

TRACEBACK = re.compile(r"^Traceback .*\n(?: .*\n)*", re.MULTILINE)


def update(source: Path) -> int:
    """Write the generated files of the checkout `source`; the status is 0."""
    for path, text in generate(source).items():
        # A file that is rewritten is compiled again.
        if committed(source, path) != text:
            (source / path).write_text(text)
            say(f"wrote {path}")
    return 0


def check(source: Path) -> bool:
    """Whether the generated files are those of the spec; prints how they differ."""
    clean = True
    for path, text in generate(source).items():
        before = committed(source, path).splitlines(keepends=True)
        after = text.splitlines(keepends=True)
        diff = difflib.unified_diff(before, after, str(path), f"{path} of {SPEC}")
        for line in diff:
            print(line, end="")
            clean = False
    if clean:
        say(f"{SPEC}: {len(GENERATED)} generated files, no difference")
    else:
        print(f"{SPEC}: the generated files are others; remedy: make ynl")
    return clean


def committed(source: Path, path: Path) -> str:
    return (source / path).read_text() if (source / path).exists() else ""


def generate(source: Path) -> dict[Path, str]:
    """The text of each generated file; a spec that the schema refuses is a HarnessError."""
    linux = linux_source.tree()
    with tempfile.TemporaryDirectory() as name:
        # The generator names the spec as from the directory that has MAINTAINERS, and
        # finds the schema one above the spec's.
        root = Path(name)
        (root / "MAINTAINERS").touch()
        spec = root / SPEC
        spec.parent.mkdir(parents=True)
        shutil.copy(source / SPEC, spec)
        shutil.copy(linux / linux_source.SCHEMA, spec.parents[1])
        # -B: the artefact stays as it is.
        command = [sys.executable, "-B", str(linux / linux_source.YNL / "ynl-gen-c.py")]
        command += ["--spec", str(spec)]
        texts = {}
        for path, options in GENERATED.items():
            target = root / path.name
            done = subprocess.run(
                [*command, *options, "-o", str(target)],
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
                check=False,
            )
            if done.returncode != 0:
                raise HarnessError(f"{SPEC}: {TRACEBACK.sub('', done.stdout).strip()}")
            texts[path] = target.read_text()
        return texts
