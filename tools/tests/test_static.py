"""The static checks find what they are for: each is shown a violation, and names its line."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest

from tests.lib import copies, payload
from tests.lib.payload import CHECKOUT, TABLE
from tools import lint, static
from vm.host.errors import HarnessError

if TYPE_CHECKING:
    from pathlib import Path

    from vm.host import kernels

# Debian's that can; with others the headers are the kernel's own.
UNUSED = [
    kernel
    for kernel in TABLE.kernels.values()
    if static.version(kernel) >= static.UNUSED_SINCE and not kernel.own
]

TAKE = "\tseen->bits = rtshm_load(rtshm_word(region));\n"
ANY_COPY = "\tmemcpy(seen, region->mem, sizeof(*seen));\n"
# In the place of the load of the word in rtshm_take(): one violation a line.
TOUCHES = {
    "load": "\tseen->bits = *rtshm_word(region);\n",
    "store": "\t*rtshm_word(region) = 0;\n",
    "cast": "\tseen->bits = *(u64 *)rtshm_word(region);\n",
    "memcpy": ANY_COPY,
    "struct assignment": "\tseen->word = *(struct rtshm_word __shm *)region->mem;\n",
    "member": "\tseen->word.ready = ((struct rtshm_word __shm *)region->mem)->ready;\n",
}

# What each rule is shown: where, and what goes there.
RULES = {
    "free/kfree.cocci": (
        "kmod/samples.c",
        "\tkfree(reader);\n\treturn 0;\n",
        "\tkfree(reader);\n\treader->next = 0;\n\treturn 0;\n",
        "reference preceded by free",
    ),
    "locks/double_lock.cocci": (
        "kmod/samples.c",
        "\tmutex_unlock(&reader->copying);\n",
        "\tmutex_lock(&rtshm_regions_lock);\n\tmutex_lock(&rtshm_regions_lock);\n",
        "second lock",
    ),
    "locks/mini_lock.cocci": (
        "kmod/samples.c",
        "\tmutex_unlock(&reader->copying);\n",
        "\tmutex_unlock(&reader->copying);\n\tmutex_lock(&rtshm_regions_lock);\n"
        "\tif (done < 0)\n\t\treturn done;\n\tmutex_unlock(&rtshm_regions_lock);\n",
        "preceding lock",
    ),
    "null/deref_null.cocci": (
        "kmod/region.c",
        "\tif (!node)\n\t\treturn ERR_PTR(-ENOMEM);\n",
        "\tif (!node)\n\t\treturn ERR_PTR(-node->mode);\n",
        "node is NULL but dereferenced",
    ),
    "misc/returnvar.cocci": (
        "kmod/state_dev.c",
        "\tatomic_dec(&region->users);\n\treturn 0;\n",
        "\tint err = 0;\n\n\tatomic_dec(&region->users);\n\treturn err;\n",
        "Unneeded variable",
    ),
}


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    """A checkout with what kbuild builds and nothing else."""
    return copies.make(tmp_path, payload.tree(CHECKOUT).files())


def replace(path: Path, old: str, new: str) -> None:
    text = path.read_text()
    assert text.count(old) == 1, f"{path.name} has not once: {old!r}"
    path.write_text(text.replace(old, new))


def alone(name: str) -> str:
    """kbuild's variable that leaves a module of one object: the compiler is to refuse it."""
    return f"rtshm-y=kmod/{name}.o"


@pytest.mark.promise(
    "robustness: Static analysis finds each seeded violation and nothing in the module"
)
def test_touching_region_memory_past_its_accessors_is_an_error(copy: Path) -> None:
    path = copy / "kmod/tick.c"
    replace(path, TAKE, "".join(TOUCHES.values()))
    with pytest.raises(HarnessError) as raised:
        payload.modules(copy, TABLE[""], variables=[*lint.SPARSE, alone("tick")])
    first = path.read_text().split(ANY_COPY)[0].count("\n") + 1 - list(TOUCHES).index("memcpy")
    lines = raised.value.args[0].splitlines()
    for number, name in enumerate(TOUCHES, first):
        said = "\n".join(line for line in lines if line.startswith(f"kmod/tick.c:{number}:"))
        assert re.search(r": error: .*(noderef|address space)", said), (name, lines)


@pytest.mark.promise(
    "robustness: Static analysis finds each seeded violation and nothing in the module"
)
def test_warning_of_clang_only_fails_the_build(copy: Path) -> None:
    path = copy / "kmod/ring.c"
    old = "\treturn min(behind, ring->depth - begin);\n"
    # The kernel switches off what gcc says to this, it being wrong too often.
    new = "\tu32 straight;\n\n\tif (begin)\n\t\tstraight = ring->depth - begin;\n"
    replace(path, old, new + "\treturn min(behind, straight);\n")
    kernel = TABLE[""]
    variables = [*lint.WARNINGS, *static.CLANG, alone("ring")]
    with pytest.raises(HarnessError, match=r"kmod/ring\.c:\d+.*'straight'.*uninitialized"):
        payload.modules(copy, kernel, variables=variables, files=static.headers(kernel))


@pytest.mark.promise(
    "robustness: Static analysis finds each seeded violation and nothing in the module"
)
@pytest.mark.more
@pytest.mark.parametrize("kernel", UNUSED, ids=lambda kernel: kernel.name)
def test_trace_event_that_nobody_emits_fails_the_build(copy: Path, kernel: kernels.Kernel) -> None:
    files = static.with_tracepoint_update(kernel)
    variables = [*lint.WARNINGS, *static.UNUSED]
    payload.modules(copy, kernel, variables=variables, files=files)
    path = copy / "kmod/tick.c"
    text = path.read_text()
    (call,) = re.findall(r"\ttrace_rtshm_tick\([^;]*;\n", text)
    path.write_text(text.replace(call, ""))
    with pytest.raises(HarnessError, match="unused tracepoints"):
        payload.modules(copy, kernel, variables=variables, files=files)


def test_coccinelle_understands_the_source() -> None:
    # In main.c it is a macro that makes several definitions; no rule looks into one.
    assert static.unparsed(CHECKOUT).keys() <= {"kmod/main.c"}


@pytest.mark.promise(
    "robustness: Static analysis finds each seeded violation and nothing in the module"
)
@pytest.mark.parametrize("rule", RULES)
def test_coccinelle_finds_a_violation(copy: Path, rule: str) -> None:
    name, old, new, words = RULES[rule]
    replace(copy / name, old, new)
    (found, *_) = static.coccinelle(copy, [rule])
    assert found.startswith(f"{name}:")
    assert words in found
