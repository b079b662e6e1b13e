"""Rounding and products in RTL against the rules of the fixed-point formats."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from amaranth.hdl import Cat, Const, Module, Shape, Signal, signed
from amaranth.sim import Simulator
from hypothesis import given, settings
from hypothesis import strategies as st

from fdht_hls.rtl.arithmetic import pipelined_sum, product, round_saturate, tree_clocks
from fdht_models.errors import ConfigError
from fdht_models.tensor.fixedpoint import FixedPoint
from tests.models.strategies import fixed_points


def results_of(module, inputs, rows, output) -> list[int]:
    """What logic without a clock makes of rows of inputs."""
    found = []

    async def bench(ctx):
        for row in rows:
            for signal, value in zip(inputs, row, strict=True):
                ctx.set(signal, value)
            found.append(ctx.get(output))

    simulator = Simulator(module)
    simulator.add_testbench(bench)
    simulator.run()
    return found


@settings(max_examples=40)
@given(st.integers(1, 24), st.integers(-4, 24), fixed_points(1, 12), st.integers(0, 2**32 - 1))
def test_rounding_is_that_of_the_formats(width, fraction, target, seed):
    source = FixedPoint(width, fraction)
    edges = [source.minimum, source.minimum + 1, -1, 0, 1, source.maximum]
    codes = np.clip(edges, source.minimum, source.maximum)
    random = np.random.default_rng(seed).integers(source.minimum, source.maximum + 1, 100)
    codes = np.concatenate([codes, random])
    module, value = Module(), Signal(signed(width))
    result = round_saturate(module, value, fraction, target)
    found = results_of(module, [value], codes[:, None].tolist(), result)
    np.testing.assert_array_equal(found, target.requantize(codes, fraction))


@pytest.mark.parametrize("kind", ["dsp", "lut"])
@pytest.mark.parametrize("signs", [(True, True), (True, False), (False, True), (False, False)])
@pytest.mark.parametrize("widths", [(4, 3), (3, 4), (1, 5), (8, 8)])
def test_products_are_exact(kind, signs, widths):
    shapes = [Shape(width, sign) for width, sign in zip(widths, signs, strict=True)]
    first, second = (Signal(shape) for shape in shapes)
    ranges = [
        range(-(1 << (shape.width - 1)), 1 << (shape.width - 1))
        if shape.signed
        else range(1 << shape.width)
        for shape in shapes
    ]
    pairs = [(a, b) for a in ranges[0] for b in ranges[1]]
    if len(pairs) > 300:
        edges = [(own[0], own[-1]) for own in ranges]
        pairs = [*pairs[::251], *itertools.product(*edges)]
    module, result = Module(), Signal(signed(sum(widths) + 2))
    module.d.comb += result.eq(product(first, second, kind))
    assert results_of(module, [first, second], pairs, result) == [a * b for a, b in pairs]


#: All small ones, and those whose digits lie farther apart than a value is wide.
FACTORS = (
    *range(-40, 41),
    *(sign * ((1 << high) + low) for sign in (-1, 1) for high in (7, 9) for low in (-9, -1, 1, 8)),
)


@pytest.mark.parametrize("width", [1, 2, 3, 5])
@pytest.mark.parametrize("signed_value", [True, False])
def test_products_with_constants_are_exact(signed_value, width):
    value, bits = Signal(Shape(width, signed_value)), 18
    codes = range(-(1 << width - 1), 1 << width - 1) if signed_value else range(1 << width)
    module, results = Module(), []
    for factor in FACTORS:
        results.append(Signal(signed(bits)))
        factor_code = Const(factor, signed(11))
        module.d.comb += results[-1].eq(product(value, factor_code, "lut"))
    found = results_of(module, [value], [[code] for code in codes], Cat(*results))
    mask = (1 << bits) - 1
    for code, word in zip(codes, found, strict=True):
        wanted = [(code * factor) & mask for factor in FACTORS]
        assert [(word >> (bits * at)) & mask for at in range(len(FACTORS))] == wanted


def test_multipliers_of_another_kind_are_refused():
    with pytest.raises(ConfigError, match="multipliers = 'wood': is no kind of multiplier"):
        product(Signal(4), Signal(4), "wood")


@pytest.mark.parametrize("count", [1, 2, 4, 5, 16, 24])
def test_a_pipelined_sum_takes_its_clocks(count):
    module = Module()
    terms = [Signal(signed(6)) for _ in range(count)]
    total = pipelined_sum(module, terms, 12)
    values = np.random.default_rng(count).integers(-32, 32, count).tolist()

    async def bench(ctx):
        for term, value in zip(terms, values, strict=True):
            ctx.set(term, value)
        for _ in range(tree_clocks(count)):
            await ctx.tick()
        assert ctx.get(total) == sum(values)

    simulator = Simulator(module)
    if tree_clocks(count):
        simulator.add_clock(1e-6)
    simulator.add_testbench(bench)
    simulator.run()
