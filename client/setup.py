"""What pyproject.toml cannot say to the setuptools of Debian 12."""

import sysconfig

from setuptools import Extension, setup

# Without a compiler or Python's headers the package does without: rtshm/publisher.py.
# With the limited API one build is for every later Python; one without the GIL has no such
# API, and does without, too.
PUBLISH = Extension(
    "rtshm._publish",
    ["rtshm/_publish.c"],
    extra_compile_args=["-Wall"],
    optional=True,
    py_limited_api=True,
)
limited = not sysconfig.get_config_var("Py_GIL_DISABLED")

setup(
    license="GPL-2.0-only",
    ext_modules=[PUBLISH] if limited else [],
    options={"bdist_wheel": {"py_limited_api": "cp311"}} if limited else {},
)
