"""HT, FDHT and TT against published parameter counts and against dense recursions."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fdht_models.errors import ShapeError
from fdht_models.tensor.formats import HierarchicalTucker, TensorTrain
from fdht_models.tensor.formats.trees import as_tree, balanced_tree, inner_nodes, leaves
from fdht_models.tensor.recurrent import fdht_shape
from tests.models.strategies import (
    SEEDS,
    caterpillar,
    dense_ht,
    dense_tt,
    fdht_shapes,
    random_arrays,
    rounding_bound,
    trees,
)

UCF11 = (8, 20, 20, 18)
YOUTUBE = (4, 20, 20, 36)
HOLLYWOOD2 = (10, 18, 13, 30)


# Published counts -------------------------------------------------------------------------------


def test_ht_ucf11_has_the_published_1245_parameters():
    """Yin et al. 2020: 57,600 x 1,024 as HT with 1,245 numbers, 47,375x fewer."""
    network = HierarchicalTucker(4, 5).network((8, 10, 10, 9, 8), (16, 4, 2, 4, 2))
    assert (network.input_size, network.output_size) == (57_600, 1_024)
    assert network.parameter_count == 1_245
    assert network.input_size * network.output_size // network.parameter_count == 47_375


def test_an_ht_network_of_the_published_3132_parameters():
    """3,132 is the smallest published FDHT-LSTM; shape and ranks are our inference (10,711x)."""
    network = HierarchicalTucker(3, 5).network((16, 16, 16), (32, 16, 16))
    assert (network.input_size, network.output_size) == (4_096, 8_192)
    assert network.parameter_count == 3_132
    assert network.input_size * network.output_size // network.parameter_count == 10_713


@pytest.mark.parametrize(
    ("inputs", "gates", "ranks", "count"),
    [
        # Yang, Krompass and Tresp 2017: TT-LSTM (gate factor 4) and TT-GRU (3).
        (UCF11, 4, (4, 4, 4), 3_360),
        (YOUTUBE, 4, (4, 4, 4), 3_392),
        (HOLLYWOOD2, 4, (4, 4, 4), 3_104),
        (UCF11, 3, (4, 4, 4), 3_232),
        (YOUTUBE, 3, (4, 4, 4), 3_328),
        (HOLLYWOOD2, 3, (4, 4, 4), 2_944),
        # Their table over ranks 3 / 4 / 5 for UCF11: one gate, LSTM, GRU.
        (UCF11, 1, (3, 3, 3), 1_752),
        (UCF11, 1, (4, 4, 4), 2_976),
        (UCF11, 1, (5, 5, 5), 4_520),
        (UCF11, 4, (3, 3, 3), 2_040),
        (UCF11, 4, (5, 5, 5), 5_000),
        (UCF11, 3, (3, 3, 3), 1_944),
        (UCF11, 3, (5, 5, 5), 4_840),
        # TIE's workload (Deng et al. 2019): one gate of the YouTube network.
        (YOUTUBE, 1, (4, 4, 4), 3_200),
    ],
)
def test_tt_has_the_published_parameters(inputs, gates, ranks, count):
    network = TensorTrain(ranks).network(inputs, (4 * gates, 4, 4, 4))
    assert network.output_size == 256 * gates
    assert network.parameter_count == count


@pytest.mark.parametrize(
    ("inputs", "outputs", "box", "count"),
    [
        # The configurations of the architecture study, leaf rank = inner rank = 4.
        (UCF11, (16, 4, 4, 4), (8, 4, 8), 1_648),
        (UCF11, (4, 4, 8, 8), (8, 4, 8), 1_824),
        ((10, 12, 20, 24), (16, 8, 4, 2), (8, 4, 8), 1_744),
        ((10, 12, 20, 24), (32, 8, 4, 1), (8, 4, 8), 2_352),
        ((8, 10, 10, 9, 8), (16, 4, 4, 2, 2), (4, 4, 2, 8), 1_240),
    ],
)
def test_fdht_has_the_parameters_of_the_study(inputs, outputs, box, count):
    """The slice that meets h counts, the bias (1,024) does not."""
    shape = fdht_shape(inputs, outputs, box, 4, 4)
    assert shape.units == 256
    assert shape.network.parameter_count == count
    assert shape.parameter_count == count + 1_024


def test_fdht_counts_what_the_chip_holds():
    shape = fdht_shape(UCF11, (16, 4, 4, 4), (8, 4, 8), 4, 4)
    # The chain of a balanced tree of 4 modes is a train: 3,360 words of TT-UCF11 and the slice
    # of the first core that meets h, 16 x 4.
    assert shape.constant_count == 3_360 + 64 + 1_024
    # 4 (I H + H H + H), the usual LSTM.
    assert shape.dense_parameter_count == 4 * (57_600 * 256 + 256 * 256 + 256)


# The matrix -------------------------------------------------------------------------------------


@given(st.data(), st.integers(2, 6), SEEDS)
@settings(max_examples=25)
def test_ht_equals_the_recursion_over_its_tree(data, modes, seed):
    tree = data.draw(
        st.one_of(st.sampled_from([balanced_tree(modes), caterpillar(modes)]), trees(modes))
    )
    generator = np.random.default_rng(seed)
    largest = {2: 6, 3: 4, 4: 3, 5: 2, 6: 2}[modes]
    inputs, outputs = generator.integers(1, largest + 1, (2, modes)).tolist()
    ranks = generator.integers(1, 4, modes).tolist()
    network = HierarchicalTucker(ranks, int(generator.integers(1, 4)), tree).network(
        inputs, outputs
    )
    arrays = random_arrays(network, seed)
    wanted = dense_ht(tree, arrays)
    assert wanted.shape == (math.prod(outputs), math.prod(inputs))
    bound = rounding_bound(network, arrays, lambda values: dense_ht(tree, values))
    assert (np.abs(network.dense(arrays) - wanted) <= bound).all()


@given(st.integers(2, 5), SEEDS)
@settings(max_examples=20)
def test_tt_equals_its_recursion(modes, seed):
    generator = np.random.default_rng(seed)
    largest = {2: 6, 3: 4, 4: 3, 5: 2}[modes]
    inputs, outputs = generator.integers(1, largest + 1, (2, modes)).tolist()
    network = TensorTrain(generator.integers(1, 4, modes - 1).tolist()).network(inputs, outputs)
    arrays = random_arrays(network, seed)

    def dense(values):
        cores = [values[f"G{k}"] for k in range(1, modes + 1)]
        cores[0], cores[-1] = cores[0][:, :, None], cores[-1][..., None]
        return dense_tt(cores)

    bound = rounding_bound(network, arrays, dense)
    assert (np.abs(network.dense(arrays) - dense(arrays)) <= bound).all()


def test_tt_equals_tensorly():
    """The widely used library for tensor formats has the same idea of a TT matrix."""
    tt_matrix = pytest.importorskip(
        "tensorly.tt_matrix",
        reason="TENSORLY IS MISSING: TT is checked against our own recursion only "
        "(pip install tensorly)",
    )
    network = TensorTrain((2, 3)).network((2, 3, 4), (3, 2, 2))
    arrays = random_arrays(network, 7)
    # tensorly: cores [rank before, rows, columns, rank after], here rows = outputs.
    cores = [
        arrays["G1"].transpose(1, 0, 2)[None],
        arrays["G2"].transpose(2, 1, 0, 3),
        arrays["G3"].transpose(2, 1, 0)[..., None],
    ]
    wanted = np.asarray(tt_matrix.tt_matrix_to_matrix(cores))
    bound = rounding_bound(network, arrays, network.dense)
    assert (np.abs(network.dense(arrays) - wanted) <= bound).all()


@given(st.data(), st.integers(1, 9))
@settings(max_examples=30)
def test_a_tree_has_one_inner_node_a_pair_and_children_first(data, modes):
    tree = data.draw(trees(modes))
    assert leaves(tree) == tuple(range(1, modes + 1))
    nodes = list(inner_nodes(tree))
    assert len(nodes) == modes - 1
    done = set(range(1, modes + 1))
    spans = {(k, k) for k in done}
    for node in nodes:
        assert (node.first, node.split) in spans
        assert (node.split + 1, node.last) in spans
        spans.add((node.first, node.last))


@pytest.mark.parametrize(
    ("modes", "tree"),
    [
        (2, (1, 2)),
        (3, (1, (2, 3))),
        (4, ((1, 2), (3, 4))),
        (5, ((1, 2), (3, (4, 5)))),
        (6, ((1, (2, 3)), (4, (5, 6)))),
    ],
)
def test_balanced_tree(modes, tree):
    assert balanced_tree(modes) == tree


# FDHT -------------------------------------------------------------------------------------------


@given(fdht_shapes(max_modes=5))
@settings(max_examples=30)
def test_fdht_shapes_are_consistent(shape):
    assert shape.input_plan.input_size == shape.input_size == math.prod(shape.input_modes)
    assert shape.input_plan.output_size == shape.hidden_plan.output_size == 4 * shape.units
    assert shape.hidden_plan.input_size == shape.units
    assert shape.network.input_size == (shape.input_modes[0] + 1) * math.prod(shape.input_modes[1:])
    assert shape.network.parameter_count == sum(
        math.prod(array.shape) for array in random_arrays(shape.network, 0).values()
    )


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"output_modes": (6, 2, 2)}, "output_modes = [6, 2, 2]: its first mode carries"),
        ({"output_modes": ()}, "output_modes = []: its first mode carries"),
        ({"hidden_box": (8,)}, "hidden_box = [8]: needs 2 sides"),
        ({"hidden_box": (2, 2)}, "hidden_box = [2, 2]: the product of its sides must be the 8"),
        ({"hidden_box": (1, 8)}, "hidden_box = [1, 8]: side 8 is longer than its input mode 5"),
        ({"input_modes": (3, 4, 0), "hidden_box": (8, 1)}, "side 8 is longer"),
        ({"leaf_rank": (2, 2)}, "leaf_rank = (2, 2): need one rank for each of 3 leaves"),
        ({"leaf_rank": 0}, "leaf_rank = 0: must be at least 1"),
        ({"inner_rank": -1}, "inner_rank = -1: must be at least 1"),
        ({"tree": ((1, 3), 2)}, "tree = ((1, 3), 2): its leaves must be 1..3 from left to right"),
        ({"tree": (1, 2)}, "its leaves must be 1..3"),
        ({"output_modes": (8, 4)}, "3 input modes and 2 output modes"),
    ],
)
def test_fdht_refuses_what_does_not_fit(change, message):
    good = {
        "input_modes": (3, 4, 5),
        "output_modes": (8, 2, 2),
        "hidden_box": (2, 4),
        "leaf_rank": 2,
        "inner_rank": 2,
    }
    fdht_shape(**good)
    with pytest.raises(ShapeError) as caught:
        fdht_shape(**{**good, **change})
    assert message in str(caught.value)


def test_formats_refuse_what_does_not_fit():
    with pytest.raises(ShapeError, match="1 input modes and 1 output modes"):
        TensorTrain(()).network((4,), (4,))
    with pytest.raises(ShapeError, match=r"ranks = \(2,\): need one rank for each of 2 bonds"):
        TensorTrain((2,)).network((4, 4, 4), (4, 4, 4))
    with pytest.raises(ShapeError, match=r"input_modes = \[4, 0\]: must be positive"):
        TensorTrain((2,)).network((4, 0), (4, 4))
    with pytest.raises(ShapeError, match="must be positive sizes"):
        HierarchicalTucker(2, 2).network((-2, -2), (4, 4))


def test_trees_come_from_nested_lists():
    assert as_tree([[1, 2], [3, [4, 5]]]) == ((1, 2), (3, (4, 5)))
    assert as_tree(1) == 1
    for wrong in ([1, 2, 3], "12", None, True, [1, "2"], 1.5):
        with pytest.raises(ShapeError, match="must be a mode number or a pair of subtrees"):
            as_tree(wrong)
