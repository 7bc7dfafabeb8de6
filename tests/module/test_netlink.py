"""The control plane as the kernel offers it: who may, what is refused, with which words."""

from __future__ import annotations

import errno
import os
import re
import struct
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.lib import genl, module
from tests.lib.child import killed, status_of
from tests.lib.genl import DEL, GET, NEW, SET, Genl, Refused, attr, attrs, raw
from tests.lib.kmsg import KernelLog
from tests.lib.libc import PAGE

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.lib.fixtures import Load

pytestmark = pytest.mark.same_on_rt

PERIODS = "give 100000 (module parameter period_min_ns) to 3600000000000"
SIZES = f"size: give {PAGE} to 1073741824 bytes, a multiple of {PAGE}"
RECORDS = "record-bytes: give a multiple of 8, at most 4096 and the size"
NAMES = "name: give [a-z0-9][a-z0-9_-]*, at most 31 characters"
PRIVILEGE = "this takes CAP_SYS_RESOURCE in the initial user namespace"


def names(link: Genl) -> list[str]:
    return [genl.name_of(message) for message in link.dump()]


def refused(link: Genl, command: int, attributes: bytes) -> tuple[int, str]:
    """The errno and the words of a refusal; it must be one, and change nothing."""
    before = names(link)
    with pytest.raises(Refused) as caught:
        link.ask(command, attributes)
    assert names(link) == before
    return caught.value.errno or 0, caught.value.text


CPUS = os.sysconf("SC_NPROCESSORS_CONF")

# What NEW is asked, and what it answers.
REFUSED = [
    (b"", errno.EINVAL, "name: missing"),
    (attrs(name=""), errno.EINVAL, NAMES),
    (attrs(name="a" * 32), errno.EINVAL, NAMES),
    (attrs(name="../a"), errno.EINVAL, NAMES),
    (attrs(name=b"a\0b\0"), errno.EINVAL, NAMES),
    (attrs(name="default"), errno.EEXIST, "name: a region with this name already exists"),
    (attrs(name="a", size=0), errno.ERANGE, SIZES),
    (attrs(name="a", size=PAGE - 1), errno.ERANGE, SIZES),
    (attrs(name="a", size=PAGE + 1), errno.EINVAL, SIZES),
    (attrs(name="a", size=2**30 + PAGE), errno.ERANGE, SIZES),
    (attrs(name="a", size=2**64 - PAGE), errno.ERANGE, SIZES),
    (attrs(name="a", period_ns=1), errno.ERANGE, f"period-ns: {PERIODS}"),
    (attrs(name="a", period_ns=99_999), errno.ERANGE, f"period-ns: {PERIODS}"),
    (attrs(name="a", period_ns=3_600_000_000_001), errno.ERANGE, f"period-ns: {PERIODS}"),
    (attrs(name="a", period_ns=2**63), errno.ERANGE, f"period-ns: {PERIODS}"),
    (attrs(name="a", period_ns=2**64 - 1), errno.ERANGE, f"period-ns: {PERIODS}"),
    (
        attrs(name="a", print=3),
        errno.EINVAL,
        "print: give 0 (off), 1 (every-tick) or 2 (changes)",
    ),
    (
        attrs(name="a", history=65_537),
        errno.ERANGE,
        "history: give at most 65536 (module parameter history_max)",
    ),
    (attrs(name="a", record_bytes=0), errno.EINVAL, RECORDS),
    (attrs(name="a", record_bytes=12), errno.EINVAL, RECORDS),
    (attrs(name="a", record_bytes=4104, size=2 * PAGE), errno.EINVAL, RECORDS),
    (attrs(name="a", layout="x" * 1024), errno.ERANGE, "layout: give at most 1023 bytes"),
    (attrs(name="a", layout=b"x\0y\0"), errno.EINVAL, "layout: bytes after the terminating NUL"),
    (attrs(name="a", mode=0o1000), errno.EINVAL, "mode: give at most 0777"),
    (attrs(name="a", uid=2**32 - 1), errno.EINVAL, "uid: give at most 4294967294"),
    (attrs(name="a", gid=2**32 - 1), errno.EINVAL, "gid: give at most 4294967294"),
    (
        attrs(name="a", cpu=CPUS),
        errno.ENODEV,
        "cpu: not online",
    ),
    (attrs(name="a", cpu=2**32 - 1), errno.ENODEV, "cpu: not online"),
]


@pytest.mark.promise(
    "regions: A refused request changes nothing, names attribute and limit, and logs nothing"
)
def test_new_is_refused_with_the_errno_and_the_limit(link: Genl) -> None:
    with KernelLog(new_only=True, prefix="") as everything:
        for attributes, code, text in REFUSED:
            assert refused(link, NEW, attributes) == (code, text), attributes
        assert [line.text for line in everything.lines(0)] == []


def test_refusals_at_the_same_time_have_their_own_words(link: Genl) -> None:
    """Of two processes, however they alternate."""

    def ask(attributes: bytes, text: str, count: int = 1000) -> None:
        with Genl() as own:
            for _ in range(count):
                with pytest.raises(Refused) as caught:
                    own.ask(NEW, attributes)
                assert caught.value.text == text

    with killed(lambda: ask(attrs(name="a", size=0), SIZES, 10**9)):
        assert status_of(lambda: ask(attrs(name=""), NAMES)) == 0


def test_missing_file_is_refused(link: Genl) -> None:
    missing = (errno.ENOENT, "name: no such region")
    for command in (GET, DEL, SET):
        assert refused(link, command, attrs(name="a")) == missing
        assert refused(link, command, b"") == (errno.EINVAL, "name: missing")


@pytest.mark.promise(
    "regions: A refused request changes nothing, names attribute and limit, and logs nothing"
)
def test_set_is_refused_whole(link: Genl) -> None:
    """What comes with the refused attribute, and would be right by itself, is not changed."""
    too_long = "history: give at most 65536 (module parameter history_max)"
    good = attrs(name="default", period_ns=1_000_000_000, print=2, history=7, record_bytes=16)
    before = settings(link, "default")
    for attributes, code, text in (
        (attrs(period_ns=99_999), errno.ERANGE, f"period-ns: {PERIODS}"),
        (attrs(period_ns=2**64 - 1), errno.ERANGE, f"period-ns: {PERIODS}"),
        (attrs(print=255), errno.EINVAL, "print: give 0 (off), 1 (every-tick) or 2 (changes)"),
        (attrs(history=2**32 - 1), errno.ERANGE, too_long),
        (attrs(record_bytes=4104), errno.EINVAL, RECORDS),
    ):
        # The later attribute of a kind counts.
        assert refused(link, SET, good + attributes) == (code, text)
        assert settings(link, "default") == before
    link.ask(SET, good)
    assert settings(link, "default") == (1_000_000_000, 2, 7, 16)


def settings(link: Genl, name: str) -> tuple[int, ...]:
    found = dict(genl.walk(link.ask(GET, attrs(name=name))[0].payload[4:]))
    kinds = ("period-ns", "print", "history", "record-bytes")
    return tuple(int.from_bytes(found[genl.number(kind)], "little") for kind in kinds)


LIMITS = {
    "regions_max": (
        {"regions_max": 3},
        "name: at most 3 regions (module parameter regions_max)",
    ),
    "bytes_max": (
        {"bytes_max": 3 * PAGE},
        f"size: all regions may have {3 * PAGE} bytes (parameter bytes_max)",
    ),
    "rate_max_hz": (
        # The default region's 2, and 2 of each other one.
        {"rate_max_hz": 7},
        "period-ns: all regions: at most 7 ticks/s (parameter rate_max_hz)",
    ),
}


@pytest.mark.promise(
    "limits: At a limit a request is refused without a warning and without killing a process"
)
@pytest.mark.parametrize("limit", LIMITS)
def test_limit_on_all_regions_together(load: Load, limit: str) -> None:
    parameters, text = LIMITS[limit]
    load(print=0, **parameters)
    with Genl() as link:
        for name in ("a", "b"):
            link.ask(NEW, attrs(name=name))
        assert refused(link, NEW, attrs(name="c")) == (errno.ENOSPC, text)
        # What one gives back, another may have.
        link.ask(DEL, attrs(name="default"))
        link.ask(NEW, attrs(name="c"))
        assert names(link) == ["a", "b", "c"]


def test_a_change_counts_against_the_rates_of_the_others(load: Load) -> None:
    load(print=0, rate_max_hz=12)
    with Genl() as link:
        link.ask(NEW, attrs(name="a", period_ns=100_000_000))
        code, text = refused(link, SET, attrs(name="default", period_ns=300_000_000))
        assert (code, text[:10]) == (errno.ENOSPC, "period-ns:")
        # Its own rate before is no longer counted.
        link.ask(SET, attrs(name="a", period_ns=125_000_000))
        link.ask(SET, attrs(name="default", period_ns=300_000_000))


def test_bytes_of_a_deleted_region_count_until_its_last_user_is_gone(load: Load) -> None:
    load(print=0, bytes_max=3 * PAGE)
    with Genl() as link:
        link.ask(NEW, attrs(name="a", size=2 * PAGE))
        fd = os.open("/dev/rtshm/a", os.O_RDWR)
        link.ask(DEL, attrs(name="a"))
        assert refused(link, NEW, attrs(name="b", size=2 * PAGE))[0] == errno.ENOSPC
        os.close(fd)
        link.ask(NEW, attrs(name="b", size=2 * PAGE))


@pytest.mark.promise(
    "limits: At a limit a request is refused without a warning and without killing a process"
)
@pytest.mark.needs("small")
def test_memory_that_is_not_there_is_refused(link: Genl) -> None:
    size = (module.meminfo("MemTotal") + module.meminfo("MemAvailable")) // 2 // PAGE * PAGE
    assert size <= 2**30, "this test needs a guest of 1 GiB or less"
    assert refused(link, NEW, attrs(name="a", size=size)) == (
        errno.ENOMEM,
        "size: not enough free memory",
    )


# The kernel's parser refuses these, before the family sees them.
MALFORMED = {
    "name without its NUL": raw(genl.number("name"), b"default"),
    "name of no byte": raw(genl.number("name"), b""),
    "size of 4 bytes": attrs(name="a") + raw(genl.number("size"), b"\0\x10\0\0"),
    "size of 12 bytes": attrs(name="a") + raw(genl.number("size"), struct.pack("=QI", PAGE, 0)),
    "size of no byte": attrs(name="a") + raw(genl.number("size"), b""),
    "print of 4 bytes": attrs(name="a") + raw(genl.number("print"), b"\0\0\0\0"),
    "attribute of no operation": attrs(name="a") + raw(60, b"\0\0\0\0"),
    "attribute of replies only": attrs(name="a") + attr("id", 7),
    "attribute 0": attrs(name="a") + raw(0, b"\0\0\0\0"),
    "flagged as nested": attrs(name="a")
    + raw(genl.number("mode") | genl.NLA_F_NESTED, b"\0\0\0\0"),
    "nest of counters": attrs(name="a") + raw(genl.number("counters"), attr("id", 1)),
    "longer than the message": attrs(name="a") + raw(genl.number("mode"), b"\0\0\0\0", length=400),
    "shorter than its header": attrs(name="a") + raw(genl.number("mode"), b"\0\0\0\0", length=2),
    "bytes after the last": attrs(name="a") + b"\1\2\3",
}


@pytest.fixture
def malformed() -> Iterator[None]:
    """The name under which the kernel's parser logs a number of the wrong width: it does so
    for every family, and tests/lib/payload.py allows it for this name only."""
    comm = Path("/proc/self/comm")
    name = comm.read_text().strip()
    comm.write_text("malformed")
    yield
    comm.write_text(name)


@pytest.mark.promise("robustness: Whatever a request contains, the answer is a known errno")
@pytest.mark.parametrize("command", [NEW, SET])
@pytest.mark.usefixtures("malformed")
def test_malformed_attribute_is_refused(link: Genl, log: KernelLog, command: int) -> None:
    for what, new in MALFORMED.items():
        attributes = new.replace(attrs(name="a"), attrs(name="default"), command == SET)
        code, text = refused(link, command, attributes)
        assert code in (errno.EINVAL, errno.ERANGE), what
        assert text, f"{what}: no word of the parser's"
    assert [line.text for line in log.lines(0)] == []


def test_of_an_attribute_given_twice_the_later_counts(link: Genl) -> None:
    link.ask(NEW, attrs(name="a", mode=0o600) + attrs(mode=0o640, name="b"))
    assert names(link) == ["default", "b"]
    assert os.stat("/dev/rtshm/b").st_mode & 0o7777 == 0o640


@pytest.mark.promise("robustness: Whatever a request contains, the answer is a known errno")
def test_unknown_command_is_refused(link: Genl) -> None:
    for command in (0, genl.NUMBERS["RTSHM_CMD_REGION_NEW_NTF"], 200):
        assert refused(link, command, attrs(name="default"))[0] == errno.EOPNOTSUPP


# Of all names tests/host/test_arithmetic.py judges the function that looks at them.
NAMED = ["a", "0", "a-b_c", "z" * 31, "dead.beef", "..", ".", "a/b", "/a", "a b", "A", "-a", "_a"]
NAMED += ["", "z" * 32, "z" * 200, "a\n", "\t", "caf\xe9", "\x7f", "%s", "a\\b", "*", "a" * 30]


@pytest.mark.promise("regions: A name matches [a-z0-9][a-z0-9_-]{0,30} and belongs to one region")
def test_accepted_names_are_those_of_the_pattern_and_leave_nothing_else(link: Genl) -> None:
    before = module.traces()
    accepted = []
    for name in NAMED:
        try:
            link.ask(NEW, attrs(name=name.encode("latin-1") + b"\0", period_ns=3_600_000_000_000))
        except Refused as refusal:
            assert refusal.errno == errno.EINVAL, name
        else:
            accepted.append(name)
    assert accepted == [name for name in NAMED if re.fullmatch("[a-z0-9][a-z0-9_-]{0,30}", name)]
    assert sorted(os.listdir("/dev/rtshm")) == sorted(["default", *accepted])
    assert sorted(os.listdir("/sys/class/rtshm")) == sorted(["default", *accepted])
    for name in accepted:
        link.ask(DEL, attrs(name=name))
    assert module.traces() == before


def drop_capabilities() -> None:
    os.setresgid(65534, 65534, 65534)
    os.setgroups([])
    os.setresuid(65534, 65534, 65534)


CONTEXTS: dict[str, Callable[[], None]] = {
    "root": lambda: None,
    "nobody": drop_capabilities,
    "root without CAP_NET_ADMIN": lambda: module.drop_capability(module.CAP_NET_ADMIN),
    "root without CAP_SYS_RESOURCE": lambda: module.drop_capability(module.CAP_SYS_RESOURCE),
    "root of a user namespace": lambda: module.unshare(module.CLONE_NEWUSER),
    "root of a network namespace": lambda: module.unshare(module.CLONE_NEWNET),
    "root of both": lambda: module.unshare(module.CLONE_NEWUSER | module.CLONE_NEWNET),
}

OPERATIONS = {
    "get": (GET, attrs(name="default"), genl.NLM_F_ACK),
    "dump": (GET, b"", genl.NLM_F_DUMP),
    "new": (NEW, attrs(name="a"), genl.NLM_F_ACK),
    "set": (SET, attrs(name="default", print=0), genl.NLM_F_ACK),
    "del": (DEL, attrs(name="default"), genl.NLM_F_ACK),
}


def outcome(context: str, operation: str) -> int:
    """What the operation says in a child in this context: 0 or an errno."""
    command, attributes, flags = OPERATIONS[operation]

    def act() -> int:
        CONTEXTS[context]()
        try:
            with Genl() as link:
                link.ask(command, attributes, flags)
        except Refused as refusal:
            if refusal.errno == errno.EPERM:
                assert refusal.text == PRIVILEGE
            return refusal.errno or 255
        return 0

    return status_of(act)


@pytest.mark.promise(
    "access: Changing a region takes CAP_SYS_RESOURCE, of opener and sender of the socket"
)
@pytest.mark.parametrize("context", CONTEXTS)
def test_permissions_of_each_kind_of_user(link: Genl, context: str) -> None:
    for operation in OPERATIONS:
        looks = operation in ("get", "dump")
        if "network" in context or "both" in context:
            # Regions are the machine's: in any other network namespace there is no such family.
            expected = errno.ENOENT
        elif context in ("root", "root without CAP_NET_ADMIN") or looks:
            expected = 0
        else:
            expected = errno.EPERM
        before = names(link)
        assert outcome(context, operation) == expected, operation
        if expected or looks:
            assert names(link) == before


@pytest.mark.promise(
    "access: Changing a region takes CAP_SYS_RESOURCE, of opener and sender of the socket"
)
def test_socket_of_root_in_the_hands_of_nobody_changes_nothing(link: Genl) -> None:
    """As with any netlink socket both count: who opened it, and who sends."""

    def act() -> int:
        drop_capabilities()
        try:
            link.ask(NEW, attrs(name="a"))
        except Refused as refusal:
            return refusal.errno or 255
        return 0

    assert status_of(act) == errno.EPERM
    assert names(link) == ["default"]


@pytest.mark.promise(
    "regions: A refused request changes nothing, names attribute and limit, and logs nothing"
)
def test_bad_requests_leave_no_line_in_the_log(link: Genl) -> None:
    bad = [
        link.message(NEW, attrs(name="default")),
        link.message(NEW, attrs(name="a", size=1)),
        link.message(SET, attrs(name="default", period_ns=1)),
        link.message(DEL, attrs(name="nothing")),
        link.message(250),
    ]
    with KernelLog(new_only=True, prefix="") as everything:
        for _ in range(100):
            for message in bad:
                link.send(message)
                (answer,) = link.receive()
                assert answer.kind == genl.NLMSG_ERROR
        assert [line.text for line in everything.lines(0)] == []
