"""The Debian packages of a checkout, and what else the guest of tests/install needs."""

from __future__ import annotations

import re
import shlex
import subprocess
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from tests.lib.payload import CHECKOUT, STREAMS, TABLE
from vm.host import cache, checkout, debian, image, programs
from vm.host.errors import HarnessError
from vm.host.processor import X86
from vm.host.progress import run_logged, step

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from vm.host.kernels import Kernel
    from vm.host.processor import Processor

# What the root has over Build-Depends of debian/control: what looks at the packages, and a
# compiler for programs of 32 bits.
BUILD_PACKAGES = ("build-essential", "gcc-multilib", "lintian")
# What a package for another processor is compiled and linked with.
LIBRARIES = ("libc6-dev", "libpython3-all-dev")

# The guest of tests/install: a machine to install the packages on, with the headers of
# the default kernel; what the packages depend on is here, since a guest has no network.
# ccache has what compiling the module takes: compiled().
INSTALL_PACKAGES = (
    *image.BUILD_PACKAGES,
    "busybox-static",
    "ccache",
    "dkms",
    "libbpf1",
    "mount",
    "openssl",
    "procps",
    "python3-click",
    "python3-construct",
    "python3-pyroute2",
    "python3-pytest",
    "python3-rich",
    "python3-tomli-w",
    "systemd",
    "udev",
)

# What of the checkout the packages are made of.
PARTS = ("debian", "system", "kmod", "client", "Kbuild", "Makefile", "dkms.conf", "LICENSE")
FILES = (Path("docs/man.py"), Path("vm/vm.mk"))
# And the module.
SOURCES = ("kmod/", "Kbuild", "dkms.conf")
# Where the version is said.
VERSIONED = ("dkms.conf", "client/rtshm/_version.py", "debian/changelog", "kmod/main.c")

BUILD = "cd /build/source && DEB_BUILD_OPTIONS=noautodbgsym dpkg-buildpackage -us -uc"

# In the guest's copy of the checkout.
FOLDER = "dist"
# A program of 32 bits, compiled with the header that is installed.
PROGRAM = Path("tests/install/client.c")

DKMS_TREE = "/var/lib/dkms"


def build_depends(control: str) -> list[str]:
    """The names in Build-Depends of a debian/control, without versions."""
    field = re.search(r"^Build-Depends:(.*(?:\n[ \t].*)*)", control, re.MULTILINE)
    if not field:
        raise HarnessError("debian/control has no Build-Depends")
    return re.findall(r"(?:^|,)\s*([a-z0-9][a-z0-9+.-]+)", field[1])


def root(source: Path = CHECKOUT, processor: Processor = X86) -> image.Root:
    """The Debian root that packages are built in; a foreign `processor` has a cross compiler."""
    control = (source / "debian/control").read_text(encoding="utf-8")
    name, tools = "packages", [*BUILD_PACKAGES]
    if processor.foreign:
        name = f"packages-{processor.debian}"
        tools = ["build-essential", f"gcc-{processor.triplet}"]
        tools += [f"{library}:{processor.debian}" for library in LIBRARIES]
    packages = sorted({*build_depends(control), *tools})
    return image.plain_root(name, TABLE.space.suite, packages, processor=processor)


def install_root() -> image.Root:
    """What the disk of tests/install is made of, but for the headers."""
    places = headers().values()
    suite = TABLE.space.suite
    return image.plain_root("install", suite, INSTALL_PACKAGES, places=sorted(places))


def headers() -> dict[Path, str]:
    """The headers of the default kernel, by their places."""
    return image.headers(TABLE, TABLE[""])


def install_image() -> Path:
    """The disk of the guest that the packages are installed in: that of tests/install."""
    own = install_root()
    script = ["mount -t tmpfs none var/cache", "mount -t tmpfs none var/lib/apt"]
    binds = headers()
    for there, place in binds.items():
        script.append(f"mount --bind {shlex.quote(str(there))} {shlex.quote(place[1:])}")
    # DKMS builds for every kernel that has headers there, which ccache has nothing of.
    release = image.files(TABLE, TABLE[""]).release
    script.append(
        f"for other in usr/lib/modules/*; do test $other = usr/lib/modules/{release} ||"
        " mount -t tmpfs none $other; done"
    )
    made_of = [own.path.name, [str(path) for path in binds], image.GUEST_FREE_MIB, script]
    return image.disk("install", own, script, made_of)


def version(source: Path) -> str:
    for line in (source / "dkms.conf").read_text(encoding="utf-8").splitlines():
        name, _, value = line.partition("=")
        if name == "PACKAGE_VERSION":
            return value.strip('"')
    raise HarnessError(f"{source}/dkms.conf has no PACKAGE_VERSION")


def newer(source: Path) -> str:
    """A version to upgrade to."""
    return version(source) + "+1"


def texts(source: Path, wanted: str) -> dict[str, str]:
    """The files that packages of the version `wanted` are made of."""
    found = {}
    for path in checkout.files(source):
        if path.parts[0] in PARTS or path in FILES:
            text = (source / path).read_text(encoding="utf-8")
            if str(path) in VERSIONED:
                text = text.replace(version(source), wanted)
            found[str(path)] = text
    return found


def build(source: Path, wanted: str = "") -> Path:
    """A directory with the packages, `*.deb`, and `lintian.txt`, what lintian says of them."""
    script = (
        f"{BUILD} && cd .. && "
        "lintian --allow-root --pedantic --display-info *.changes >lintian.txt || "
        "test -s lintian.txt"
    )
    return built(root(source), script, texts(source, wanted or version(source)))


def build_for(processor: Processor, source: Path) -> Path:
    """A directory with the packages that a foreign processor has of its own, `*.deb`."""
    # -d: Build-Depends are those of a build on the processor itself.
    script = f"{BUILD} -B -d --host-arch={processor.debian}"
    return built(root(source, processor), script, texts(source, version(source)))


def built(own: image.Root, script: str, files: Mapping[str, str]) -> Path:
    """What `script` makes of the source package that consists of `files`."""

    def make(path: Path) -> None:
        for name, text in files.items():
            target = path / "source" / name
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_text(text, encoding="utf-8")
        (path / "source/debian/rules").chmod(0o755)
        with step("building the Debian packages", "30 s"):
            run_logged(
                debian.inside(own.tree, ["sh", "-c", script], binds={path: "/build"}),
                cache.root() / "packages.log",
                "dpkg-buildpackage",
            )
        cache.discard(path / "source")

    return cache.artefact("packages", [own.path.name, dict(files)], make)


def unpacked(source: Path, wanted: str = "") -> Path:
    """A directory with the files of rtshm-dkms."""
    packages = build(source, wanted)

    def make(path: Path) -> None:
        (deb,) = packages.glob("rtshm-dkms_*.deb")
        script = 'dpkg-deb -x "/build/$1" /mnt'
        inside(root(), ["sh", "-c", script, "sh", deb.name], {packages: "/build", path: "/mnt"})

    return cache.artefact("unpacked", [packages.name], make)


def dkms(source: Path, kernel: Kernel, place: Path) -> Path:
    """What DKMS builds in `place` for a kernel that does not run: `log` and `module`."""
    files = image.files(TABLE, kernel)
    (place / "dkms").mkdir()
    (place / "bin").mkdir()
    # Of another suite than the kernel's, maybe: a script, which runs in any.
    script = install_root().tree / "usr/sbin/dkms"
    (place / "bin/dkms").write_bytes(script.read_bytes())
    number = version(source)
    arch = kernel.processor.triplet.partition("-")[0]
    # On a machine of the kernel's processor make needs no variables.
    command = ["env", *files.variables, "bash", "/build/bin/dkms", "build", "-a", arch]
    command += ["--dkmstree", "/build/dkms", "--sourcetree", "/mnt"]
    command += ["-m", "rtshm", "-v", number, "-k", files.release]
    inside(files, command, {unpacked(source) / "usr/src": "/mnt", place: "/build"})
    return place / f"dkms/rtshm/{number}/{files.release}/{arch}"


def inside(own: image.Root | image.Files, command: Sequence[str], binds: Mapping[Path, str]) -> str:
    """What `command` prints in a root; a HarnessError with it if the command fails."""
    done = subprocess.run(
        debian.inside(own.tree, command, binds=binds),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    if done.returncode:
        raise HarnessError(f"{done.stdout}\n{command[0]}: status {done.returncode}")
    return done.stdout


def compiled(source: Path) -> Path:
    """A directory of ccache's with all that DKMS compiles in the guest."""
    release = image.files(TABLE, TABLE[""]).release
    versions = (version(source), newer(source))
    return objects(install_root(), release, source, versions, headers())


def objects(
    own: image.Root,
    release: str,
    source: Path,
    versions: Sequence[str],
    headers: Mapping[Path, str] | None = None,
) -> Path:
    """A directory of ccache's with all that DKMS compiles for the kernel `release`.

    A guest under emulation takes a quarter of an hour to compile the module. In its place
    ccache gives what was compiled here, from the same files by the same compiler; the rest
    of a build runs there as it would anywhere. `headers` are bound into the root.
    """
    binds = dict(headers or {})
    sources = {
        name: text
        for name, text in texts(source, version(source)).items()
        if name.startswith(SOURCES)
    }

    def make(path: Path) -> None:
        trees = {name: unpacked(source, name) for name in versions}
        (path / "dkms").mkdir()
        (path / "cache").mkdir()
        places = {path / "cache": "/build", path / "dkms": DKMS_TREE, **binds}
        with step("compiling the module for ccache", "1 minute"):
            for name, tree in trees.items():
                script = (
                    "export CCACHE_DIR=/build DEBIAN_KERNEL_USE_CCACHE=1; "
                    f"exec dkms build --sourcetree /mnt -m rtshm -v {name} -k {release}"
                )
                inside(own, ["sh", "-c", script], {**places, tree / "usr/src": "/mnt"})
        cache.discard(path / "dkms")

    headers_of = [str(path) for path in binds]
    parts = [own.path.name, own.path.parent.name, headers_of, release, versions, sources]
    return cache.artefact("ccache", parts, make) / "cache"


def program(source: Path) -> bytes:
    """PROGRAM, linked statically: the guest has no libraries of 32 bits."""
    own = root()
    tree = unpacked(source)
    names = (str(PROGRAM), STREAMS)
    texts = {name: (source / name).read_text(encoding="utf-8") for name in names}

    def make(path: Path) -> None:
        programs.write(path, texts)
        command = ["gcc", "-m32", "-static", "-O2", "-Wall", "-Werror", "-I/mnt"]
        command += ["-o", "/build/client", f"/build/{PROGRAM}"]
        inside(own, command, {path: "/build", tree / "usr/include": "/mnt"})

    made = cache.artefact("client32", [own.path.name, tree.name, texts], make)
    return (made / "client").read_bytes()


def for_guest(source: Path) -> dict[str, bytes]:
    """What tests/install needs, by its place in the guest's checkout."""
    found = {f"{FOLDER}/client32": program(source)}
    for wanted in (version(source), newer(source)):
        for deb in build(source, wanted).glob("*.deb"):
            found[f"{FOLDER}/{deb.name}"] = deb.read_bytes()
    objects = compiled(source)
    for path in sorted(objects.rglob("*")):
        if path.is_file():
            found[f"{FOLDER}/ccache/{path.relative_to(objects)}"] = path.read_bytes()
    return found


def for_foreign_guest(source: Path, kernel: Kernel) -> dict[str, bytes]:
    """What tests/foreign needs, by its place in the guest's checkout."""
    found = {
        f"{FOLDER}/{package.name}": package.read_bytes()
        for package in build_for(kernel.processor, source).glob("*.deb")
    }
    with tempfile.TemporaryDirectory(prefix="dkms-") as place:
        found[f"{FOLDER}/rtshm.ko"] = (
            dkms(source, kernel, Path(place)) / "module/rtshm.ko"
        ).read_bytes()
    return found
