"""Gate functions and their truth tables; QKeras quantizers and our formats."""

from __future__ import annotations

import math
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings

from fdht_models.errors import ConfigError, FdhtError, NumericError
from fdht_models.kerasapi import qkeras, tf
from fdht_models.layers.quantizers import (
    SIGMOIDS,
    TANHS,
    as_quantizer,
    format_of,
    gate_function,
    quantizer_for,
    quantizers_from,
    required_names,
    round_to,
    truth_table,
)
from fdht_models.tensor.fixedpoint import FixedPoint
from fdht_models.tensor.recurrent import fdht_shape
from tests.models.strategies import SEEDS, SMALL_SHAPE, fixed_points, layer_formats, saturate

ARGUMENT = FixedPoint(10, 6)  # -8 .. 8


def clipped(value: Fraction, low: int, high: int) -> Fraction:
    return min(max(value, Fraction(low)), Fraction(high))


def hard(x: Fraction) -> Fraction:
    return clipped(x / 2 + Fraction(1, 2), 0, 1)


def smooth(x: Fraction) -> Fraction:
    return clipped(x * Fraction(3, 16) + Fraction(1, 2), 0, 1)


def rationals(form: FixedPoint) -> list[Fraction]:
    """Values of every code in the order of raw bits, by two's complement."""
    codes = [
        raw - 2**form.width if form.signed and raw >= 2 ** (form.width - 1) else raw
        for raw in range(2**form.width)
    ]
    return [Fraction(code) / Fraction(2) ** form.fraction for code in codes]


def nearest_code(value: Fraction, form: FixedPoint) -> int:
    return saturate(round(value * Fraction(2) ** form.fraction), form)


# Tables -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "kind", "function", "result"),
    [
        ("hard_sigmoid", SIGMOIDS, hard, FixedPoint(8, 8, False)),
        ("smooth_sigmoid", SIGMOIDS, smooth, FixedPoint(8, 8, False)),
        ("binary_sigmoid", SIGMOIDS, lambda x: Fraction(round(hard(x))), FixedPoint(4, 2)),
        ("hard_tanh", TANHS, lambda x: 2 * hard(x) - 1, FixedPoint(8, 7)),
        ("smooth_tanh", TANHS, lambda x: 2 * smooth(x) - 1, FixedPoint(8, 7)),
        ("binary_tanh", TANHS, lambda x: 2 * Fraction(round(hard(x))) - 1, FixedPoint(4, 2)),
        (
            "quantized_sigmoid(6)",
            SIGMOIDS,
            lambda x: Fraction(saturate(round(hard(x) * 64), FixedPoint(6, 6, False)), 64),
            FixedPoint(8, 8, False),
        ),
        (
            "quantized_tanh(6)",
            TANHS,
            lambda x: Fraction(saturate(round((2 * hard(x) - 1) * 32), FixedPoint(6, 5)), 32),
            FixedPoint(8, 7),
        ),
    ],
)
def test_piecewise_linear_tables_are_exact(name, kind, function, result):
    """Their values are binary fractions, so that every entry is known."""
    table = truth_table(gate_function(name, kind, "gate"), ARGUMENT, result)
    wanted = [nearest_code(function(value), result) for value in rationals(ARGUMENT)]
    np.testing.assert_array_equal(table.codes, wanted)
    assert table.format == result


@pytest.mark.parametrize(
    ("name", "kind", "function", "result"),
    [
        ("sigmoid", SIGMOIDS, lambda x: 1 / (1 + math.exp(-x)), FixedPoint(10, 10, False)),
        ("tanh", TANHS, math.tanh, FixedPoint(10, 9)),
        (
            "keras_hard_sigmoid",
            SIGMOIDS,
            lambda x: min(max(0.2 * x + 0.5, 0), 1),
            FixedPoint(10, 10, False),
        ),
        (
            "quantized_sigmoid(10, use_real_sigmoid=True)",
            SIGMOIDS,
            lambda x: 1 / (1 + math.exp(-x)),
            FixedPoint(10, 10, False),
        ),
        ("quantized_tanh(10, use_real_tanh=True)", TANHS, math.tanh, FixedPoint(10, 9)),
    ],
)
def test_other_tables_are_the_nearest_codes(name, kind, function, result):
    """Computed in float32: an entry may differ where the true value is that close to a tie."""
    table = truth_table(gate_function(name, kind, "gate"), ARGUMENT, result)
    for value, code in zip(rationals(ARGUMENT), table.codes.tolist(), strict=True):
        exact = Fraction(function(float(value))) * 2**result.fraction
        # Half a code, and 16 units in the last place of a float32 below 1, in codes.
        slack = Fraction(1, 2) + 16 * Fraction(1, 2**24) * 2**result.fraction
        at_limit = code == result.maximum and exact > code
        assert at_limit or abs(exact - code) <= slack, value


def test_tables_of_odd_functions_are_odd_but_for_saturation():
    table = truth_table(tf.tanh, ARGUMENT, FixedPoint(10, 9)).codes
    positive, negative = table[1:512], table[:512:-1]
    # +1 does not fit, -1 does.
    np.testing.assert_array_equal(positive, np.minimum(-negative, 511))
    assert table[512] == -512


def test_a_table_that_no_chip_holds_is_refused():
    with pytest.raises(NumericError, match=r"2\*\*40 entries.*narrower preactivation"):
        truth_table(tf.tanh, FixedPoint(40, 30), FixedPoint(8, 7))


@pytest.mark.parametrize(
    ("name", "kind", "hint"),
    [
        ("sigmoyd", SIGMOIDS, "did you mean .*'sigmoid'"),
        ("tanh", SIGMOIDS, "is not a gate function"),
        ("sigmoid", TANHS, "is not a gate function"),
        ("quantized_tanh(8)", SIGMOIDS, "is not a gate function"),
        ("relu", TANHS, "is not a gate function"),
        ("", TANHS, "choose one of binary_tanh"),
    ],
)
def test_unknown_gates_are_refused(name, kind, hint):
    with pytest.raises(ConfigError, match=hint):
        gate_function(name, kind, "recurrent_activation")


# Quantizers -------------------------------------------------------------------------------------


@given(fixed_points(2, 14, 0, 14), SEEDS)
@settings(max_examples=60)
def test_formats_are_what_qkeras_does_within_its_range(form, seed):
    """Every value from below the smallest to above the largest code by half a code, and ties."""
    if form.integer < int(form.signed):
        with pytest.raises(NumericError, match="negative number of integer bits"):
            quantizer_for(form)
        return
    quantizer = quantizer_for(form)
    assert format_of(quantizer) == form
    generator = np.random.default_rng(seed)
    scaled = np.concatenate(
        [
            generator.uniform(form.minimum - 0.5, form.maximum + 0.5, 60),
            np.arange(max(form.minimum, -20), min(form.maximum, 20)) + 0.5,
            [form.minimum, form.maximum, 0],
        ]
    )
    values = (scaled * form.scale).astype(np.float32)
    wanted = form.dequantize(form.quantize(values))
    np.testing.assert_array_equal(quantizer(tf.constant(values)).numpy(), wanted)
    np.testing.assert_array_equal(round_to(tf.constant(values, tf.float64), form), wanted)
    np.testing.assert_array_equal(round_to(tf.constant(values), form), wanted)


def test_qkeras_is_off_the_grid_far_outside_its_range_and_round_to_is_not():
    """QKeras computes x + (xq - x) in float32, so that for |x| >> |xq| the last bits are lost.

    It happens where a unit in the last place of x is coarser than the format's grid. That is why
    inference does not use QKeras' quantizers, and why it is harmless in training: the difference
    is such a unit.
    """
    form = FixedPoint(16, 15)
    values = np.float32([1000.1, -3000.1, 77777.7])
    grid = form.dequantize(form.quantize(values))
    np.testing.assert_array_equal(grid, [32767 / 32768, -1, 32767 / 32768])
    found = quantizer_for(form)(tf.constant(values)).numpy()
    assert (found != grid).any(), "QKeras has changed: round_to may no longer be needed"
    np.testing.assert_allclose(found, grid, rtol=0, atol=float(np.spacing(np.float32(77777.7))))
    np.testing.assert_array_equal(round_to(tf.constant(values), form), grid)


@pytest.mark.parametrize(
    "quantizer",
    [
        qkeras.quantized_bits(8, 0, alpha="auto"),
        qkeras.quantized_bits(8, 0, alpha="auto_po2"),
        qkeras.quantized_bits(8, 0, alpha=2.0),
        qkeras.quantized_bits(8, 0, 1, alpha=1),
        qkeras.quantized_bits(8, 0, alpha=1, use_stochastic_rounding=True),
        qkeras.quantized_bits(1, 0, alpha=1),
        qkeras.quantized_po2(8),
        qkeras.binary(),
        None,
        "quantized_bits(8, 0, alpha=1)",
    ],
    ids=str,
)
def test_quantizers_that_hardware_cannot_follow_are_refused(quantizer):
    with pytest.raises(NumericError, match=r"^weights = .*(must have alpha=1|must be a quantized)"):
        format_of(quantizer, "weights")


@pytest.mark.parametrize(
    "value",
    [
        FixedPoint(6, 3),
        "quantized_bits(6, 2, alpha=1)",
        qkeras.quantized_bits(6, 2, alpha=1),
        {"class_name": "quantized_bits", "config": {"bits": 6, "integer": 2, "alpha": 1}},
    ],
    ids=lambda value: type(value).__name__,
)
def test_quantizers_come_in_several_forms(value):
    assert format_of(as_quantizer(value, "x")) == FixedPoint(6, 3)


@pytest.mark.parametrize("modes", [2, 3, 5])
def test_a_set_has_each_name_once(modes):
    shape = fdht_shape((2,) * modes, (4,) + (1,) * (modes - 1), (1,) * (modes - 1), 2, 2)
    formats = layer_formats(shape)
    assert sorted(required_names(shape)) == sorted(formats)
    built = quantizers_from(formats, required_names(shape))
    assert {name: format_of(built[name]) for name in formats} == formats
    configs = {
        name: {"class_name": "quantized_bits", "config": one.get_config()}
        for name, one in built.items()
    }
    again = quantizers_from(configs, required_names(shape))
    assert {name: format_of(again[name]) for name in formats} == formats


NAMES = required_names(SMALL_SHAPE)


def test_missing_unknown_and_unfit_quantizers_are_named():
    formats = layer_formats()
    with pytest.raises(NumericError, match=r"quantizers\.hidden\.C2: is missing"):
        quantizers_from({k: v for k, v in formats.items() if k != "hidden.C2"}, NAMES)
    with pytest.raises(NumericError, match=r"quantizers\.hidden\.C4: is not a quantizer of"):
        quantizers_from({**formats, "hidden.C4": FixedPoint(8, 4)}, NAMES)
    for unfit in (None, "quantized_po2(8)", "no such thing", 7, {"class_name": "nothing"}):
        with pytest.raises(FdhtError, match=r"quantizers\.cell"):
            quantizers_from({**formats, "cell": unfit}, NAMES)
