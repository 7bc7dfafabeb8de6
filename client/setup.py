"""What pyproject.toml cannot say to the setuptools of Debian 12."""

from setuptools import Extension, setup

# Without a compiler or Python's headers the package does without: rtshm/publisher.py.
# With the limited API one build is for every later Python.
PUBLISH = Extension(
    "rtshm._publish",
    ["rtshm/_publish.c"],
    extra_compile_args=["-Wall"],
    optional=True,
    py_limited_api=True,
)

setup(
    license="GPL-2.0-only",
    ext_modules=[PUBLISH],
    options={"bdist_wheel": {"py_limited_api": "cp311"}},
)
