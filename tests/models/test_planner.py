"""The planner against a search through all orders, and against the published orders."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fdht_models.errors import ConfigError, ShapeError
from fdht_models.tensor.formats import (
    BlockTerm,
    CanonicalPolyadic,
    Dense,
    HierarchicalTucker,
    KroneckerCp,
    TensorRing,
    TensorTrain,
    Tucker,
)
from fdht_models.tensor.formats.trees import balanced_tree, unbalanced_tree
from fdht_models.tensor.network import TensorNetwork
from fdht_models.tensor.plan import ContractionPlan, plan_contraction
from fdht_models.tensor.planner import OBJECTIVES, best_plan
from tests.models.strategies import SEEDS, random_arrays, rounding_bound

UCF11 = (8, 20, 20, 18)
MODES = st.integers(1, 4)
RANKS = st.integers(1, 3)


@st.composite
def networks(draw: st.DrawFn) -> TensorNetwork:
    """A small network in any format."""
    count = draw(st.integers(2, 3))
    inputs, outputs = (draw(st.lists(MODES, min_size=count, max_size=count)) for _ in "io")
    rank, other = draw(RANKS), draw(RANKS)
    kind = draw(st.sampled_from(["ht", "tt", "tr", "bt", "tucker", "cp", "kcp", "dense"]))
    if kind == "ht":
        tree = draw(st.sampled_from([balanced_tree, unbalanced_tree]))(count)
        return HierarchicalTucker(rank, other, tree).network(inputs, outputs)
    makers = {
        "tt": lambda: TensorTrain(rank).network(inputs, outputs),
        "tr": lambda: TensorRing(rank).network(inputs, outputs[:2]),
        "bt": lambda: BlockTerm(other, rank).network(inputs, outputs),
        "tucker": lambda: Tucker(rank, (0, other)).network(inputs, outputs[:2]),
        "cp": lambda: CanonicalPolyadic(rank).network(inputs, outputs[:2]),
        "kcp": lambda: KroneckerCp(other, rank).network(inputs, outputs),
        "dense": lambda: Dense().network(inputs, outputs),
    }
    return makers[kind]()


def run(plan: ContractionPlan, arrays: dict[str, np.ndarray], vectors: np.ndarray) -> np.ndarray:
    running = vectors.reshape(-1, *plan.input_shape)
    for stage in plan.stages:
        running = np.einsum(stage.subscripts, running, arrays[stage.core], optimize=True)
    axes = (0, *(axis + 1 for axis in plan.output_permutation))
    return running.transpose(axes).reshape(len(vectors), -1)


@given(networks(), st.sampled_from(OBJECTIVES), st.booleans(), SEEDS)
@settings(max_examples=60, deadline=None)
def test_every_plan_computes_the_dense_product(network, objective, streamed, seed):
    arrays = random_arrays(network, seed)
    vectors = np.random.default_rng(seed).normal(size=(2, network.input_size))
    plan = best_plan(network, objective, streamed)
    absolute = {name: np.abs(array) for name, array in arrays.items()}
    # Elements of W by either order, then as many products and sums as there are inputs.
    bound = np.abs(vectors) @ rounding_bound(network, arrays, network.dense).T
    steps = network.input_size + 2 * len(network.cores) + 8
    bound = 8 * bound + 4 * steps * 2.0**-53 * np.abs(vectors) @ network.dense(absolute).T
    difference = run(plan, arrays, vectors) - vectors @ network.dense(arrays).T
    assert (np.abs(difference) <= bound).all()


def independent_costs(network: TensorNetwork, order: tuple[str, ...]) -> dict[str, int]:
    """Costs of an order from sets of indices alone."""
    modes = {*network.inputs, *network.outputs}
    running, macs, buffer = set(network.inputs), 0, 0
    for position, name in enumerate(order):
        core = set(network.core(name).indices)
        later = {i for other in order[position + 1 :] for i in network.core(other).indices}
        union = running | core
        macs += int(np.prod([network.sizes[index] for index in union]))
        # An input mode that this core sums is gone; outputs stay; bonds as long as they are used.
        running = {i for i in union if i in network.outputs or i in later}
        buffer = max(
            buffer, int(np.prod([network.sizes[i] for i in running if i not in network.inputs]))
        )
    assert running == set(network.outputs) <= modes
    return {"macs": macs, "buffer": buffer}


@given(networks(), st.sampled_from(["macs", "buffer"]))
@settings(max_examples=40, deadline=None)
def test_no_order_is_better(network, objective):
    """All orders of at most 7 cores, one by one."""
    if len(network.cores) > 6:
        return
    best = best_plan(network, objective, streamed=False)
    found = {"macs": best.macs, "buffer": best.peak_buffer}[objective]
    orders = itertools.permutations(network.core_names)
    costs = [independent_costs(network, order)[objective] for order in orders]
    # Cores that share nothing with what was contracted are not taken early; that never helps MACs.
    assert found <= min(costs) or objective == "buffer"
    assert found in costs


@given(networks())
@settings(max_examples=40, deadline=None)
def test_a_streamed_plan_sums_input_modes_from_the_last_to_the_first(network):
    left = list(network.inputs)
    for stage in best_plan(network, streamed=True).stages:
        own = [index for index in stage.core_indices if index in network.inputs]
        assert own == left[len(left) - len(own) :]
        left = left[: len(left) - len(own)]
    assert left == []


@given(networks())
@settings(max_examples=40, deadline=None)
def test_bonds_that_a_stage_sums_come_last(network):
    """So that they are the innermost of a stream."""
    plan = best_plan(network)
    for stage in plan.stages:
        bonds = [i for i in stage.input_indices if i not in (*plan.inputs, *plan.outputs)]
        summed = [index for index in bonds if index in stage.summed]
        assert bonds[len(bonds) - len(summed) :] == summed


@pytest.mark.parametrize(
    ("network", "macs"),
    [
        # [S, C]: Yang et al. 2017, from their shapes; TIE's workloads have one gate.
        (TensorTrain(4).network(UCF11, (16, 4, 4, 4)), 1_937_408),
        (TensorTrain(4).network((4, 20, 20, 36), (16, 4, 4, 4)), 1_429_504),
        (TensorTrain(4).network(UCF11, (4, 4, 4, 4)), 1_912_832),
        (TensorTrain(4).network((4, 20, 20, 36), (4, 4, 4, 4)), 1_417_216),
    ],
)
def test_published_orders_are_found(network, macs):
    assert best_plan(network).macs == macs


def test_hierarchical_tucker_is_better_than_the_order_of_the_study():
    """3,471,360 MACs: leaf by leaf, last mode first, the gate's mode last, nothing merged."""
    network = HierarchicalTucker(4, 5).network((8, 10, 10, 9, 8), (16, 4, 2, 4, 2))
    study = ("U5", "U4", "B4_5", "U3", "B3_5", "U2", "U1", "B1_2", "B1_5")
    assert plan_contraction(network, study).macs == 3_471_360
    assert best_plan(network).macs == 2_486_528
    assert best_plan(network, streamed=False).macs <= best_plan(network).macs


def test_objectives_differ():
    network = BlockTerm(2, 4).network(UCF11, (16, 4, 4, 4))
    plans = {objective: best_plan(network, objective) for objective in OBJECTIVES}
    assert plans["macs"].macs <= min(plan.macs for plan in plans.values())
    assert plans["buffer"].peak_buffer <= min(plan.peak_buffer for plan in plans.values())
    assert plans["cycles"].turns <= min(plan.turns for plan in plans.values())
    assert plans["buffer"].peak_buffer < plans["macs"].peak_buffer


def test_what_cannot_be_planned_is_refused():
    with pytest.raises(ConfigError, match=r"objective = 'mac'.*did you mean 'macs'"):
        best_plan(Dense().network((2, 2), (2, 2)), "mac")
    with pytest.raises(ShapeError, match="at most 16 cores"):
        best_plan(CanonicalPolyadic(2).network((2,) * 9, (2,) * 8))
