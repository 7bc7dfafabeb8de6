"""A layout as C: a header for user space, in C and C++, and for the kernel."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from rtshm.errors import LayoutError
from rtshm.layout.fields import NUMBERS, Field, Kind, with_padding

RESERVED = frozenset(
    # C
    "auto break case char const continue default do double else enum extern float for goto if "
    "inline int long register restrict return short signed sizeof static struct switch typedef "
    "union unsigned void volatile while alignas alignof asm bool constexpr false nullptr "
    "static_assert thread_local true typeof typeof_unqual "
    # C++
    "and and_eq bitand bitor catch char8_t char16_t char32_t class co_await co_return co_yield "
    "compl concept consteval constinit const_cast decltype delete dynamic_cast explicit export "
    "friend mutable namespace new noexcept not not_eq operator or or_eq private protected public "
    "reinterpret_cast requires static_cast template this throw try typeid typename using virtual "
    "wchar_t xor xor_eq "
    # macros of the compilers and of <stddef.h>
    "NULL i386 linux unix".split()
)
"""Names that a field cannot have in C or C++."""

_HEADER = """\
/* What is in a region after its first 8 bytes, struct rtshm_word:
 * {text}
 */
#ifndef _{guard}_LAYOUT_H
#define _{guard}_LAYOUT_H

#include <linux/types.h>
#ifdef __KERNEL__
#include <linux/build_bug.h>
#include <linux/stddef.h>
#else
#include <assert.h>
#include <stddef.h>
#endif

{declarations}

#endif
"""


_Q16 = """\
/* A q16 has 16 bits behind the point. Of a constant: RTSHM_Q16(0.5) is 32768. */
#ifndef RTSHM_Q16
#define RTSHM_Q16(value) ((__s32)((value) * 65536.0 + ((value) < 0 ? -0.5 : 0.5)))
#define RTSHM_Q16_MULTIPLY(a, b) ((__s32)((__s64)(a) * (b) >> 16))
#endif"""

_TASKS_HEADER = Path(__file__).parents[1] / "tasks/rtshm_region.h"
"""The header for BPF programs of a region with the layout mark:i32."""


def declaration(name: str, struct: Field, text: str, *, bpf: bool = False) -> str:
    """A header with `struct <name>`, asserted to lie as the layout says."""
    if not re.fullmatch("[A-Za-z][A-Za-z0-9_]*", name) or name in RESERVED:
        raise LayoutError(
            f"{name!r} is not a name for a C struct; give letters, digits and _ inside"
        )
    declared = [_Q16] if any(each.kind is Kind.Q16 for each in _all(struct)) else []
    declarations = "\n\n".join([*declared, *_declarations(name, struct)])
    if not bpf:
        return _HEADER.format(guard=name.upper(), text=text, declarations=declarations)
    # That of another region has other declarations, and names.
    head, _, rest = _TASKS_HEADER.read_text(encoding="utf-8").partition("struct region {")
    _, _, tail = rest.partition('"offsetof(struct region, mark)");')
    head = head.replace("_REGION_", f"_{name.upper()}_").replace("mark:i32", text)
    return head + declarations + tail.replace("struct region ", f"struct {name} ")


def check_names(struct: Field) -> None:
    """Refuse a layout whose paths, joined for C, become one name."""
    fields = [*_all(struct)]
    tags = [_joined(each) for each in fields if each.enum or each.fields]
    enums = [(_joined(each), each.enum) for each in fields if each.enum]
    constants = [_constant(tag, str(entry.name)) for tag, enum in enums for entry in enum]
    for names in tags, constants:
        for name, count in Counter(names).items():
            if count > 1:
                raise LayoutError(
                    f"layout: in C, {count} of its enums, structs or their values would have the "
                    f"name {name}; rename one"
                )


def _all(struct: Field) -> Iterator[Field]:
    for field in struct.fields:
        yield field
        yield from _all(field)


def _joined(field: Field) -> str:
    return field.path.replace(".", "_")


def _constant(tag: str, entry: str) -> str:
    return f"{tag}_{entry}".upper()


def _declarations(name: str, struct: Field) -> Iterator[str]:
    """The enums and structs, each after those that it needs, `name` the outermost's tag."""
    tag = f"{name}_{_joined(struct)}" if struct.path else name
    lines: list[str] = []
    for padding, field in with_padding(struct):
        if padding:
            lines.append(f"\t__u8 _pad{len(lines)}[{padding}];")
        if not field:
            continue
        inner = f"{name}_{_joined(field)}"
        counts = "".join(f"[{count}]" for count in field.shape)
        ctype, comment = f"struct {inner}", ""
        if field.fields:
            yield from _declarations(name, field)
        elif field.kind is Kind.BYTES:
            ctype, counts = "__u8", f"{counts}[{field.element}]"
        else:
            ctype = NUMBERS[field.kind].c
        if field.kind is Kind.BOOL:
            comment = "\t/* bool */"
        if field.kind is Kind.Q16:
            comment = "\t/* q16: see RTSHM_Q16() */"
        if field.enum:
            comment = f"\t/* enum {inner} */"
            entries = "".join(
                f"\t{_constant(inner, str(member.name))} = {_literal(member)},\n"
                for member in field.enum
            )
            yield f"enum {inner} {{\n{entries}}};"
        lines.append(f"\t{ctype} {field.name}{counts};{comment}")
    asserts = [
        _assert(f"sizeof(struct {tag})", struct.element),
        *(
            _assert(f"offsetof(struct {tag}, {field.name})", field.offset - struct.offset)
            for field in struct.fields
        ),
    ]
    yield "\n".join([f"struct {tag} {{", *lines, "};", *asserts])


def _assert(what: str, value: int) -> str:
    return f'static_assert({what} == {value}, "{what}");'


def _literal(number: int) -> str:
    if number >= 1 << 63:
        return f"{number:d}ULL"
    # There is no literal of the least number: it would be the negative of one too large.
    return f"(-{-(number + 1):d}LL - 1)" if number == -(1 << 63) else f"{number:d}"
