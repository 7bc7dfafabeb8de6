"""A kernel that takes signed modules only, as one that was started by Secure Boot does.

Of Secure Boot itself this shows nothing: neither the firmware's part nor mokutil's. The
kernel that takes the module has its key from its own build, and not by enrolment.
"""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING

import pytest

from tests.lib import deb, payload
from tests.lib.payload import CHECKOUT, TABLE
from vm.host import image

if TYPE_CHECKING:
    from pathlib import Path

LOCKED = "the kernel is locked down (integrity)"
ENFORCED = "module.sig_enforce is set"
REJECTED = "Loading of unsigned module is rejected"

SCRIPT = """
mount -t securityfs none /sys/kernel/security
insmod {file}
echo "insmod: $?"
rtshm doctor --json --module {file}
echo "doctor: $?"
dmesg
"""

SIGNER = "rtshm test key"
SIGN = f"""
set -e
cd /build
openssl req -new -x509 -newkey rsa:2048 -nodes -subj "/CN={SIGNER}" -keyout key.pem \\
    -outform DER -out cert.der
"$1"/scripts/sign-file sha256 key.pem cert.der rtshm.ko
"""


@pytest.fixture
def signed(tmp_path: Path) -> bytes:
    """The module with a signature of a key that no kernel knows."""
    files = image.files(TABLE, TABLE[""])
    file = tmp_path / "rtshm.ko"
    file.write_bytes(payload.modules(CHECKOUT, TABLE[""])["rtshm.ko"])
    command = ["sh", "-c", SIGN, "sh", files.headers]
    binds = {**deb.headers(), tmp_path: "/build"}
    deb.inside(deb.install_root(), command, binds)
    return file.read_bytes()


def refused(arguments: str, file: str, extra: dict[str, bytes]) -> tuple[dict[str, str], str]:
    """What doctor says of the signature of a module that was refused, and the kernel's log."""
    script = SCRIPT.format(file=file)
    done = payload.run(script, deadline=180, arguments=arguments, extra=extra)
    assert done.outcome.lost is None
    text = done.stdout.decode()
    before, doctor, rest = re.split(r"^(?:insmod|doctor): ", text, flags=re.MULTILINE)
    assert before == ""
    inserted, _, rows = doctor.partition("\n")
    status, _, log = rest.partition("\n")
    assert (inserted, status) == ("1", "4")
    (signed,) = [row for row in json.loads(rows) if row["check"] == "signed"]
    return signed, log


@pytest.mark.promise(
    "install: A locked-down kernel refuses an unsigned module, and doctor says what to do"
)
@pytest.mark.parametrize(
    ("arguments", "why", "said"),
    [
        ("lockdown=integrity module.sig_enforce=1", LOCKED, REJECTED),
        ("lockdown=integrity", LOCKED, "unsigned module loading is restricted"),
        ("module.sig_enforce=1", ENFORCED, REJECTED),
    ],
)
def test_unsigned_module_is_refused_and_doctor_says_what_to_do(
    arguments: str, why: str, said: str
) -> None:
    found, log = refused(arguments, "rtshm.ko", {})
    assert (found["level"], found["text"]) == ("error", f"not signed, and refused: {why}")
    assert found["remedy"].startswith("install it through DKMS")
    assert "mokutil --import /var/lib/dkms/mok.pub" in found["remedy"]
    assert said in log


def test_module_of_an_unknown_key_is_refused_and_doctor_says_whose(signed: bytes) -> None:
    found, log = refused("module.sig_enforce=1", "signed.ko", {"signed.ko": signed})
    assert found["level"] == "error"
    assert found["text"] == (f"signed by {SIGNER}, a key the kernel does not know: {ENFORCED}")
    assert found["remedy"].startswith("sudo mokutil --import")
    assert "Loading of module with unavailable key is rejected" in log


def test_both_are_taken_by_the_kernel_as_it_is_otherwise(signed: bytes) -> None:
    command = "set -e; for file in rtshm.ko signed.ko; do insmod $file; rmmod rtshm; done"
    extra = {"signed.ko": signed}
    outcome = payload.run(command, deadline=180, extra=extra, warm=True).outcome
    assert (outcome.lost, outcome.status) == (None, 0)


SIGNED = TABLE["6.12-signed"]
SIGN_WITH_THE_KERNELS = """
set -e
cd "$1"
scripts/sign-file sha256 certs/signing_key.pem certs/signing_key.x509 /build/rtshm.ko
"""


@pytest.fixture
def known(tmp_path: Path) -> bytes:
    """The module with a signature of the key that SIGNED has."""
    files = image.files(TABLE, SIGNED)
    file = tmp_path / "rtshm.ko"
    file.write_bytes(payload.modules(CHECKOUT, SIGNED)["rtshm.ko"])
    command = ["sh", "-c", SIGN_WITH_THE_KERNELS, "sh", files.headers]
    deb.inside(files, command, {**files.binds, tmp_path: "/build"})
    return file.read_bytes()


@pytest.mark.promise("install: A kernel that knows the key loads the module")
@pytest.mark.more
def test_module_of_a_known_key_is_taken_and_leaves_no_taint_of_its_signature(known: bytes) -> None:
    command = """
        insmod rtshm.ko
        echo "unsigned: $?"
        rtshm doctor --json --module known.ko >doctor.json
        python3 -c '
import json
(row,) = [row for row in json.load(open("doctor.json")) if row["check"] == "signed"]
print("doctor:", row["level"], row["text"])
'
        insmod known.ko
        echo "signed: $?"
        cat /proc/sys/kernel/tainted
        rmmod rtshm
    """
    done = payload.run(
        command,
        kernel=SIGNED.name,
        deadline=180,
        arguments="module.sig_enforce=1",
        extra={"known.ko": known},
    )
    assert done.outcome.lost is None
    # 4096: out of tree, and not 8192, unsigned.
    assert done.stdout.decode().splitlines() == [
        "unsigned: 1",
        "doctor: ok signed by Build time autogenerated kernel key, a key that the kernel knows",
        "signed: 0",
        "4096",
    ]
