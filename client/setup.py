"""What pyproject.toml cannot say to the setuptools of Debian 12."""

import os
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path

from setuptools import Extension, setup
from setuptools.command.build_py import build_py

# Without a compiler or Python's headers the package does without: rtshm/publisher.py.
# With the limited API one build is for every later Python; one without the GIL has no such
# API, and does without, too.
# A release has to have it.
release = bool(os.environ.get("RTSHM_RELEASE"))
limited = not sysconfig.get_config_var("Py_GIL_DISABLED")
if release and not limited:
    sys.exit("RTSHM_RELEASE: this Python has no limited API; build the release with another")

PUBLISH = Extension(
    "rtshm._publish",
    ["rtshm/_publish.c"],
    extra_compile_args=["-Wall"],
    optional=not release,
    py_limited_api=True,
)

# As rtshm/bpf.py does it when a program is used that was not built here, for lack of clang.
CLANG = ["clang", "-O2", "-g", "-Wall", "-target", "bpf", "-mcpu=v3", "-I", "rtshm/tasks"]
# What the debugging information says of the sources is the same wherever they are built.
CLANG += [f"-ffile-prefix-map={Path.cwd()}=."]
HEADERS = ["-idirafter", f"/usr/include/{sysconfig.get_config_var('MULTIARCH') or ''}"]


class Build(build_py):
    """Compile the BPF programs of the package, too."""

    def run(self):
        super().run()
        if self.editable_mode or not shutil.which(CLANG[0]):
            return
        for source in Path("rtshm/tasks").glob("*.bpf.c"):
            made = Path(self.build_lib, source).with_suffix(".o")
            subprocess.run([*CLANG, *HEADERS, "-c", "-o", made, source], check=True)


setup(
    license="GPL-2.0-only",
    cmdclass={"build_py": Build},
    ext_modules=[PUBLISH] if limited else [],
    options={"bdist_wheel": {"py_limited_api": "cp311"}} if limited else {},
)
