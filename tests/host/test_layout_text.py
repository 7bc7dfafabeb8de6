"""The text of a layout: what is read, what is written, and what is refused at which column."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from rtshm.errors import LayoutError
from rtshm.layout import Layout
from rtshm.layout.construct import SIZE_MAX
from rtshm.layout.text import TEXT_MAX

CHECKOUT = Path(__file__).parents[2]


@pytest.mark.parametrize(
    "text",
    [
        "speed:f64 gain:f32 mode:u8 _:x3",
        "a:i8 b:u8 c:i16 d:u16 _:x2 e:i32 f:u32 g:i64 h:u64",
        "ok:bool oks:bool[4]",
        "tag:bytes[16] tags:bytes[16][4]",
        "m:f64[3][2] g[2][1](x:i16[2] tag:bytes[3] _:x1)",
        "mode:i8{low=-128,off=0,on=1} modes:u8{off=0}[3]",
        "bits:u64<a=1,b=9223372036854775808>",
        "a(b(c(d(e(f(g(h:u8)))))))",
        "mode:u8{self=0,subcon=1,name=2,value=3,merge=4,members=5} flags:u8<members=1,flags=2>",
        "big:u8[1073741816]",
    ],
)
def test_text_reads_as_it_is_written(text: str) -> None:
    assert Layout(text).text == text


@pytest.mark.parametrize(
    ("text", "canonical"),
    [
        ("  a:u8   b:u8 ", "a:u8 b:u8"),
        ("p[2]( x:u8  y:u8 ) ", "p[2](x:u8 y:u8)"),
        ("a:u8 _:x1 _:x2 b:u32", "a:u8 _:x3 b:u32"),
        ("a:u8 b:u64 c:u8", "a:u8 _:x7 b:u64 c:u8 _:x7"),
        ("a:u8 p[2](x:u8 y:u16) d:f64", "a:u8 _:x1 p[2](x:u8 _:x1 y:u16) _:x6 d:f64"),
    ],
)
def test_one_layout_has_one_text(text: str, canonical: str) -> None:
    assert Layout(text).text == canonical


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "layout: column 1: the name of a field is missing at the end"),
        ("!", "layout: column 1: the name of a field is missing before '!'"),
        ("1a:u8", "layout: column 1: the name of a field is missing before '1a:u8'"),
        ("\xe4:u8", "layout: column 1: the name of a field is missing before '\xe4:u8'"),
        ("a", "a: column 2: ':' and a type, or '(' and fields, is missing at the end"),
        ("a:", "a: column 3: a type is missing at the end"),
        ("a:f65", "a: column 3: there is no type 'f65'; give one of i8, u8, i16,"),
        ("p(a:int)", "p.a: column 5: there is no type 'int'; give one of"),
        ("a:struct", "a: column 3: there is no type 'struct'"),
        ("a:x3", "a: column 3: there is no type 'x3'"),
        ("a:u8!x", "a: column 5: a blank and a field, or the end, is missing before '!x'"),
        ("a:u8,b:u8", "a: column 5: a blank and a field, or the end, is missing before ',b:u8'"),
        ("a:u8\n", r"a: column 5: a blank and a field, or the end, is missing before '\n'"),
        ("a:u8 b", "b: column 7: ':' and a type, or '(' and fields, is missing at the end"),
        ("a:u8 ) b:u8", "a: column 6: a blank and a field, or the end, is missing before ')"),
        ("a[2]:u8", "a: column 5: '(' and fields is missing before ':u8'"),
        ("a:u8[0]", "a: column 6: a count, a number over 0, is missing before '0]'"),
        ("a:u8[3", "a: column 7: ']' is missing at the end"),
        ("a:u8[03]", "a: column 6: a count, a number over 0, is missing before '03]'"),
        ("a:bytes", "a: column 8: '[', as in bytes[16], is missing at the end"),
        ("p(a:u8", "p.a: column 7: ')', or a blank and a field, is missing at the end"),
        ("p()", "p: column 3: the name of a field is missing before ')'"),
        ("_:u8", "_: column 3: padding, x and a count as in _:x3, is missing before 'u8'"),
        ("a:u8{}", "a: column 6: the name of a value is missing before '}'"),
        ("a:u8{x}", "a: column 7: '=' is missing before '}'"),
        ("a:u8{x=01}", "a: column 9: ',' or '}' is missing before '1}'"),
        ("a:u8{x=1>", "a: column 9: ',' or '}' is missing before '>'"),
        ("a:u8{x=1,x=2}", "a: column 10: there are two values of the name x"),
        ("a(" * 500, "a.a.a.a.a.a.a.a: column 17: more than 8 structs in one another"),
        ("a:u8[99999999999999999999]", "a: it ends at 99999999999999999999 bytes, and"),
        ("a:u8" + "[9]" * 8, "a: more than 8 structs and dimensions in one another"),
        ("_a:u8", "_a: '_a' is not a name for a field"),
        ("_(a:u8)", "_: '_' is not a name for a field"),
        ("a:u8 a:u8", "a: there are two fields of this name"),
        ("_:x3", "layout: there is no field in it"),
        ("a:bool{x=1}", "a: named values are for integers, and bool is none"),
        ("a:u8" + " " * 1020, "layout: its text has 1024 characters and may have 1023"),
        ("a" * 1021 + ":u8", "layout: its text has 1024 characters and may have 1023; give"),
    ],
)
def test_text_is_refused_with_path_and_column(text: str, reason: str) -> None:
    with pytest.raises(LayoutError) as refused:
        Layout(text)
    assert str(refused.value).startswith(reason)


def test_every_beginning_of_a_text_is_a_layout_or_refused() -> None:
    text = "a:i8{x=-1,y=2}[2] _:x2 t:bytes[4] p[2](b:u8<r=1> c:u8) s(d:f64)"
    layouts = []
    for end in range(len(text) + 1):
        try:
            layouts.append(Layout(text[:end]).text)
        except LayoutError as error:
            assert re.match(r"[a-z_.]+: ", str(error))
    assert layouts[-1] == "a:i8{x=-1,y=2}[2] _:x2 t:bytes[4] p[2](b:u8<r=1> c:u8) _:x4 s(d:f64)"


def test_limits_are_those_of_the_header() -> None:
    header = (CHECKOUT / "kmod/include/uapi/linux/rtshm_netlink.h").read_text()
    limits = dict(re.findall(r"#define\s+(RTSHM_\w+)\s+(\d+)$", header, re.MULTILINE))
    assert int(limits["RTSHM_LAYOUT_MAX"]) == TEXT_MAX
    assert int(limits["RTSHM_SIZE_MAX"]) - 8 == SIZE_MAX
