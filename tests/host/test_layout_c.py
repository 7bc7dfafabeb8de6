"""The C declaration of a layout: a header that compiles, and fails to when it does not agree."""

from __future__ import annotations

import shutil
import subprocess
from typing import TYPE_CHECKING

import pytest
from rtshm.errors import LayoutError
from rtshm.layout import Layout

if TYPE_CHECKING:
    from pathlib import Path

LAYOUT = Layout(
    "speed:f64 mode:u8{off=0,on=1} ok:bool bits:u16<run=1,fault=2> _:x4 "
    "points[2](x:i16 tags:bytes[3][2] far:i64{low=-9223372036854775808,high=1})"
)
HEADER = """\
/* What is in a region after its first 8 bytes, struct rtshm_word:
 * speed:f64 mode:u8{off=0,on=1} ok:bool bits:u16<run=1,fault=2> _:x4 \
points[2](x:i16 tags:bytes[3][2] far:i64{low=-9223372036854775808,high=1})
 */
#ifndef _MOTOR_LAYOUT_H
#define _MOTOR_LAYOUT_H

#include <linux/types.h>
#ifdef __KERNEL__
#include <linux/build_bug.h>
#include <linux/stddef.h>
#else
#include <assert.h>
#include <stddef.h>
#endif

enum motor_mode {
	MOTOR_MODE_OFF = 0,
	MOTOR_MODE_ON = 1,
};

enum motor_bits {
	MOTOR_BITS_RUN = 1,
	MOTOR_BITS_FAULT = 2,
};

enum motor_points_far {
	MOTOR_POINTS_FAR_LOW = (-9223372036854775807LL - 1),
	MOTOR_POINTS_FAR_HIGH = 1,
};

struct motor_points {
	__s16 x;
	__u8 tags[2][3];
	__s64 far;	/* enum motor_points_far */
};
static_assert(sizeof(struct motor_points) == 16, "sizeof(struct motor_points)");
static_assert(offsetof(struct motor_points, x) == 0, "offsetof(struct motor_points, x)");
static_assert(offsetof(struct motor_points, tags) == 2, "offsetof(struct motor_points, tags)");
static_assert(offsetof(struct motor_points, far) == 8, "offsetof(struct motor_points, far)");

struct motor {
	double speed;
	__u8 mode;	/* enum motor_mode */
	__u8 ok;	/* bool */
	__u16 bits;	/* enum motor_bits */
	__u8 _pad4[4];
	struct motor_points points[2];
};
static_assert(sizeof(struct motor) == 48, "sizeof(struct motor)");
static_assert(offsetof(struct motor, speed) == 0, "offsetof(struct motor, speed)");
static_assert(offsetof(struct motor, mode) == 8, "offsetof(struct motor, mode)");
static_assert(offsetof(struct motor, ok) == 9, "offsetof(struct motor, ok)");
static_assert(offsetof(struct motor, bits) == 10, "offsetof(struct motor, bits)");
static_assert(offsetof(struct motor, points) == 16, "offsetof(struct motor, points)");

#endif
"""

COMPILERS = {
    "c": ("gcc", "-std=c11"),
    "gnu": ("gcc", "-std=gnu17"),
    "cpp": ("g++", "-std=c++17", "-xc++"),
}


def compile_header(language: str, header: str, directory: Path, main: str = "") -> str:
    """What the compiler has to say."""
    command, *flags = COMPILERS[language]
    compiler = shutil.which(command)
    assert compiler, f"no {command}: make test installs one"
    (directory / "layout.h").write_text(header)
    # Twice, as headers are included.
    (directory / "main.c").write_text('#include "layout.h"\n' * 2 + main)
    build = [compiler, *flags, "-Wall", "-Wextra", "-Werror", "-fsyntax-only", "main.c"]
    return subprocess.run(build, cwd=directory, stderr=subprocess.PIPE, text=True).stderr


def test_header_is_the_layout_in_c() -> None:
    assert LAYOUT.declaration("motor") == HEADER


@pytest.mark.parametrize("language", COMPILERS)
def test_header_compiles_without_a_warning(language: str, tmp_path: Path) -> None:
    main = "int main(void) { struct motor m = {}; return m.points[1].far == MOTOR_BITS_RUN; }\n"
    if language != "cpp":
        main = main.replace("{}", "{ 0 }")
    assert compile_header(language, LAYOUT.declaration("motor"), tmp_path, main) == ""


@pytest.mark.parametrize("language", COMPILERS)
@pytest.mark.parametrize(
    ("right", "wrong"),
    [
        ("\t__u16 bits;", "\t__u32 bits;"),
        ("\t__u8 _pad4[4];", "\t__u8 _pad4[5];"),
        ("\t__s16 x;", "\t__s8 x;"),
        (" points[2];", " points[3];"),
    ],
)
def test_header_that_drifted_does_not_compile(
    language: str, right: str, wrong: str, tmp_path: Path
) -> None:
    header = LAYOUT.declaration("motor")
    drifted = header.replace(right, wrong)
    assert drifted != header
    assert "static assertion failed" in compile_header(language, drifted, tmp_path)


@pytest.mark.parametrize("language", COMPILERS)
@pytest.mark.parametrize("kind", ["i8", "u8", "i16", "u16", "i32", "u32", "i64", "u64"])
def test_least_and_greatest_values_of_an_enum_are_constants(
    language: str, kind: str, tmp_path: Path
) -> None:
    bits = int(kind[1:])
    low, high = (0, 2**bits - 1) if kind[0] == "u" else (-(2 ** (bits - 1)), 2 ** (bits - 1) - 1)
    header = Layout(f"n:{kind}{{low={low},high={high}}}").declaration("e")
    # (-x - 1), as there is no literal of the least of all.
    least = f"(-{-(low + 1)}LL - 1)" if low else "0"
    main = f'static_assert(E_N_LOW == {least} && E_N_HIGH == {high}ULL, "values");\n'
    assert compile_header(language, header, tmp_path, main) == ""


@pytest.mark.parametrize("name", ["", "1a", "a b", "a*/", "_a", "struct", "class", "linux", "\xe4"])
def test_name_that_c_cannot_have_is_refused(name: str) -> None:
    with pytest.raises(LayoutError) as refused:
        LAYOUT.declaration(name)
    assert str(refused.value).startswith(f"{name!r} is not a name for a C struct; give")
