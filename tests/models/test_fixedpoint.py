"""Rounding half to even and saturation, against Python's exact rational and decimal numbers."""

from __future__ import annotations

import decimal
import math
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from fdht_models.errors import NumericError
from fdht_models.tensor.fixedpoint import (
    FixedPoint,
    integer_bits_for,
    shift_half_even,
    signed_bits,
)
from tests.models.strategies import fixed_points, saturate, some_codes


def exact_code(value: Fraction, form: FixedPoint) -> int:
    """What the rule says, in rationals: `round` of a Fraction is half to even by definition."""
    return saturate(round(value * Fraction(2) ** form.fraction), form)


# Formats ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("form", "minimum", "maximum", "integer", "text"),
    [
        (FixedPoint(8, 0), -128, 127, 8, "fixed<8,8>"),
        (FixedPoint(8, 7), -128, 127, 1, "fixed<8,1>"),
        (FixedPoint(8, 8, False), 0, 255, 0, "ufixed<8,0>"),
        (FixedPoint(1, 0), -1, 0, 1, "fixed<1,1>"),
        (FixedPoint(1, 3, False), 0, 1, -2, "ufixed<1,-2>"),
        (FixedPoint(48, -2), -(2**47), 2**47 - 1, 50, "fixed<48,50>"),
    ],
)
def test_limits(form, minimum, maximum, integer, text):
    assert (form.minimum, form.maximum, form.integer, str(form)) == (
        minimum,
        maximum,
        integer,
        text,
    )
    assert form.magnitude == max(-minimum, maximum)
    assert Fraction(form.scale) == Fraction(2) ** -form.fraction


@pytest.mark.parametrize("width", [-1, 0, 49])
def test_widths_that_no_dsp_has_are_refused(width):
    with pytest.raises(NumericError, match=f"width = {width}: must lie between 1 and 48"):
        FixedPoint(width, 0)


@given(fixed_points(max_width=48))
def test_json_round_trip(form):
    assert FixedPoint.from_json(form.to_json()) == form


@pytest.mark.parametrize("signed", [True, False])
@pytest.mark.parametrize("width", range(1, 9))
def test_every_code_and_its_raw_bits(width, signed):
    form = FixedPoint(width, 3, signed)
    codes = form.all_codes()
    assert sorted(codes.tolist()) == list(range(form.minimum, form.maximum + 1))
    for raw, code in enumerate(codes.tolist()):
        # Two's complement by Python's own conversion.
        assert int.from_bytes(code.to_bytes(2, "little", signed=True), "little") % 2**width == raw
    np.testing.assert_array_equal(form.raw(codes), np.arange(2**width))


# Rounding ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("signed", [True, False])
@pytest.mark.parametrize("width", range(1, 7))
@pytest.mark.parametrize("fraction", [-2, 0, 3, 9])
def test_quantize_exhaustively(width, fraction, signed):
    """Every eighth of a code from far below the smallest to far above the largest."""
    form = FixedPoint(width, fraction, signed)
    step = Fraction(2) ** -(fraction + 3)
    values = [number * step for number in range(-12 * 2**width, 12 * 2**width + 1)]
    wanted = [exact_code(value, form) for value in values]
    np.testing.assert_array_equal(form.quantize([float(value) for value in values]), wanted)
    assert set(wanted) == set(range(form.minimum, form.maximum + 1))


def test_quantize_rounds_ties_to_even_on_both_sides_of_zero():
    values = [-2.5, -1.5, -0.5, 0.5, 1.5, 2.5]
    np.testing.assert_array_equal(FixedPoint(8, 0).quantize(values), [-2, -2, 0, 0, 2, 2])


@given(
    st.floats(allow_nan=False, allow_infinity=False, width=64, min_value=-1e9, max_value=1e9),
    fixed_points(max_width=40),
)
@settings(max_examples=200)
def test_quantize_equals_decimal_arithmetic(value, form):
    # Every float64 is a decimal fraction of at most 1,075 digits: exact.
    with decimal.localcontext() as context:
        context.prec = 2000
        scaled = decimal.Decimal(value) * decimal.Decimal(2) ** form.fraction
        rounded = int(scaled.to_integral_value(rounding=decimal.ROUND_HALF_EVEN))
    assert form.quantize(value) == saturate(rounded, form)


@pytest.mark.parametrize("shift", range(-3, 12))
def test_shift_half_even_exhaustively(shift):
    codes = np.arange(-1100, 1101)
    wanted = [round(Fraction(code) / Fraction(2) ** shift) for code in codes.tolist()]
    np.testing.assert_array_equal(shift_half_even(codes, shift), wanted)


@given(st.integers(-(2**47), 2**47), st.integers(0, 100))
@example(5, 64)  # half of 2**64 does not fit into 63 bits
@example(-5, 64)
@example(2**47, 48)
@example(2**46, 47)  # exactly a half: to 0
@example(3 * 2**46, 47)  # one and a half: to 2
@example(-(2**46), 47)
@example(-(2**47), 47)
def test_shift_half_even_of_wide_accumulators(code, shift):
    shifted = shift_half_even(np.array([code]), shift)
    assert shifted.dtype == np.int64
    assert shifted[0] == round(Fraction(code, 2**shift))


@given(fixed_points(max_width=24), fixed_points(max_width=24), st.integers(0, 2**32 - 1))
@settings(max_examples=150)
def test_requantize_equals_quantize_of_dequantize(target, source, seed):
    codes = np.concatenate([some_codes(source, (40,), seed), [source.minimum, source.maximum]])
    requantized = target.requantize(codes, source.fraction)
    np.testing.assert_array_equal(requantized, target.quantize(source.dequantize(codes)))
    wanted = [exact_code(code * Fraction(2) ** -source.fraction, target) for code in codes.tolist()]
    np.testing.assert_array_equal(requantized, wanted)


@given(
    fixed_points(1, 48, -40, 60),
    st.integers(-20, 60),
    st.lists(st.integers(-(2**47), 2**47), min_size=1),
)
@example(FixedPoint(48, 47), 0, [2**40, -(2**40), 1, 0])  # 40 bits, 47 to the left: 88
@settings(max_examples=200)
def test_requantize_saturates_however_far_it_shifts(target, fraction, codes):
    wanted = [exact_code(code * Fraction(2) ** -fraction, target) for code in codes]
    np.testing.assert_array_equal(target.requantize(np.array(codes), fraction), wanted)


@given(fixed_points(max_width=30), st.integers(0, 2**32 - 1))
def test_quantize_keeps_what_is_on_the_grid(form, seed):
    codes = some_codes(form, (20,), seed)
    np.testing.assert_array_equal(form.quantize(form.dequantize(codes)), codes)
    np.testing.assert_array_equal(form.exact(form.dequantize(codes)), codes)


def test_infinity_saturates_and_nan_is_refused():
    form = FixedPoint(8, 4)
    np.testing.assert_array_equal(form.quantize([math.inf, -math.inf]), [127, -128])
    with pytest.raises(NumericError, match="holds NaN"):
        form.quantize([0.0, math.nan])


@pytest.mark.parametrize("value", [0.01, 8.0, -8.0625])
def test_exact_refuses_what_is_between_or_beyond_codes(value):
    with pytest.raises(NumericError, match=rf"bias = {value}: is not a value of fixed<8,4>"):
        FixedPoint(8, 4).exact([0.0625, value], "bias")


# Widths -----------------------------------------------------------------------------------------


@given(st.integers(0, 2**60))
@example(0)
@example(1)
@example(2**20)
@example(2**20 - 1)
def test_signed_bits_is_the_narrowest(magnitude):
    bits = signed_bits(magnitude)
    assert -(2 ** (bits - 1)) <= -magnitude <= magnitude <= 2 ** (bits - 1) - 1
    if magnitude:
        assert magnitude > 2 ** (bits - 2) - 1


@given(st.floats(min_value=2**-40, max_value=2**40))
@example(1.0)
@example(0.5)
@example(math.nextafter(1.0, 0.0))
@example(4.0)
def test_integer_bits_hold_the_largest_value_and_no_bit_more(largest):
    bits = integer_bits_for(largest)
    # fixed<W, I> holds values below 2**(I-1).
    assert largest < 2.0 ** (bits - 1)
    assert largest >= 2.0 ** (bits - 2)


def test_integer_bits_of_zero_and_of_nonsense():
    assert integer_bits_for(0.0) == 1
    for value in (-1.0, math.inf, math.nan):
        with pytest.raises(NumericError, match="finite and not negative"):
            integer_bits_for(value)
