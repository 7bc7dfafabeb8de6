"""Permissions: which user may create, change, delete and read which region."""

from __future__ import annotations

import errno
import os
import pickle
import resource
import threading
from functools import partial
from itertools import count
from typing import TYPE_CHECKING, Any

import pytest
from rtshm.control import messages
from rtshm.control.netlink import Link

from tests.lib import genl, module
from tests.lib.child import status_of
from tests.lib.genl import DEL, GET, NEW, SET, Genl, Refused, attrs
from tests.lib.libc import PAGE

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from tests.lib.fixtures import Load

    # What a request came to: 0 and "", or the errno and the words of the refusal.
    Outcome = tuple[int, str]

pytestmark = pytest.mark.same_on_rt

GROUP, STRANGERS = 4242, 4243
USER, OTHER, OUTSIDER = 1001, 1002, 1003
HOUR_NS, SECOND_NS = 3_600_000_000_000, 1_000_000_000
SAMPLE_BYTES = 40

DONE = (0, "")
PRIVILEGE = "this takes CAP_SYS_RESOURCE in the initial user namespace"
MEMBERSHIP = f"this takes CAP_SYS_RESOURCE or group {GROUP} (module parameter group)"
FOREIGN = "name: the region of another user takes CAP_SYS_RESOURCE"
SETTINGS = "print, task-*, cpu-latency-ns: these take CAP_SYS_RESOURCE"
OWNERS = "uid, gid: other than your own they take CAP_SYS_RESOURCE"
INSIDE = {"layout", "counters"}


@pytest.fixture
def delegated(load: Load) -> Load:
    """Loads the module with regions delegated to the group; parameters are quotas."""

    def load_delegated(**quotas: int) -> None:
        load(print=0, period_ns=HOUR_NS, group=GROUP, **quotas)

    return load_delegated


def become(uid: int, groups: Sequence[int] = (GROUP,)) -> None:
    """Be this user, with the group of the same number, and be able to be root again."""
    os.setresgid(uid, uid, 0)
    os.setgroups(list(groups))
    os.setresuid(uid, uid, 0)


def become_root() -> None:
    os.setresuid(0, 0, 0)
    os.setresgid(0, 0, 0)
    os.setgroups([])


def in_child(act: Callable[[], Any]) -> Any:
    """What `act` returns in a child."""
    read, write = os.pipe()

    def run() -> None:
        os.write(write, pickle.dumps(act()))

    with open(read, "rb") as result:
        status = status_of(run)
        os.close(write)
        assert status == 0
        return pickle.loads(result.read())


def by(uid: int, act: Callable[[], Any], groups: Sequence[int] = (GROUP,)) -> Any:
    """What `act` returns in a child of this user and these groups."""

    def run() -> Any:
        become(uid, groups)
        os.setresuid(uid, uid, uid)
        return act()

    return in_child(run)


def outcome(link: Genl, command: int, attributes: bytes) -> Outcome:
    try:
        link.ask(command, attributes)
    except Refused as refusal:
        return refusal.errno or 0, refusal.text
    return DONE


def ask(command: int, **values: int | str) -> Outcome:
    with Genl() as link:
        return outcome(link, command, attrs(**values))


def asks(
    user: int, command: int, groups: Sequence[int] = (GROUP,), /, **values: int | str
) -> Outcome:
    found: Outcome = by(user, lambda: ask(command, **values), groups)
    return found


def names() -> list[str]:
    with Genl() as link:
        return [genl.name_of(message) for message in link.dump()]


def known(payload: bytes) -> dict[str, Any]:
    """What a message says of a region."""
    attributes = genl.walk(payload[4:])
    numbers = {genl.number(name): name for name in (*NAMES, *INSIDE)}
    return {numbers[kind]: value for kind, value in attributes if kind in numbers}


NAMES = ("name", "id", "size", "period-ns", "mode", "uid", "gid", "creator", "users")


def got(link: Genl, **values: int | str) -> dict[str, Any]:
    return known(link.ask(GET, attrs(**values))[0].payload)


# A region of one's own.


@pytest.mark.promise(
    "access: A member of the group creates and changes regions of their own, and no others"
)
def test_member_makes_changes_and_deletes_regions_of_their_own(delegated: Load) -> None:
    delegated()

    def act() -> None:
        with Genl() as link:
            (reply,) = link.ask(NEW, attrs(name="a", layout="speed:f64", period_ns=SECOND_NS))
            made = known(reply.payload)
            assert int.from_bytes(made["creator"], "little") == USER
            assert INSIDE <= set(made)
            node = os.stat("/dev/rtshm/a")
            assert (node.st_mode & 0o7777, node.st_uid, node.st_gid) == (0o600, USER, USER)
            with open("/dev/rtshm/a", "r+b", buffering=0) as state:
                state.write(bytes(8))
            link.ask(SET, attrs(name="a", period_ns=2 * SECOND_NS, history=10))
            assert int.from_bytes(got(link, name="a")["period-ns"], "little") == 2 * SECOND_NS
            link.ask(DEL, attrs(name="a"))

    by(USER, act)
    assert names() == ["default"]


def test_member_may_give_a_group_of_their_own_access(delegated: Load) -> None:
    delegated()
    assert asks(USER, NEW, name="a", mode=0o640, uid=USER, gid=GROUP) == DONE
    node = os.stat("/dev/rtshm/a")
    assert (node.st_mode & 0o7777, node.st_uid, node.st_gid) == (0o640, USER, GROUP)


def test_udev_is_not_told_to_widen_the_access_of_a_members_region(delegated: Load) -> None:
    delegated()
    assert asks(USER, NEW, name="a") == DONE
    with Genl() as link:
        link.ask(NEW, attrs(name="b"))
    event = {name: open(f"/sys/class/rtshm/{name}/uevent").read() for name in ("a", "b")}
    assert "RTSHM_ACCESS=default" not in event["a"]
    assert "RTSHM_ACCESS=default" in event["b"]


@pytest.mark.promise(
    "access: A member of the group creates and changes regions of their own, and no others"
)
def test_member_touches_nobody_elses_region(delegated: Load) -> None:
    delegated()
    assert asks(USER, NEW, name="a") == DONE
    with Genl() as link:
        link.ask(NEW, attrs(name="given", uid=OTHER, gid=GROUP, mode=0o666))
        for name in ("a", "default", "given"):
            assert asks(OTHER, SET, name=name, history=10) == (errno.EPERM, FOREIGN)
            assert asks(OTHER, DEL, name=name) == (errno.EPERM, FOREIGN)
        assert names() == ["default", "a", "given"]
        # The control: with the privilege anybody's, and it stays the member's.
        link.ask(SET, attrs(name="a", history=10))
        assert asks(USER, SET, name="a", history=20) == DONE
        link.ask(DEL, attrs(name="a"))


@pytest.mark.promise(
    "access: A member of the group creates and changes regions of their own, and no others"
)
def test_user_outside_the_group_is_refused(delegated: Load) -> None:
    delegated()
    assert asks(USER, NEW, name="a") == DONE
    refused = (errno.EPERM, MEMBERSHIP)
    for groups in ((), (STRANGERS,)):
        assert asks(OUTSIDER, NEW, groups, name="b") == refused
        # A user who left the group keeps the regions, and cannot touch them.
        assert asks(USER, DEL, groups, name="a") == refused
        assert asks(USER, SET, groups, name="a", history=1) == refused
    assert names() == ["default", "a"]


@pytest.mark.promise(
    "access: A member of the group creates and changes regions of their own, and no others"
)
def test_nothing_is_delegated_unless_the_administrator_does_it(load: Load) -> None:
    load(print=0)
    for groups in ((GROUP,), (0,), (2**32 - 2,)):
        assert asks(USER, NEW, groups, name="a") == (errno.EPERM, PRIVILEGE)


@pytest.mark.parametrize("place", ["before", "after"])
def test_member_in_a_user_namespace_is_none(delegated: Load, place: str) -> None:
    """There one user may be as many as are mapped, and each would have quotas."""
    delegated()

    def act() -> Outcome:
        if place == "before":
            module.unshare(module.CLONE_NEWUSER)
        with Genl() as link:
            if place == "after":
                module.unshare(module.CLONE_NEWUSER)
            return outcome(link, NEW, attrs(name="a"))

    assert by(USER, act) == (errno.EPERM, MEMBERSHIP)


# Capabilities.


@pytest.mark.promise(
    "access: Changing a region takes CAP_SYS_RESOURCE, of opener and sender of the socket"
)
def test_cap_sys_resource_suffices(load: Load) -> None:
    load(print=0)

    def act() -> Outcome:
        for capability in range(32):
            if capability != module.CAP_SYS_RESOURCE:
                module.drop_capability(capability)
        return ask(NEW, name="a", print=1, task_long_max=3, task_budget_ns=1000, uid=USER)

    assert in_child(act) == DONE


def test_lead_takes_cap_sys_nice(delegated: Load) -> None:
    delegated()
    refused = (errno.EPERM, "lead-ns: this takes CAP_SYS_NICE in the initial user namespace")
    assert asks(USER, NEW, name="a", lead_ns=1000) == refused

    def act() -> Outcome:
        module.drop_capability(module.CAP_SYS_NICE)
        return ask(NEW, name="a", lead_ns=1000)

    assert in_child(act) == refused
    assert asks(USER, NEW, name="a", period_ns=SECOND_NS) == DONE
    assert asks(USER, SET, name="a", lead_ns=1000) == refused
    assert ask(SET, name="a", lead_ns=1000) == DONE
    # More often is more of it.
    assert asks(USER, SET, name="a", period_ns=SECOND_NS // 2) == refused
    assert asks(USER, SET, name="a", period_ns=2 * SECOND_NS) == DONE
    assert asks(USER, SET, name="a", lead_ns=0) == DONE


@pytest.mark.needs("cpus")
def test_cpu_outside_the_callers_affinity_takes_cap_sys_nice(delegated: Load) -> None:
    delegated()
    refused = (errno.EPERM, "cpu: outside your own affinity it takes CAP_SYS_NICE")

    def act() -> list[Outcome]:
        os.sched_setaffinity(0, {0})
        return [ask(NEW, name="a", cpu=1), ask(NEW, name="b", cpu=0), ask(SET, name="b", cpu=1)]

    assert by(USER, act) == [refused, DONE, refused]

    def privileged() -> list[Outcome]:
        made = [ask(NEW, name="c", cpu=1)]
        module.drop_capability(module.CAP_SYS_NICE)
        os.sched_setaffinity(0, {0})
        return [*made, ask(NEW, name="d", cpu=1), ask(NEW, name="e", cpu=0)]

    assert in_child(privileged) == [DONE, refused, DONE]


BEYOND: dict[str, tuple[dict[str, int], str]] = {
    "the log": ({"print": 2}, SETTINGS),
    "a budget of tasks": ({"task_budget_ns": 1000}, SETTINGS),
    "when tasks are stopped": ({"task_long_max": 5}, SETTINGS),
    "the idle states of a cpu": ({"cpu_latency_ns": 1000}, SETTINGS),
    "memory of devices": ({"phys": 0x1000000}, "phys: this takes CAP_SYS_RESOURCE"),
    "another owner": ({"uid": OTHER}, OWNERS),
    "root as the owner": ({"uid": 0}, OWNERS),
    "a foreign group": ({"gid": STRANGERS}, OWNERS),
    "root's group": ({"gid": 0}, OWNERS),
}


@pytest.mark.promise("access: Each kind of user may do exactly what the documents say")
@pytest.mark.parametrize("what", BEYOND)
def test_member_is_refused_what_no_quota_bounds(delegated: Load, what: str) -> None:
    delegated()
    values, text = BEYOND[what]
    assert asks(USER, NEW, name="a", **values) == (errno.EPERM, text)
    if "phys" in values:
        return
    assert asks(USER, NEW, name="a") == DONE
    assert asks(USER, SET, name="a", **values) == (errno.EPERM, text)
    if text == SETTINGS:
        # What root gave the region stays, and hinders no other change.
        with Genl() as link:
            link.ask(SET, attrs(name="a", **values))
        assert asks(USER, SET, name="a", history=1, **values) == DONE


def test_thread_of_a_members_region_has_no_priority_that_its_maker_may_not_have(
    delegated: Load,
) -> None:
    delegated()

    def act(name: str, priority: int) -> None:
        resource.setrlimit(resource.RLIMIT_RTPRIO, (priority, priority))
        become(USER)
        assert ask(NEW, name=name) == DONE

    for name, priority, policy in (
        ("a", 0, os.SCHED_OTHER),
        ("b", 49, os.SCHED_OTHER),
        ("c", 50, os.SCHED_FIFO),
    ):
        in_child(partial(act, name, priority))
        assert os.sched_getscheduler(module.thread_of(name) or 0) == policy, name
    assert os.sched_getscheduler(module.thread_of("default") or 0) == os.SCHED_FIFO


# Quotas.


def over(attribute: str, amount: int, used: int, parameter: str, limit: int) -> Outcome:
    text = f"{attribute}: {amount} more: {used} of {parameter}={limit} are used"
    return errno.EDQUOT, text


@pytest.mark.promise("access: A quota holds to the last byte, and is free again when memory is")
def test_quota_of_regions(delegated: Load) -> None:
    delegated(group_regions=2)
    refused = over("name", 1, 2, "group_regions", 2)
    for name in ("a", "b"):
        assert asks(USER, NEW, name=name) == DONE
    assert asks(USER, NEW, name="c") == refused
    # Each user has a quota of their own, and root has none.
    assert asks(OTHER, NEW, name="d") == DONE
    with Genl() as link:
        for name in ("e", "f", "g"):
            link.ask(NEW, attrs(name=name))
    assert asks(USER, DEL, name="a") == DONE
    assert asks(USER, NEW, name="c") == DONE
    assert asks(USER, NEW, name="a") == refused


@pytest.mark.promise("access: A quota holds to the last byte, and is free again when memory is")
def test_quota_counts_a_deleted_region_until_its_last_user_is_gone(delegated: Load) -> None:
    delegated(group_regions=1, group_bytes=2 * PAGE)
    assert asks(USER, NEW, name="a", size=2 * PAGE) == DONE
    fd = os.open("/dev/rtshm/a", os.O_RDWR)
    assert asks(USER, DEL, name="a") == DONE
    assert asks(USER, NEW, name="a") == over("name", 1, 1, "group_regions", 1)
    os.close(fd)
    assert asks(USER, NEW, name="a", size=2 * PAGE) == DONE


def test_refused_region_leaves_the_quota_as_it_was(delegated: Load) -> None:
    delegated(group_regions=1, group_bytes=PAGE, group_ticks_hz=1)
    refused: tuple[dict[str, int | str], ...] = (
        {"size": 2 * PAGE},
        {"history": 1},
        {"period_ns": SECOND_NS // 2},
        {"name": "default"},
    )
    for values in refused:
        asked: dict[str, int | str] = {"name": "a", "period_ns": SECOND_NS, **values}
        assert asks(USER, NEW, **asked) != DONE
    assert asks(USER, NEW, name="a", size=PAGE, period_ns=SECOND_NS) == DONE


@pytest.mark.promise("access: A quota holds to the last byte, and is free again when memory is")
def test_quota_of_bytes(delegated: Load) -> None:
    delegated(group_bytes=4 * PAGE)
    assert asks(USER, NEW, name="a", size=3 * PAGE) == DONE
    assert asks(USER, NEW, name="b", size=2 * PAGE) == over(
        "size", 2 * PAGE, 3 * PAGE, "group_bytes", 4 * PAGE
    )
    assert asks(USER, NEW, name="b", size=PAGE) == DONE
    assert asks(USER, NEW, name="c") == over("size", PAGE, 4 * PAGE, "group_bytes", 4 * PAGE)
    assert asks(USER, DEL, name="a") == DONE
    assert asks(USER, NEW, name="c", size=3 * PAGE) == DONE


@pytest.mark.promise("access: A quota holds to the last byte, and is free again when memory is")
def test_quota_of_bytes_counts_samples(delegated: Load) -> None:
    samples = 2 * PAGE // SAMPLE_BYTES
    beyond = (samples + 1) * SAMPLE_BYTES
    delegated(group_bytes=PAGE + samples * SAMPLE_BYTES)
    limit = PAGE + samples * SAMPLE_BYTES
    assert asks(USER, NEW, name="a", history=samples + 1)[0] == errno.EDQUOT
    assert asks(USER, NEW, name="a", history=samples) == DONE
    assert asks(USER, NEW, name="b") == over("size", PAGE, limit, "group_bytes", limit)
    assert asks(USER, SET, name="a", history=0) == DONE
    assert asks(USER, SET, name="a", history=samples + 1) == over(
        "history", beyond, PAGE, "group_bytes", limit
    )
    # A reader of the old ones keeps them, and they count.
    assert asks(USER, SET, name="a", history=samples) == DONE
    fd = os.open("/dev/rtshm/a.samples", os.O_RDONLY)
    assert asks(USER, SET, name="a", history=0) == DONE
    assert asks(USER, SET, name="a", history=1) == over(
        "history", SAMPLE_BYTES, limit, "group_bytes", limit
    )
    os.close(fd)
    assert asks(USER, SET, name="a", history=samples) == DONE


@pytest.mark.promise("access: A quota holds to the last byte, and is free again when memory is")
def test_quota_of_ticks(delegated: Load) -> None:
    delegated(group_ticks_hz=10)
    assert asks(USER, NEW, name="a", period_ns=SECOND_NS // 8) == DONE
    assert asks(USER, NEW, name="b", period_ns=SECOND_NS // 4) == over(
        "period-ns", 4, 8, "group_ticks_hz", 10
    )
    assert asks(USER, NEW, name="b", period_ns=SECOND_NS // 2) == DONE
    for name, rate_hz, used in (("a", 10, 2), ("b", 4, 8)):
        # Refused whole: the history is not changed, and the old rate counts on.
        period_ns = SECOND_NS // rate_hz
        assert asks(USER, SET, name=name, period_ns=period_ns, history=5) == over(
            "period-ns", rate_hz, used, "group_ticks_hz", 10
        )
        assert not os.path.exists(f"/dev/rtshm/{name}.samples")
    assert asks(USER, SET, name="a", period_ns=SECOND_NS // 4) == DONE
    assert asks(USER, SET, name="b", period_ns=SECOND_NS // 5) == DONE
    assert asks(USER, DEL, name="a") == DONE
    assert asks(USER, NEW, name="a", period_ns=SECOND_NS // 5) == DONE


def test_refused_depth_gives_the_rate_back(delegated: Load) -> None:
    delegated(group_ticks_hz=4, group_bytes=2 * PAGE)
    assert asks(USER, NEW, name="a", period_ns=SECOND_NS) == DONE
    changes = {"period_ns": SECOND_NS // 4, "history": PAGE // SAMPLE_BYTES + 1}
    assert asks(USER, SET, name="a", **changes)[0] == errno.EDQUOT
    assert asks(USER, NEW, name="b", period_ns=SECOND_NS // 2) == DONE
    assert asks(USER, SET, name="b", period_ns=SECOND_NS // 4) == over(
        "period-ns", 4, 1, "group_ticks_hz", 4
    )


def test_limits_of_all_regions_are_a_members_too(load: Load) -> None:
    load(print=0, period_ns=HOUR_NS, group=GROUP, regions_max=2, bytes_max=3 * PAGE)
    assert asks(USER, NEW, name="a", size=3 * PAGE)[0] == errno.ENOSPC
    assert asks(USER, NEW, name="a") == DONE
    assert asks(USER, NEW, name="b")[0] == errno.ENOSPC


@pytest.mark.promise("access: A quota holds to the last byte, and is free again when memory is")
@pytest.mark.parametrize("quota", ["group_regions", "group_bytes", "group_ticks_hz"])
def test_twenty_threads_race_for_the_last_place(delegated: Load, quota: str) -> None:
    places, threads, rounds = 3, 20, 10
    limits = {"group_regions": places, "group_bytes": places * PAGE, "group_ticks_hz": places}
    delegated(**{"group_regions": 100, quota: limits[quota]})

    def act() -> list[int]:
        made = []
        numbers = count()
        links = [Genl() for _ in range(threads)]
        for name in ("x", "y"):
            links[0].ask(NEW, attrs(name=name, period_ns=SECOND_NS))
        for _ in range(rounds):
            gate = threading.Barrier(threads)
            won: list[str] = []

            def race(link: Genl, name: str, gate: threading.Barrier, won: list[str]) -> None:
                gate.wait()
                found, _ = outcome(link, NEW, attrs(name=name, period_ns=SECOND_NS))
                assert found in (0, errno.EDQUOT)
                if not found:
                    won.append(name)

            racers = [
                threading.Thread(target=race, args=(link, f"r{next(numbers)}", gate, won))
                for link in links
            ]
            for racer in racers:
                racer.start()
            for racer in racers:
                racer.join()
            made.append(len(won))
            for name in won:
                links[0].ask(DEL, attrs(name=name))
        return made

    assert by(USER, act) == [1] * rounds


# Sockets that change hands: opened by one, used by another.


@pytest.mark.promise("access: A socket that changes hands passes on no rights")
def test_socket_of_another_user_gives_none_of_their_rights(delegated: Load) -> None:
    delegated()
    assert asks(USER, NEW, name="own") == DONE

    def change_hands(opener: Callable[[], None], sender: Callable[[], None]) -> set[Outcome]:
        def act() -> set[Outcome]:
            opener()
            with Genl() as link:
                become_root()
                sender()
                found = {outcome(link, NEW, attrs(name="a"))}
                found.add(outcome(link, SET, attrs(name="own", history=1)))
                found.add(outcome(link, DEL, attrs(name="default")))
                return found

        result: set[Outcome] = in_child(act)
        return result

    def root() -> None:
        pass

    def member() -> None:
        become(USER)

    def other() -> None:
        become(OTHER)

    def left() -> None:
        become(USER, ())

    def by_program() -> None:
        """As a set-gid program that a user outside the group runs."""
        os.setresgid(USER, GROUP, 0)
        os.setresuid(USER, USER, 0)

    refused = {(errno.EPERM, MEMBERSHIP)}
    for opener, sender in (
        (root, member),
        (member, root),
        (other, member),
        (left, member),
        (member, left),
        (left, by_program),
    ):
        assert change_hands(opener, sender) == refused, (opener.__name__, sender.__name__)
    assert names() == ["default", "own"]
    # The control.
    assert change_hands(member, member) == {DONE, (errno.EPERM, FOREIGN)}


def test_request_with_an_address_is_judged_by_who_sends(load: Load) -> None:
    """As netlink_capable() does: a program that only writes to what it was given gives none."""
    load(print=0)

    def act() -> None:
        become(OTHER)
        with Genl() as link:
            become_root()
            link.socket.sendto(link.message(NEW, attrs(name="a")), (0, 0))
            link.receive()

    in_child(act)
    assert names() == ["default", "a"]


# Looking.


def shown(uid: int, name: str, groups: Sequence[int] = ()) -> set[str]:
    """What is told of a region: by its name, and the same in the list."""

    def act() -> set[str]:
        with Genl() as link:
            one = set(got(link, name=name))
            listed = {genl.name_of(each): set(known(each.payload)) for each in link.dump()}
        assert listed[name] == one
        return one

    found: set[str] = by(uid, act, groups)
    return found


@pytest.mark.promise(
    "access: Layout, counters and tasks are sent only to those who may read the region"
)
def test_layout_and_counters_are_told_to_creator_and_root_only(delegated: Load) -> None:
    delegated()
    assert asks(USER, NEW, name="a", layout="secret:f64") == DONE
    public = set(NAMES)
    assert shown(USER, "a", (GROUP,)) == public | INSIDE
    assert shown(0, "a") == public | INSIDE
    assert shown(OTHER, "a", (GROUP,)) == public
    assert shown(OUTSIDER, "a") == public
    assert shown(USER, "default", (GROUP,)) == public - {"creator"}


@pytest.mark.promise(
    "access: Layout, counters and tasks are sent only to those who may read the region"
)
def test_reader_of_the_node_gets_details_for_its_descriptor(delegated: Load) -> None:
    delegated()
    assert asks(USER, NEW, name="a", layout="secret:f64", mode=0o606) == DONE
    assert asks(USER, NEW, name="b", mode=0o600) == DONE

    def told(path: str, flags: int, name: str = "a") -> bool:
        fd = os.open(path, flags)
        with Genl() as link:
            found = set(got(link, name=name, fd=fd))
        os.close(fd)
        assert found & INSIDE in (set(), INSIDE)
        return bool(found & INSIDE)

    def act() -> list[bool]:
        node = "/dev/rtshm/a"
        with pytest.raises(PermissionError):
            os.open("/dev/rtshm/b", os.O_RDONLY)
        return [
            told(node, os.O_RDONLY),
            told(node, os.O_RDWR),
            told(node, os.O_WRONLY),
            told(node, os.O_PATH),
            told(node, os.O_RDONLY, "b"),
            told("/dev/null", os.O_RDONLY),
        ]

    assert by(OUTSIDER, act, ()) == [True, True, False, False, False, False]

    def closed() -> bool:
        with Genl() as link:
            return any(INSIDE & set(got(link, name="a", fd=fd)) for fd in (999, 2**32 - 1))

    assert by(OUTSIDER, closed, ()) is False

    def deleted_and_made_again() -> bool:
        fd = os.open("/dev/rtshm/a", os.O_RDONLY)
        become_root()
        assert ask(DEL, name="a") == DONE
        assert ask(NEW, name="a") == DONE
        become(OUTSIDER, ())
        with Genl() as link:
            return bool(INSIDE & set(got(link, name="a", fd=fd)))

    def as_outsider() -> bool:
        become(OUTSIDER, ())
        return deleted_and_made_again()

    assert in_child(as_outsider) is False


@pytest.mark.promise("access: A socket that changes hands passes on no rights")
def test_socket_of_another_user_receives_none_of_their_details(delegated: Load) -> None:
    delegated()
    assert asks(USER, NEW, name="a", mode=0o604) == DONE

    def told(opener: int, sender: int, with_fd: bool = False) -> bool:
        def act() -> bool:
            become(opener)
            with Genl() as link:
                become_root()
                become(sender)
                values = {"fd": os.open("/dev/rtshm/a", os.O_RDONLY)} if with_fd else {}
                one = INSIDE & set(got(link, name="a", **values))
                listed = {genl.name_of(each): set(known(each.payload)) for each in link.dump()}
            assert with_fd or INSIDE & listed["a"] == one
            return bool(one)

        found: bool = in_child(act)
        return found

    assert told(USER, USER) and told(0, 0)
    assert not told(0, OTHER)
    assert not told(OTHER, 0)
    assert not told(USER, OTHER)
    assert told(OTHER, OTHER, with_fd=True)
    assert not told(USER, OTHER, with_fd=True)


@pytest.mark.promise("access: A socket that changes hands passes on no rights")
def test_rest_of_a_dump_is_told_to_who_reads_it(delegated: Load) -> None:
    delegated()
    with Genl() as link:
        for number in range(100):
            link.ask(NEW, attrs(name=f"r{number:02}", period_ns=HOUR_NS))

    def act() -> list[bool]:
        with Genl() as link:
            link.send(link.message(GET, flags=genl.NLM_F_DUMP))
            become(OTHER)
            told: list[bool] = []
            while True:
                for message in link.receive():
                    if message.kind == genl.NLMSG_DONE:
                        return told
                    told.append(bool(INSIDE & set(known(message.payload))))

    told: list[bool] = in_child(act)
    assert len(told) == 101
    # The kernel makes the next part when one is read.
    assert told[0]
    assert not told[-1]


@pytest.mark.promise(
    "access: Layout, counters and tasks are sent only to those who may read the region"
)
def test_notifications_are_as_for_everybody_but_for_the_group_details(delegated: Load) -> None:
    delegated()

    def listen(group: str) -> set[str]:
        link = Link()
        link.join(link.find("rtshm"), group)
        become_root()
        assert ask(NEW, name="a", layout="secret:f64") == DONE
        (event,) = link.receive() or []
        return set(messages.decode(event)[1])

    def outsider() -> set[str]:
        become(OUTSIDER, ())
        with pytest.raises(PermissionError):
            Link().join(Link().find("rtshm"), "details")
        return listen("regions")

    public = in_child(outsider)
    assert {"name", "id", "period_ns"} <= public
    assert not INSIDE & public
    assert ask(DEL, name="a") == DONE
    assert in_child(lambda: listen("details")) == public | INSIDE


# Dumps that nobody reads.


@pytest.mark.promise("robustness: The module can be unloaded while requests are in flight")
def test_unread_dump_of_few_regions_does_not_keep_the_module(load: Load) -> None:
    load(print=0)
    with Genl() as link:
        link.send(link.message(GET, flags=genl.NLM_F_DUMP))
        module.unload()
        assert genl.name_of(link.receive()[0]) == "default"


@pytest.mark.promise("robustness: The module can be unloaded while requests are in flight")
def test_unread_dump_of_many_regions_keeps_the_module_until_its_socket_closes(
    load: Load,
) -> None:
    load(print=0)
    with Genl() as link:
        for number in range(100):
            link.ask(NEW, attrs(name=f"r{number:02}", period_ns=HOUR_NS))
        link.send(link.message(GET, flags=genl.NLM_F_DUMP))
        with pytest.raises(BlockingIOError):
            module.unload()
    module.unload()
