"""tednet, a PyTorch library of tensor networks: with its weights we compute its results.

PyTorch is large, so it is not among what `make setup` installs: `make oracles` adds it.
"""

from __future__ import annotations

import numpy as np
import pytest

from fdht_models.layers.lstm import TensorLSTM
from fdht_models.tensor.planner import best_plan
from tests.models.inexact import forward_bound, recurrence, run_plan
from tests.models.strategies import rounding_bound

_MISSING = "TEDNET IS MISSING: TT, TR, BT, CP and Tucker are not compared with it; make oracles"
torch = pytest.importorskip("torch", reason=_MISSING)
pytest.importorskip("tednet", reason=_MISSING)

from tests.models import tednet_weights as tednet  # noqa: E402 - it imports tednet

UCF11 = (8, 20, 20, 18)
YOUTUBE = (4, 20, 20, 36)
HOLLYWOOD2 = (10, 18, 13, 30)
FOUR = (16, 4, 4, 4)

SMALL = {
    "tt": tednet.tt((3, 4, 5), (8, 2, 3), 2, 3),
    "tt-two-modes": tednet.tt((5, 3), (4, 6), 4),
    "tr": tednet.tr((3, 4, 5), (8, 6), 2, 3, 2, 4, 3),
    "tr-one-output": tednet.tr((3, 4), (12,), 3, 2, 4),
    "bt": tednet.bt((3, 4, 5), (8, 2, 3), 2, 3),
    "bt-four-modes": tednet.bt((2, 3, 2, 4), (4, 1, 2, 3), 3, 2),
    "cp": tednet.polyadic((3, 4, 5), (8, 6), 5),
    "tucker2": tednet.tk2((6, 2, 5), 24, 3, 4),
    "tucker2-one-mode": tednet.tk2((60,), 24, 5),
}

#: Networks of the papers, with the counts that they publish; TedNet's own settings are not known.
PUBLISHED = {
    "ucf11-tt-lstm": (tednet.tt(UCF11, FOUR, 4, 4, 4), 3_360),
    "ucf11-tt-gru": (tednet.tt(UCF11, (12, 4, 4, 4), 4, 4, 4), 3_232),
    "ucf11-tt-lstm, ranks 3": (tednet.tt(UCF11, FOUR, 3, 3, 3), 2_040),
    "ucf11-tt-lstm, ranks 5": (tednet.tt(UCF11, FOUR, 5, 5, 5), 5_000),
    "ytc-tt-lstm": (tednet.tt(YOUTUBE, FOUR, 4, 4, 4), 3_392),
    "hollywood2-tt-lstm": (tednet.tt(HOLLYWOOD2, FOUR, 4, 4, 4), 3_104),
    "tie-ucf11": (tednet.tt(UCF11, (4, 4, 4, 4), 4, 4, 4), 2_976),
    "tie-youtube": (tednet.tt(YOUTUBE, (4, 4, 4, 4), 4, 4, 4), 3_200),
    "ucf11-bt-lstm": (tednet.bt(UCF11, FOUR, 2, 4), 3_392),
    "ucf11-bt-lstm, rank 1": (tednet.bt(UCF11, FOUR, 2, 1), 722),
    "ucf11-bt-lstm, rank 2": (tednet.bt(UCF11, FOUR, 2, 2), 1_472),
    "ucf11-tr-lstm": (
        tednet.tr((4, 2, 5, 8, 6, 5, 3, 2), (16, 4, 2, 4, 2), 10, *[5] * 12),
        1_725,
    ),
}  # fmt: skip


def results(case, positive=False):
    """Random vectors, the arrays of our network with tednet's weights, and tednet's result."""
    layer = case.make_linear(0, positive)
    vectors = np.random.default_rng(0).normal(size=(2, case.network.input_size))
    vectors = np.abs(vectors) if positive else vectors
    with torch.no_grad():
        wanted = tednet.to_numpy(layer(torch.from_numpy(vectors)))
    arrays = case.cores(layer)
    case.network.check(arrays)
    return vectors, arrays, wanted


# Linear layers ----------------------------------------------------------------------------------


@pytest.mark.parametrize("streamed", [True, False], ids=["streamed", "any order"])
@pytest.mark.parametrize("label", SMALL)
def test_a_plan_computes_what_tednet_computes(label, streamed):
    case = SMALL[label]
    vectors, arrays, wanted = results(case)
    plan = best_plan(case.network, streamed=streamed)
    bound = forward_bound(plan, case.network, arrays, vectors)
    assert (np.abs(run_plan(plan, arrays, vectors) - wanted) <= bound).all()
    assert (bound < 1e-12 * np.abs(wanted).max()).all(), "the bound says little"


@pytest.mark.parametrize("label", SMALL)
def test_the_dense_matrix_is_that_of_tednet(label):
    """Its columns are what tednet makes of unit vectors, so nothing is summed over the inputs."""
    case = SMALL[label]
    layer = case.make_linear(1)
    with torch.no_grad():
        wanted = tednet.to_numpy(layer(torch.eye(case.network.input_size, dtype=torch.float64))).T
    arrays = case.cores(layer)
    bound = rounding_bound(case.network, arrays, case.network.dense)
    assert (np.abs(case.network.dense(arrays) - wanted) <= bound).all()


@pytest.mark.parametrize("label", ["ucf11-tt-lstm", "ucf11-bt-lstm", "ucf11-tr-lstm"])
def test_a_published_network_computes_what_tednet_computes(label):
    """With positive numbers: of up to 5^12 terms with signs, little is left but rounding errors."""
    case, _ = PUBLISHED[label]
    vectors, arrays, wanted = results(case, positive=True)
    plan = best_plan(case.network)
    bound = forward_bound(plan, case.network, arrays, vectors)
    assert (np.abs(run_plan(plan, arrays, vectors) - wanted) <= bound).all()
    assert (bound < 1e-12 * wanted).all(), "the bound says little"


@pytest.mark.parametrize("label", SMALL)
def test_a_weight_that_is_slightly_off_is_seen(label):
    """One part in 10^10, in each core."""
    case = SMALL[label]
    vectors, arrays, wanted = results(case)
    plan = best_plan(case.network)
    bound = forward_bound(plan, case.network, arrays, vectors)
    for name in case.network.core_names:
        other = arrays[name].copy()
        other.flat[np.abs(other).argmax()] *= 1 + 1e-10
        found = run_plan(plan, {**arrays, name: other}, vectors)
        assert (np.abs(found - wanted) > bound).any(), name


@pytest.mark.parametrize("label", PUBLISHED)
def test_tednet_counts_the_published_parameters(label):
    case, count = PUBLISHED[label]
    info = case.linear([*case.inputs], [*case.outputs]).tn_info
    assert int(info["t_params"]) == case.network.parameter_count == count
    network = case.network
    assert int(info["ori_params"]) == network.input_size * network.output_size


@pytest.mark.parametrize("label", SMALL)
def test_tednet_counts_as_we_do(label):
    case = SMALL[label]
    info = case.linear([*case.inputs], [*case.outputs]).tn_info
    assert int(info["t_params"]) == case.network.parameter_count


# LSTMs ------------------------------------------------------------------------------------------


def our_lstm(case, arrays, bias):
    """Our Keras layer with these weights."""
    layer = TensorLSTM(case.format, case.inputs, case.outputs, return_sequences=True)
    layer.build((None, None, case.shape.input_size))
    assert set(arrays) == set(layer.tensors)
    for name, variable in layer.tensors.items():
        variable.assign(arrays[name])
    layer.bias.assign(bias)
    return layer


def clips(case, arrays):
    """Numbers of float32, [4 clips, 6 steps, inputs], for which W_x x is about +-1."""
    frames = np.random.default_rng(5).uniform(size=(4, 6, case.shape.input_size))
    frames /= np.std(frames @ case.network.dense(arrays).T)
    return frames.astype(np.float32)


def their_hidden(case, lstm, frames):
    """h of every step by tednet, [batch, time, H]."""
    zero = torch.zeros(len(frames), case.shape.units, dtype=torch.float64)
    source = torch.from_numpy(frames.astype(np.float64).swapaxes(0, 1).copy())
    with torch.no_grad():
        hidden, _ = lstm(source, (zero, zero))
    return tednet.to_numpy(hidden).swapaxes(0, 1)


@pytest.mark.parametrize("label", SMALL)
def test_our_lstm_is_that_of_tednet(label):
    """Ours in float32 against theirs in float64, within what float32 may be off after each step."""
    case = SMALL[label]
    lstm = case.make_lstm(2)
    arrays, bias = case.weights(lstm)
    frames = clips(case, arrays)
    wanted = their_hidden(case, lstm, frames)
    expected = recurrence(case.shape, arrays, bias, frames)
    found = our_lstm(case, arrays, bias)(frames).numpy()
    # The float64 side, theirs and that of the bound, errs by 2^-29 of what float32 does.
    assert (np.abs(found - wanted) <= expected.error * (1 + 2.0**-20)).all()
    assert (np.abs(expected.value - wanted) <= expected.error * 2.0**-20).all()
    assert expected.error.max() < 5e-4 and np.ptp(wanted) > 0.5, "the comparison says little"


@pytest.mark.parametrize("gates", [(0, 1), (1, 2), (0, 3)], ids=str)
def test_swapped_gates_are_seen(gates):
    case = SMALL["tt"]
    lstm = case.make_lstm(2)
    arrays, bias = case.weights(lstm)
    frames = clips(case, arrays)
    wanted = their_hidden(case, lstm, frames)
    blocks = np.split(arrays["G1"], 4, 1)
    order = [0, 1, 2, 3]
    order[gates[0]], order[gates[1]] = gates[1], gates[0]
    swapped = {**arrays, "G1": np.concatenate([blocks[gate] for gate in order], 1)}
    bound = recurrence(case.shape, arrays, bias, frames).error
    found = our_lstm(case, swapped, bias)(frames).numpy()
    assert (np.abs(found - wanted) > 10 * bound).mean() > 0.9


def test_our_layer_has_the_parameters_of_theirs():
    """They have a second bias, as PyTorch's LSTMs have."""
    case = SMALL["tr"]
    lstm = case.make_lstm(0)
    theirs = sum(weight.numel() for weight in lstm.parameters())
    arrays, bias = case.weights(lstm)
    assert our_lstm(case, arrays, bias).count_params() == theirs - len(bias)
