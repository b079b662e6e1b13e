"""Contraction plans: the same function as W, and the published numbers of multiplications."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fdht_models.errors import ShapeError
from fdht_models.tensor.formats import HierarchicalTucker, TensorTrain
from fdht_models.tensor.network import merge_arrays
from fdht_models.tensor.plan import ContractionPlan, plan_contraction
from fdht_models.tensor.planner import best_plan
from fdht_models.tensor.recurrent import fdht_shape
from tests.models.strategies import (
    SEEDS,
    dense_ht,
    fdht_shapes,
    random_arrays,
    rounding_bound,
    tree_of,
)

A0 = fdht_shape((8, 20, 20, 18), (16, 4, 4, 4), (8, 4, 8), 4, 4)
A1 = fdht_shape((8, 20, 20, 18), (4, 4, 8, 8), (8, 4, 8), 4, 4)
B = fdht_shape((10, 12, 20, 24), (16, 8, 4, 2), (8, 4, 8), 4, 4)
C = fdht_shape((10, 12, 20, 24), (32, 8, 4, 1), (8, 4, 8), 4, 4)
E = fdht_shape((8, 10, 10, 9, 8), (16, 4, 4, 2, 2), (4, 4, 2, 8), 4, 4)


def run(plan: ContractionPlan, arrays, vectors):
    """A plan in plain NumPy: [batch, inputs] -> [batch, outputs]."""
    running = vectors.reshape(-1, *plan.input_shape)
    for stage in plan.stages:
        assert running.shape[1:] == stage.input_shape
        core = arrays[stage.core][tuple(map(slice, stage.core_shape))]
        running = np.einsum(stage.subscripts, running, core)
        assert running.shape[1:] == stage.output_shape
    order = (0, *(axis + 1 for axis in plan.output_permutation))
    return running.transpose(order).reshape(len(vectors), plan.output_size)


# Multiplications --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("shape", "stages", "hidden"),
    [
        (A0, (921_600, 819_200, 163_840, 32_768), 24_576),
        (A1, (1_843_200, 3_276_800, 655_360, 32_768), 77_824),
        (B, (460_800, 307_200, 122_880, 40_960), 18_432),
        (C, (230_400, 153_600, 61_440, 40_960), 11_264),
        (E, (460_800, 460_800, 204_800, 81_920, 32_768), 16_384),
    ],
)
def test_macs_of_the_architecture_study(shape, stages, hidden):
    assert tuple(stage.macs for stage in shape.input_plan.stages) == stages
    assert shape.hidden_plan.macs == hidden


def test_macs_by_total():
    assert A0.input_plan.macs == 1_937_408
    assert B.input_plan.macs == 931_840
    assert C.input_plan.macs == 486_400
    assert E.input_plan.macs == 1_241_088


@pytest.mark.parametrize(
    ("inputs", "gates", "macs"),
    [
        # Yang et al. 2017, as recomputed from their shapes, TT-LSTM.
        ((8, 20, 20, 18), 4, 1_937_408),
        ((4, 20, 20, 36), 4, 1_429_504),
        # TIE (Deng et al. 2019): multiplications of one gate.
        ((8, 20, 20, 18), 1, 1_912_832),
        ((4, 20, 20, 36), 1, 1_417_216),
    ],
)
def test_macs_of_tensor_trains(inputs, gates, macs):
    network = TensorTrain((4, 4, 4)).network(inputs, (4 * gates, 4, 4, 4))
    plan = best_plan(network)
    assert [stage.core for stage in plan.stages] == ["G4", "G3", "G2", "G1"]
    assert plan.macs == macs


def test_macs_of_a_train_in_the_other_order():
    network = TensorTrain((4, 4, 4)).network((8, 20, 20, 18), (16, 4, 4, 4))
    assert plan_contraction(network, ("G1", "G2", "G3", "G4")).macs == 12_607_488


def test_macs_of_the_unmerged_tree():
    """The study's 2,871,296 for A0: merging leaves two thirds of them."""
    network = A0.network.resized({"i1": 8})
    order = ("U4", "U3", "B3_4", "U2", "U1", "B1_2", "B1_4")
    assert plan_contraction(network, order).macs == 2_871_296


def test_macs_of_ht_ucf11_depend_on_the_order():
    """Yin et al.'s UCF11 shape: 3.47 M with the gates' mode last; many times that otherwise."""
    network = HierarchicalTucker(4, 5).network((8, 10, 10, 9, 8), (16, 4, 2, 4, 2))
    last = ("U5", "U4", "B4_5", "U3", "B3_5", "U2", "U1", "B1_2", "B1_5")
    assert plan_contraction(network, last).macs == 3_471_360
    first = ("U1", "U2", "B1_2", "U3", "U4", "U5", "B4_5", "B3_5", "B1_5")
    assert plan_contraction(network, first).macs > 19_300_000


@pytest.mark.parametrize(
    ("shape", "accumulators"),
    [
        (A0, (16, 64, 256, 1_024)),
        (A1, (32, 256, 1_024, 1_024)),
        (B, (8, 32, 256, 1_024)),
        (C, (4, 16, 128, 1_024)),
        (E, (8, 16, 64, 256, 1_024)),
    ],
)
def test_accumulators_of_the_architecture_study(shape, accumulators):
    plan = shape.input_plan
    assert tuple(map(plan.accumulators, range(len(plan.stages)))) == accumulators
    assert plan.peak_buffer == 1_024


@given(fdht_shapes(max_modes=4))
@settings(max_examples=20)
def test_macs_are_those_of_a_loop_nest(shape):
    """Counts the innermost iterations of every stage by running the loops."""
    for plan in (shape.input_plan, shape.hidden_plan):
        for stage in plan.stages:
            loops = {**dict.fromkeys(stage.input_indices), **dict.fromkeys(stage.core_indices)}
            count = sum(1 for _ in itertools.product(*(range(stage.sizes[i]) for i in loops)))
            assert stage.macs == count
            assert stage.terms * math.prod(stage.output_shape) == count


# The function -----------------------------------------------------------------------------------


@given(fdht_shapes(max_modes=6, max_units=8, max_rank=2), SEEDS)
@settings(max_examples=25)
def test_both_plans_of_fdht_together_are_w(shape, seed):
    """W [x; h] by the recursion over the tree = both plans over the merged chain.

    Tolerance: each element of W by either way is within `rounding_bound`; the product with the
    vector adds one multiplication and at most as many additions as it has elements, once more
    bounded by n u times the sum of absolute products.
    """
    arrays = random_arrays(shape.network, seed)
    chain = merge_arrays(shape.network, shape.groups, arrays)
    generator = np.random.default_rng(seed)
    frames = generator.normal(size=(2, shape.input_size))
    hidden = generator.normal(size=(2, shape.units))
    axis = shape.stored.core("C1").indices.index("i1")
    x_part, h_part = np.split(chain["C1"], [shape.input_modes[0]], axis)
    found = run(shape.input_plan, {**chain, "C1": x_part}, frames)
    found = found + run(shape.hidden_plan, {**chain, "C1": h_part}, hidden)

    padded = np.zeros((2, shape.input_modes[0] + 1, *shape.input_modes[1:]))
    padded[:, :-1] = frames.reshape(2, *shape.input_modes)
    corner = (slice(None), -1, *(slice(side) for side in shape.hidden_box))
    padded[corner] = hidden.reshape(2, *shape.hidden_box)
    vectors = padded.reshape(2, -1)
    wanted = vectors @ dense_ht(tree_of(shape), arrays).T

    absolute = {name: np.abs(array) for name, array in arrays.items()}
    size = np.abs(vectors) @ dense_ht(tree_of(shape), absolute).T
    bound_of_w = rounding_bound(
        shape.network,
        arrays,
        lambda values: dense_ht(tree_of(shape), values),
    )
    bound = np.abs(vectors) @ bound_of_w.T + 4 * (vectors.shape[1] + 2) * 2.0**-53 * size
    assert (np.abs(found - wanted) <= bound).all()


@given(st.permutations(["U1", "U2", "U3", "B1_3", "B2_3"]), SEEDS)
@settings(max_examples=20)
def test_any_order_computes_the_same(order, seed):
    network = HierarchicalTucker(2, 3).network((2, 3, 2), (3, 1, 2))
    arrays = random_arrays(network, seed)
    vectors = np.random.default_rng(seed).normal(size=(3, 12))
    plan = plan_contraction(network, order)
    absolute = {name: np.abs(array) for name, array in arrays.items()}
    # As above: elements of W by either order, then 12 products and sums.
    bound = np.abs(vectors) @ rounding_bound(network, arrays, network.dense).T
    bound += 4 * 14 * 2.0**-53 * np.abs(vectors) @ network.dense(absolute).T
    difference = run(plan, arrays, vectors) - vectors @ network.dense(arrays).T
    assert (np.abs(difference) <= bound).all()


def test_a_stage_emits_in_the_order_of_a_raster_stream():
    """Input modes still to come first, so that the last mode of a frame is a contiguous fibre."""
    for stage, left in zip(B.input_plan.stages, (3, 2, 1, 0), strict=True):
        assert stage.output_indices[:left] == B.input_plan.inputs[:left]
        assert stage.input_indices[: left + 1] == B.input_plan.inputs[: left + 1]
        assert stage.summed[0] == f"i{left + 1}"
    assert B.input_cores == ("C4", "C3", "C2", "C1")


@given(fdht_shapes())
@settings(max_examples=20)
def test_json_round_trip(shape):
    for plan in (shape.input_plan, shape.hidden_plan):
        assert ContractionPlan.from_json(plan.to_json()) == plan


@pytest.mark.parametrize("order", [(), ("G1", "G2"), ("G1", "G2", "G2"), ("G1", "G2", "G4")])
def test_an_order_that_does_not_name_each_core_once_is_refused(order):
    network = TensorTrain((2, 2)).network((2, 2, 2), (2, 2, 2))
    with pytest.raises(ShapeError, match="must name each of"):
        plan_contraction(network, order)
