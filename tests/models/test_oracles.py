"""Programs of others as oracles: tensorly's reconstructions, and Keras' own LSTM and GRU.

And hierarchical Tucker, which no library here has, number by number from its definition. tednet is
in `test_oracles_tednet`.
"""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from fdht_models.kerasapi import keras, tf
from fdht_models.layers.kinds import LAYER_OF
from fdht_models.tensor.formats import (
    BlockTerm,
    CanonicalPolyadic,
    HierarchicalTucker,
    KroneckerCp,
    TensorRing,
    TensorTrain,
    Tucker,
)
from fdht_models.tensor.planner import best_plan
from tests.models.format_cases import SHAPES
from tests.models.inexact import FUNCTION_ERROR, forward_bound, matrices, recurrence, run_plan
from tests.models.strategies import random_arrays, rounding_bound

INPUTS, OUTPUTS = (3, 4, 5), (4, 2, 3)


@pytest.fixture
def tensorly():
    return pytest.importorskip(
        "tensorly",
        reason="TENSORLY IS MISSING: formats are checked against ourselves only; "
        "run: pip install tensorly",
    )


def assert_is_matrix(network, arrays, wanted):
    """Both the matrix and the plans' results are those of `wanted`, [outputs, inputs]."""
    bound = rounding_bound(network, arrays, network.dense)
    assert (np.abs(network.dense(arrays) - wanted) <= bound).all()
    assert bound.max() < 1e-9 * np.abs(wanted).max(), "the bound says little"
    x = np.random.default_rng(4).normal(size=(2, network.input_size))
    # What stands behind `wanted` errs by `bound`; its product with x by what a plan's does.
    for streamed in (True, False):
        plan = best_plan(network, streamed=streamed)
        limit = forward_bound(plan, network, arrays, x) + np.abs(x) @ bound.T
        assert (np.abs(run_plan(plan, arrays, x) - x @ wanted.T) <= limit).all()


def unpaired(tensor, modes=3):
    """[o1 i1, o2 i2, ..] with modes of INPUTS and OUTPUTS -> [outputs, inputs]."""
    pairs = itertools.chain.from_iterable(zip(OUTPUTS[:modes], INPUTS[:modes], strict=True))
    axes = [*range(0, 2 * modes, 2), *range(1, 2 * modes, 2)]
    rows = int(np.prod(OUTPUTS[:modes]))
    return np.asarray(tensor).reshape(*pairs).transpose(axes).reshape(rows, -1)


# tensorly ---------------------------------------------------------------------------------------


def train_cores(arrays):
    """tensorly's TT-matrix cores: [rank before, rows (outputs), columns (inputs), rank after]."""
    return [
        arrays["G1"].transpose(1, 0, 2)[None],
        arrays["G2"].transpose(2, 1, 0, 3),
        arrays["G3"].transpose(2, 1, 0)[..., None],
    ]


def test_tt_is_tensorlys_matrix_and_tensor(tensorly):
    from tensorly.tt_matrix import tt_matrix_to_matrix, tt_matrix_to_tensor
    from tensorly.tt_tensor import tt_to_tensor

    network = TensorTrain((2, 3)).network(INPUTS, OUTPUTS)
    arrays = random_arrays(network, 0)
    cores = train_cores(arrays)
    assert_is_matrix(network, arrays, np.asarray(tt_matrix_to_matrix(cores)))
    modes = np.asarray(tt_matrix_to_tensor(cores))
    assert modes.shape == (*OUTPUTS, *INPUTS)
    assert_is_matrix(network, arrays, modes.reshape(24, 60))
    paired = [core.reshape(core.shape[0], -1, core.shape[-1]) for core in cores]
    assert_is_matrix(network, arrays, unpaired(tt_to_tensor(paired)))


def test_tr_is_tensorlys_ring(tensorly):
    from tensorly.tr_tensor import tr_to_tensor

    network = TensorRing((2, 3, 2, 4, 1, 3)).network(INPUTS, OUTPUTS)
    arrays = random_arrays(network, 1)
    ring = np.asarray(tr_to_tensor([arrays[name] for name in network.core_names]))
    assert_is_matrix(network, arrays, ring.reshape(60, 24).T)


def test_cp_is_tensorlys(tensorly):
    from tensorly.cp_tensor import cp_to_tensor

    network = CanonicalPolyadic(4).network(INPUTS, OUTPUTS)
    arrays = random_arrays(network, 2)
    factors = [arrays[name] for name in network.core_names]
    tensor = np.asarray(cp_to_tensor((np.ones(4), factors)))
    assert_is_matrix(network, arrays, tensor.reshape(60, 24).T)


@pytest.mark.parametrize("ranks", [((2, 3, 2), (2, 1, 3)), ((2, 0, 3), (0, 2, 0))], ids=str)
def test_tucker_is_tensorlys(tensorly, ranks):
    from tensorly.tucker_tensor import tucker_to_tensor

    network = Tucker(*ranks).network(INPUTS, OUTPUTS)
    arrays = random_arrays(network, 3)
    names = [f"{letter}{k}" for letter in "AB" for k in (1, 2, 3)]
    # A mode without a factor is whole in the core.
    factors = [
        arrays.get(name, np.eye(size))
        for name, size in zip(names, (*INPUTS, *OUTPUTS), strict=True)
    ]
    tensor = np.asarray(tucker_to_tensor((arrays["G"], factors)))
    assert_is_matrix(network, arrays, tensor.reshape(60, 24).T)


def test_bt_is_a_sum_of_tensorlys_tucker_tensors(tensorly):
    from tensorly.tucker_tensor import tucker_to_tensor

    network = BlockTerm(3, 2).network(INPUTS, OUTPUTS)
    arrays = random_arrays(network, 4)
    total = sum(
        tucker_to_tensor(
            (
                arrays["G"][block],
                # [n, m, R] -> [m n, R]: one mode of a pair.
                [arrays[f"U{k}"][block].swapaxes(0, 1).reshape(-1, 2) for k in (1, 2, 3)],
            )
        )
        for block in range(3)
    )
    assert_is_matrix(network, arrays, unpaired(total))


def test_kcp_is_a_sum_of_kronecker_products_of_tensorlys_cp_matrices(tensorly):
    from tensorly.cp_tensor import cp_to_tensor
    from tensorly.tenalg import kronecker

    network = KroneckerCp(2, 3).network(INPUTS, OUTPUTS)
    arrays = random_arrays(network, 5)
    total = sum(
        kronecker(
            [
                cp_to_tensor((np.ones(3), [arrays[f"U{k}"][term], arrays[f"V{k}"][term]]))
                for k in (1, 2, 3)
            ]
        )
        for term in range(2)
    )
    assert_is_matrix(network, arrays, np.asarray(total))


# Hierarchical Tucker ----------------------------------------------------------------------------


def element(tree, arrays, inputs, outputs):
    """One number of W by loops over the ranks: a node's vector of its subtree's modes.

    A leaf has U_k(i_k, o_k, :); a node has, for each r, the sum over a and b of B(a, b, r) times
    its children's numbers a and b. The root's vector has one number.
    """
    if isinstance(tree, int):
        return arrays[f"U{tree}"][inputs[tree - 1], outputs[tree - 1]]
    left, right = (element(child, arrays, inputs, outputs) for child in tree)
    modes = leaves_of(tree)
    transfer = arrays[f"B{modes[0]}_{modes[-1]}"]
    transfer = transfer.reshape(len(left), len(right), -1)
    vector = np.zeros(transfer.shape[2])
    for a, b, r in np.ndindex(*transfer.shape):
        vector[r] += transfer[a, b, r] * left[a] * right[b]
    return vector


def leaves_of(tree):
    """Mode numbers below a node, from left to right."""
    return [tree] if isinstance(tree, int) else [*leaves_of(tree[0]), *leaves_of(tree[1])]


@pytest.mark.parametrize(
    ("inputs", "outputs", "ranks", "tree"),
    [
        ((3, 2, 4), (2, 3, 2), (2, 3, 1), (1, (2, 3))),
        ((3, 2, 4), (2, 3, 2), 2, ((1, 2), 3)),
        ((2, 3, 2, 2), (2, 1, 2, 3), (2, 1, 3, 2), ((1, 2), (3, 4))),
        ((2, 3, 2, 2), (2, 2, 2, 1), 2, (1, (2, (3, 4)))),
        ((2, 1, 3, 2, 2), (1, 2, 2, 2, 1), 2, ((1, 2), (3, (4, 5)))),
    ],
)
def test_ht_is_its_definition_number_by_number(inputs, outputs, ranks, tree):
    network = HierarchicalTucker(ranks, 3, tree).network(inputs, outputs)
    arrays = random_arrays(network, 6)
    wanted = np.empty((*outputs, *inputs))
    for place in np.ndindex(*wanted.shape):
        (wanted[place],) = element(tree, arrays, place[len(outputs) :], place[: len(outputs)])
    assert_is_matrix(network, arrays, wanted.reshape(network.output_size, -1))


# Keras ------------------------------------------------------------------------------------------


def test_float_gates_are_as_exact_as_the_bounds_say():
    values = np.linspace(-30, 30, 400_001, dtype=np.float32)
    exact = values.astype(np.float64)
    for function, wanted in ((tf.sigmoid, 1 / (1 + np.exp(-exact))), (tf.tanh, np.tanh(exact))):
        assert np.abs(function(values).numpy() - wanted).max() <= FUNCTION_ERROR


def layer_of(shape):
    """A layer of ours with random weights, its arrays, its bias, and frames of suitable size."""
    keras.utils.set_random_seed(0)
    kind = LAYER_OF[shape.cell]
    modes = (shape.input_modes, shape.output_modes, shape.hidden_box)
    layer = kind(shape.format, *modes, return_sequences=True)
    layer.build((None, None, shape.input_size))
    layer.bias.assign(np.random.default_rng(1).normal(size=layer.bias.shape, scale=0.3))
    arrays = {name: variable.numpy() for name, variable in layer.tensors.items()}
    frames = np.random.default_rng(0).uniform(size=(3, 5, shape.input_size))
    frames /= np.std(frames @ matrices(shape, arrays)[0].T)  # W_x x of about +-1
    return layer, arrays, layer.bias.numpy(), frames.astype(np.float32)


def keras_hidden(shape, arrays, bias, frames):
    """h of every step by Keras in float64, with the dense reconstruction as its kernels."""
    # Ours f, u, c, o and r, z, n; Keras' i, f, c, o and z, r, h.
    order = (1, 0, 2, 3) if shape.cell == "lstm" else (1, 0, 2)

    def reorder(rows):
        blocks = np.split(rows, len(shape.gates))
        if shape.cell == "mgu":  # a GRU with r = f, and z = 1 - f, a sigmoid of f's negative
            blocks = [blocks[0], -blocks[0], blocks[1]]
        return np.concatenate([blocks[gate] for gate in order])

    options = {"return_sequences": True, "dtype": "float64"}
    biases = reorder(np.asarray(bias, np.float64))
    if shape.cell != "lstm":
        oracle = keras.layers.GRU(shape.units, reset_after=True, **options)
        biases = np.stack([biases, np.zeros_like(biases)])  # the recurrent one is zero
    else:
        oracle = keras.layers.LSTM(shape.units, **options)
    oracle.build((None, None, shape.input_size))
    oracle.set_weights([*(reorder(matrix).T for matrix in matrices(shape, arrays)), biases])
    return oracle(frames.astype(np.float64)).numpy()


@pytest.mark.parametrize("label", SHAPES)
def test_a_float_layer_is_keras_with_the_dense_matrix(label):
    """Every format, LSTM and GRU, W_h integrated or not, within what float32 may be off."""
    shape = SHAPES[label]
    layer, arrays, bias, frames = layer_of(shape)
    wanted = keras_hidden(shape, arrays, bias, frames)
    expected = recurrence(shape, arrays, bias, frames)
    found = layer(frames).numpy()
    # The float64 side, Keras and that of the bound, errs by 2^-29 of what float32 does.
    assert (np.abs(found - wanted) <= expected.error * (1 + 2.0**-20)).all()
    assert (np.abs(expected.value - wanted) <= expected.error * 2.0**-20).all()
    assert expected.error.max() < 2e-4 and np.ptp(wanted) > 0.1, "the comparison says little"


@pytest.mark.parametrize("label", ["tt-lstm", "ht-gru-integrated", "kcp-vectors-lstm"])
def test_a_gate_that_is_slightly_off_is_seen(label):
    """By a bias of 0.01."""
    shape = SHAPES[label]
    layer, arrays, bias, frames = layer_of(shape)
    bound = recurrence(shape, arrays, bias, frames).error
    for gate in range(len(shape.gates)):
        other = bias.copy()
        other[gate * shape.units : (gate + 1) * shape.units] += 0.01
        wanted = keras_hidden(shape, arrays, other, frames)
        assert (np.abs(layer(frames).numpy() - wanted) > bound).any(), shape.gates[gate]
