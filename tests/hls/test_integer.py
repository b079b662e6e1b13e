"""fdht_integer.h against Python: every value of narrow widths, the edges of wide ones."""

from __future__ import annotations

import ctypes
import subprocess
from collections.abc import Callable, Iterator
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from fdht_hls.backend import INCLUDE
from fdht_hls.csimulation import Build, compiler
from fdht_models.tensor.fixedpoint import FixedPoint

#: (width, shift, output width) of every `round_saturate` that is compiled.
NARROW = [
    (width, shift, out)
    for width in (1, 3, 8)
    for shift in (-9, -1, 0, 1, 2, 5, 8, 9, 40)
    for out in (1, 8)
]
#: Around the sizes of the processor's integers, where `native` changes type.
WIDE = [
    (width, shift, out)
    for width in (31, 32, 33, 48)
    for shift in (-7, 1, width - 1, width + 1, 70)
    for out in (8, 48)
]
SHAPES = NARROW + WIDE
#: Formats of which every code goes through `code` and `from_code`.
FORMATS = [(1, 1), (3, -2), (4, 9), (8, 0), (8, 8), (12, 5)]
TABLES = (1, 2, 8, 10, 16)

_SOURCE = """
#include "fdht_integer.h"
#define ROUND(NUMBER, W, SHIFT, OUT) case NUMBER: \\
    for (size_t i = 0; i < count; i++) \\
        out[i] = (int64_t)fdht::round_saturate<W, SHIFT, OUT>((fdht::integer<W>::type)in[i]); \\
    break;
#define CODES(NUMBER, W, I, FIXED) case NUMBER: \\
    for (size_t i = 0; i < count; i++) { \\
        const fdht::integer<W + 1>::type value = in[i]; \\
        out[i] = (int64_t)fdht::code(fdht::from_code<FIXED<W, I>>(value)); \\
    } \\
    break;
#define INDEX(NUMBER, W) case NUMBER: \\
    for (size_t i = 0; i < count; i++) \\
        out[i] = fdht::table_index<W>((fdht::integer<W>::type)in[i]); \\
    break;
extern "C" void round_saturate(int shape, const int64_t *in, int64_t *out, size_t count) {
    switch (shape) { %s }
}
extern "C" void codes(int shape, const int64_t *in, int64_t *out, size_t count) {
    switch (shape) { %s }
}
extern "C" void table_index(int shape, const int64_t *in, int64_t *out, size_t count) {
    switch (shape) { %s }
}
"""

Function = Callable[[str, int, np.ndarray], np.ndarray]


def source() -> str:
    rounds = [f"ROUND({number}, {w}, {s}, {o})" for number, (w, s, o) in enumerate(SHAPES)]
    codes = [
        f"CODES({2 * number + unsigned}, {width}, {integer}, {fixed})"
        for number, (width, integer) in enumerate(FORMATS)
        for unsigned, fixed in enumerate(("ap_fixed", "ap_ufixed"))
    ]
    indices = [f"INDEX({number}, {width})" for number, width in enumerate(TABLES)]
    return _SOURCE % tuple("\n".join(lines) for lines in (rounds, codes, indices))


@pytest.fixture(scope="module", params=["exact", "native"])
def function(
    request: pytest.FixtureRequest, ap_types: Path, tmp_path_factory
) -> Iterator[Function]:
    """Calls a C++ function of the given name on values of the shape with the given number."""
    build: Build = request.param
    directory = tmp_path_factory.mktemp(build)
    (directory / "integers.cpp").write_text(source())
    define = ["-DFDHT_NATIVE_INTEGERS"] if build == "native" else []
    subprocess.run(
        [
            *(compiler(), "-std=c++14", "-O1", "-fPIC", "-shared", "-w", *define),
            *(f"-I{ap_types}", f"-I{INCLUDE}", "integers.cpp", "-o", "integers.so"),
        ],
        cwd=directory,
        check=True,
        timeout=300,
    )
    library = ctypes.CDLL(str(directory / "integers.so"))

    def call(name: str, shape: int, values: np.ndarray) -> np.ndarray:
        result = np.full(values.shape, -(2**62))
        pointers = (values.ctypes.data_as(ctypes.c_void_p), result.ctypes.data_as(ctypes.c_void_p))
        getattr(library, name)(shape, *pointers, ctypes.c_size_t(len(values)))
        return result

    return call


def arguments(width: int) -> np.ndarray:
    """All signed codes of a width, or for a wide one the edges and some between."""
    low, high = -(1 << (width - 1)), (1 << (width - 1)) - 1
    if width <= 8:
        return np.arange(low, high + 1)
    powers = [
        sign * (1 << bit) + off for bit in range(width) for sign in (-1, 1) for off in (-1, 0, 1)
    ]
    drawn = np.random.default_rng(width).integers(low, high + 1, 200).tolist()
    return np.array(
        sorted({low, high, *(value for value in powers + drawn if low <= value <= high)})
    )


def rounded(value: int, shift: int, out: int) -> int:
    """Half to even and saturation by the definition, in rational numbers."""
    exact = round(Fraction(value) / Fraction(2) ** shift)
    return max(-(2 ** (out - 1)), min(2 ** (out - 1) - 1, exact))


@pytest.mark.parametrize("width", sorted({width for width, _, _ in SHAPES}))
def test_round_saturate_is_half_to_even(function, width):
    values = arguments(width)
    for number, (own, shift, out) in enumerate(SHAPES):
        if own != width:
            continue
        wanted = [rounded(int(value), shift, out) for value in values]
        found = function("round_saturate", number, values)
        np.testing.assert_array_equal(found, wanted, f"{width} bits, shift {shift}, to {out} bits")


@pytest.mark.parametrize("number", range(len(SHAPES)))
def test_round_saturate_is_the_reference_s(function, number):
    width, shift, out = SHAPES[number]
    values = arguments(width)
    found = function("round_saturate", number, values)
    np.testing.assert_array_equal(found, FixedPoint(out, 0).requantize(values, shift))


@pytest.mark.parametrize("number", range(len(FORMATS)))
@pytest.mark.parametrize("signed", [True, False])
def test_codes_of_fixed_point_numbers_are_their_bits(function, number, signed):
    """`from_code` and `code` are inverse, whatever the place of the binary point."""
    values = FixedPoint(FORMATS[number][0], 0, signed).all_codes()
    found = function("codes", 2 * number + (not signed), values)
    np.testing.assert_array_equal(found, values)


@pytest.mark.parametrize("number", range(len(TABLES)))
def test_a_table_is_indexed_by_raw_bits(function, number):
    values = FixedPoint(TABLES[number], 0).all_codes()
    found = function("table_index", number, values)
    np.testing.assert_array_equal(found, np.arange(1 << TABLES[number]))
