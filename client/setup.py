"""What pyproject.toml cannot say to the setuptools of Debian 12."""

import os
import sys
import sysconfig

from setuptools import Extension, setup

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

setup(
    license="GPL-2.0-only",
    ext_modules=[PUBLISH] if limited else [],
    options={"bdist_wheel": {"py_limited_api": "cp311"}} if limited else {},
)
