"""Graphs of adders: exact for every kernel, small, and clear about what is missing."""

from __future__ import annotations

import numpy as np
import pytest

from fdht_hls.adders import AdderGraph, Output, adder_graph
from fdht_models.errors import ConversionError, ToolError
from fdht_models.tensor.fixedpoint import FixedPoint

UNSIGNED, SIGNED = FixedPoint(8, 8, signed=False), FixedPoint(8, 7)


def kernel_of(shape: tuple[int, int], width: int, seed: int) -> np.ndarray:
    """Normal weights, clipped at 3 sigma, as in the study."""
    top = 1 << (width - 1)
    values = np.random.default_rng(seed).normal(size=shape) * top / 3
    return np.clip(np.rint(values), -top, top - 1).astype(np.int64)


@pytest.mark.parametrize("source", [UNSIGNED, SIGNED, FixedPoint(12, 9)])
@pytest.mark.parametrize(
    ("shape", "width"), [((5, 4), 8), ((1, 3), 8), ((8, 8), 6), ((24, 8), 8), ((3, 1), 12)]
)
def test_graphs_compute_the_kernel_within_their_bounds(shape, width, source):
    kernel = kernel_of(shape, width, sum(shape))
    graph = adder_graph(kernel, source)
    generator = np.random.default_rng(0)
    values = generator.integers(source.minimum, source.maximum + 1, (64, shape[0]))
    # The extremes of every output, and of many nodes.
    ends = [np.where(kernel.T * sign > 0, source.maximum, source.minimum) for sign in (1, -1)]
    values = np.concatenate([values, *ends])
    np.testing.assert_array_equal(graph.evaluate(values), values @ kernel)
    for node in graph.nodes:
        assert -(1 << (node.width - 1)) <= node.low <= node.high < 1 << (node.width - 1)
    assert graph.clocks <= 5
    assert graph == adder_graph(kernel, source)


@pytest.mark.parametrize(
    "kernel", [[[0, 0], [0, 0]], [[1, 0], [0, -1]], [[4, -4], [0, 0]], [[3, 3], [-3, -3]]]
)
def test_zeros_powers_of_two_and_equal_columns(kernel):
    codes = np.array(kernel)
    graph = adder_graph(codes, SIGNED)
    values = np.array([[-128, 127], [127, -128], [5, 7]])
    np.testing.assert_array_equal(graph.evaluate(values), values @ codes)
    assert graph.adders <= 3


def test_the_study_s_kernel_takes_what_the_study_found():
    """24 x 8 weights of 8 bits: 2,998 LUT with da4ml 0.6.0; weights differ."""
    graph = adder_graph(kernel_of((24, 8), 8, 0), SIGNED)
    assert graph.cost == pytest.approx(2998, rel=0.05)
    assert graph.register_bits == pytest.approx(2284, rel=0.25)


def test_another_kernel_than_was_asked_for_is_refused(monkeypatch):
    """The negative control: an output with the wrong sign."""
    from fdht_hls import adders

    build = adders._Builder.graph

    def wrong(self, found, inputs):
        graph = build(self, found, inputs)
        first = graph.outputs[0]
        return AdderGraph(
            graph.nodes, (Output(first.term, not first.negative), *graph.outputs[1:]), graph.cost
        )

    monkeypatch.setattr(adders._Builder, "graph", wrong)
    with pytest.raises(ConversionError, match="da4ml: gave adders that compute another kernel"):
        adder_graph(kernel_of((4, 3), 8, 77), SIGNED)


def test_a_missing_da4ml_is_named(monkeypatch):
    monkeypatch.setattr("fdht_hls.adders.adders_available", lambda: False)
    with pytest.raises(ToolError, match=r"da4ml: is needed for adders; pip install 'fdht\[hls\]'"):
        adder_graph(kernel_of((4, 3), 8, 78), SIGNED)


def test_a_kernel_of_many_weights_is_refused_before_da4ml_sees_it(monkeypatch):
    monkeypatch.setattr("fdht_hls.adders.solve", None)
    with pytest.raises(ConversionError, match=r"kernel = \(64, 33\): .* at most 2,048 weights"):
        adder_graph(kernel_of((64, 33), 8, 0), SIGNED)


def test_a_failure_of_da4ml_is_waited_for_once(monkeypatch):
    asked = []

    def fail(kernel, source):
        asked.append(kernel)
        raise ToolError("found no adders within 600 s", field="da4ml")

    monkeypatch.setattr("fdht_hls.adders.solve", fail)
    for _ in range(2):
        with pytest.raises(ToolError, match="within 600 s"):
            adder_graph(kernel_of((4, 3), 8, 79), SIGNED)
    assert len(asked) == 1
