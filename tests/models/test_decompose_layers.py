"""Dense Keras layers in tensor formats: what they compute, and which are refused."""

from __future__ import annotations

import dataclasses
import math
from typing import Any

import numpy as np
import pytest

from fdht_models.errors import ConfigError, NumericError, ShapeError
from fdht_models.kerasapi import keras
from fdht_models.layers.contract import initial_deviations
from fdht_models.layers.gru import TensorGRU
from fdht_models.layers.lstm import TensorLSTM
from fdht_models.tensor.decompose import Fitting, limited
from fdht_models.tensor.decompose.recurrent_weights import (
    cell_from_keras,
    decompose_cell,
    embedded,
    scaled_shape,
)
from fdht_models.tensor.formats import (
    Dense,
    Format,
    HierarchicalTucker,
    TensorRing,
    TensorTrain,
    Tucker,
)
from fdht_models.tensor.recurrent import GATES, RecurrentShape
from fdht_models.training.tensorize import InputBiasOnly, balanced, tensorize
from tests.models.format_cases import SHAPES
from tests.models.inexact import Inexact, magnitudes, matrices, sigmoid
from tests.models.test_decompose import FULL

UNITS, STEPS = 8, 3
LAYERS: dict[str, Any] = {"lstm": keras.layers.LSTM, "gru": keras.layers.GRU}


def dense_layer(cell: str, inputs: int = 60, seed: int = 0, **options: Any) -> Any:
    """A built Keras layer, no two of whose weights are equal, that our layers can stand for."""
    layer = LAYERS[cell](UNITS, return_sequences=True, name="dense", **options)
    layer.build((None, STEPS, inputs))
    generator = np.random.default_rng(seed)
    weights = [generator.normal(0, 0.2, array.shape) for array in layer.get_weights()]
    if cell == "gru" and layer.use_bias:
        weights[2][1, 2 * UNITS :] = 0
    layer.set_weights(weights)
    return layer


def full_rank(form: Format, inputs: tuple[int, ...], outputs: tuple[int, ...]) -> Format:
    """The format with all the ranks that it can use."""
    largest: dict[type[Format], Format] = {
        HierarchicalTucker: HierarchicalTucker(FULL, FULL),
        TensorTrain: TensorTrain(FULL),
        Tucker: Tucker(FULL, FULL),
        Dense: Dense(),
    }
    return limited(largest[type(form)], inputs, outputs)


def of_keras(layer: Any, frames: Any, bound: tuple[Any, Any], terms: int) -> Inexact:
    """Keras' own definition of its layer, in its own order of gates, and how far float32 may be.

    Args:
        layer: the dense layer.
        frames: [batch, time, inputs].
        bound: for each element of W_x and W_h (ours), what sums of absolute products make it up.
        terms: roundings of a product on its way to a pre-activation.
    """
    kernel, recurrent, *rest = (np.asarray(array, np.float64) for array in layer.get_weights())
    gru = isinstance(layer, keras.layers.GRU)
    bias = np.atleast_2d(rest[0]) if rest else np.zeros((2, kernel.shape[1]))
    order = [1, 0, 2] if gru else [1, 0, 2, 3]  # of our gates among Keras'

    def theirs(ours: Any) -> Any:
        parts = np.split(ours, len(order))
        return np.concatenate([parts[order.index(place)] for place in range(len(order))])

    input_bound, hidden_bound = (theirs(part) for part in bound)

    def exact(values: Any) -> Inexact:
        values = np.asarray(values, np.float64)
        return Inexact(values, np.zeros_like(values))

    hidden = cell = exact(np.zeros((len(frames), UNITS)))
    found = []
    for frame in np.asarray(frames).swapaxes(0, 1):
        from_input = exact(frame).times(kernel.T, input_bound, terms) + exact(bias[0])
        from_hidden = hidden.times(recurrent.T, hidden_bound, terms)
        if gru:
            from_hidden = from_hidden + exact(bias[1])
            z, r, h = from_input.split(3)
            zh, rh, hh = from_hidden.split(3)
            z, r = (z + zh).sigmoid(), (r + rh).sigmoid()
            h = (h + r * hh).tanh()
            hidden = h + z * (hidden - h)
        else:
            i, f, c, o = (from_input + from_hidden).split(4)
            cell = f.sigmoid() * cell + i.sigmoid() * c.tanh()
            hidden = o.sigmoid() * cell.tanh()
        found.append(hidden)
    return Inexact(
        np.stack([one.value for one in found], 1), np.stack([one.error for one in found], 1)
    )


@pytest.mark.parametrize("cell", ["lstm", "gru"])
@pytest.mark.parametrize(
    ("form", "box"),
    [
        (form, box)
        for form in (HierarchicalTucker(1, 1), TensorTrain(1), Tucker(1, 1), Dense())
        for box in (None, (2, 4), (2, 2, 2))
        if box is None or form.name != "dense"
    ],
    ids=lambda value: getattr(value, "name", str(value)),
)
def test_at_full_rank_the_tensorized_layer_is_the_dense_one(form, box, cell):
    inputs, outputs = (3, 4, 5), (2 * len(GATES[cell]), 2, 2)
    slices = 0 if box is None else (1, *box)[-3]
    full = full_rank(form, (3 + slices, 4, 5), outputs)
    dense = dense_layer(cell)
    layer = tensorize(dense, full, inputs, outputs, box)
    assert type(layer) is {"lstm": TensorLSTM, "gru": TensorGRU}[cell]
    assert layer.name == "dense"
    frames = np.random.default_rng(1).random((2, STEPS, 60)).astype(np.float32)
    arrays = {name: variable.numpy() for name, variable in layer.tensors.items()}
    # A product passes the stages of the plan, the rounding of each core to float32 and of each
    # merged core, and 3 additions; and |W| is what the cores' magnitudes make of it.
    bound = matrices(layer.shape, magnitudes({k: v.astype(np.float64) for k, v in arrays.items()}))
    plans = (layer.shape.input_plan, layer.shape.hidden_plan)
    terms = max(sum(stage.terms + 2 for stage in plan.stages) for plan in plans)
    terms += len(layer.shape.network.cores) + 60 + 3
    wanted = of_keras(dense, frames, bound, terms)
    assert wanted.error.max() < 1e-2  # or nothing would be shown
    for values in (layer(frames).numpy(), dense(frames).numpy()):
        assert (np.abs(values - wanted.value) <= wanted.error).all()
    assert np.abs(wanted.value).max() > 0.05


#: Of the cells that Keras has layers of.
KERAS_SHAPES = [label for label, shape in SHAPES.items() if shape.cell in ("lstm", "gru")]


@pytest.mark.parametrize("label", KERAS_SHAPES)
def test_every_format_takes_what_fits(label):
    """Errors as stated, of the parts that the layer uses; W_h exact where it stays dense."""
    shape = SHAPES[label]
    modes = tuple(shape.network.sizes[index] for index in shape.network.inputs)
    shape = dataclasses.replace(shape, format=limited(shape.format, modes, shape.output_modes))
    inputs, gates = shape.input_size, len(shape.gates)
    generator = np.random.default_rng(0)
    kernel = generator.normal(size=(inputs, gates * shape.units))
    recurrent = generator.normal(size=(shape.units, gates * shape.units))
    dense = cell_from_keras(kernel, recurrent, None)
    found = decompose_cell(dense, shape, Fitting(sweeps=3))
    from_input, from_hidden = matrices(shape, found.arrays)
    errors = [np.linalg.norm(ours - given) for ours, given in
              ((from_input, dense.input), (from_hidden, dense.hidden))]  # fmt: skip
    sizes = [np.linalg.norm(given) for given in (dense.input, dense.hidden)]
    assert found.error_input == pytest.approx(errors[0] / sizes[0], abs=1e-12)
    assert found.error_hidden == pytest.approx(errors[1] / sizes[1], abs=1e-12)
    if shape.integrated:
        assert found.error == pytest.approx(math.hypot(*errors) / math.hypot(*sizes), abs=1e-12)
        # Around the box the decomposed matrix is zero, and what is made of that is not used.
        assert found.error <= found.decomposition.error + 1e-12
    else:
        assert found.error == found.error_input
        np.testing.assert_array_equal(from_hidden, dense.hidden)


def test_where_x_and_h_are_laid():
    """As `RecurrentShape` reads them: x in slices 0..2 of mode 1, h in a corner of slices 3..4."""
    shape = RecurrentShape(TensorTrain(2), (3, 4, 5), (8, 2, 2), (2, 2, 2))
    generator = np.random.default_rng(0)
    dense = cell_from_keras(generator.normal(size=(60, 32)), generator.normal(size=(8, 32)), None)
    whole = embedded(dense, shape).reshape(32, 5, 4, 5)
    np.testing.assert_array_equal(whole[:, :3].reshape(32, 60), dense.input)
    np.testing.assert_array_equal(whole[:, 3:, :2, :2].reshape(32, 8), dense.hidden)
    assert np.count_nonzero(whole) == 32 * 68
    separate = dataclasses.replace(shape, hidden_box=None)
    assert embedded(dense, separate) is dense.input


def test_gates_come_in_our_order():
    """Keras: i, f, c, o and z, r, h. Ours: forget, update (i), candidate, output; reset, update."""
    columns = np.repeat([10.0, 20.0, 30.0, 40.0], 2)
    lstm = cell_from_keras(
        columns[None] + [[1.0], [2.0], [3.0]], columns[None] * [[1], [2]], columns
    )
    np.testing.assert_array_equal(lstm.bias, np.repeat([20.0, 10.0, 30.0, 40.0], 2))
    np.testing.assert_array_equal(lstm.input[:, 1], lstm.bias + 2)
    np.testing.assert_array_equal(lstm.hidden[:, 1], lstm.bias * 2)
    assert (lstm.cell, lstm.input.shape) == ("lstm", (8, 3))
    columns = columns[:6]
    biases = np.stack([columns, [1, 1, 2, 2, 0, 0]])
    gru = cell_from_keras(columns[None], columns[None] * [[1], [2]], biases)
    # The recurrent biases of z and r are added to the others.
    np.testing.assert_array_equal(gru.bias, [22, 22, 11, 11, 30, 30])
    np.testing.assert_array_equal(gru.input[:, 0], np.repeat([20.0, 10.0, 30.0], 2))
    assert gru.cell == "gru"


# Ready for training -----------------------------------------------------------------------------


@pytest.mark.parametrize("label", ["ht-lstm-integrated", "tt-gru", "cp-lstm", "kcp-factors-lstm"])
def test_balanced_cores_are_as_large_as_fresh_ones(label):
    shape = SHAPES[label]
    generator = np.random.default_rng(0)
    arrays = {
        name: generator.normal(size=shape.network.shape(name)) * 10.0 ** (3 * place - 4)
        for place, name in enumerate(shape.network.core_names)
    }
    arrays["H"] = np.ones(1)
    found = balanced(shape, arrays, 2.0)
    np.testing.assert_array_equal(found["H"], arrays["H"])
    wide, narrow = (shape.network.dense(each) for each in (arrays, found))
    np.testing.assert_array_equal(wide, narrow)  # powers of two change no digit
    deviations = initial_deviations(shape, 2.0)
    ratios = [
        math.log2(math.sqrt(np.mean(found[name] ** 2)) / deviations[name])
        for name in shape.network.core_names
    ]
    assert max(ratios) - min(ratios) <= 2  # each is off by less than a factor of two


def test_a_core_of_zeros_is_not_balanced():
    shape = SHAPES["tt-lstm"]
    arrays = {name: np.zeros(shape.network.shape(name)) for name in shape.network.core_names}
    assert balanced(shape, arrays) is arrays


def test_fine_tuning_lowers_the_loss():
    """A truncated layer is trained to do again what the dense one does."""
    dense = dense_layer("lstm", activation="tanh")
    layer = tensorize(dense, TensorTrain(2), (3, 4, 5), (8, 2, 2))
    frames = np.random.default_rng(1).random((32, STEPS, 60)).astype(np.float32)
    model = keras.Sequential([keras.Input((STEPS, 60)), layer])
    model.compile(keras.optimizers.legacy.Adam(1e-2), "mse", run_eagerly=True)
    wanted = dense(frames).numpy()
    before = model.evaluate(frames, wanted, verbose=0)
    model.fit(frames, wanted, epochs=8, verbose=0)
    assert model.evaluate(frames, wanted, verbose=0) < before / 1.5


def test_options_of_the_layer_are_kept():
    dense = keras.layers.LSTM(
        UNITS, return_state=True, stateful=True, recurrent_activation="hard_sigmoid", name="mine"
    )
    frames = np.random.default_rng(1).random((2, STEPS, 60)).astype(np.float32)
    dense(frames)
    dense.reset_states()
    layer = tensorize(dense, limited(TensorTrain(FULL), (4, 15), (8, 4)), (4, 15), (8, 4))
    assert (layer.name, layer.stateful, layer.return_state) == ("mine", True, True)
    assert layer.recurrent_activation == "keras_hard_sigmoid"
    for _ in range(2):
        for ours, theirs in zip(layer(frames), dense(frames), strict=True):
            np.testing.assert_allclose(ours, theirs, atol=1e-5)
    assert np.abs(sigmoid(np.array(1.0)) - 0.7) > 0.02  # hard_sigmoid(1) = 0.7: not the real one


def test_a_layer_without_bias():
    dense = dense_layer("gru", use_bias=False)
    layer = tensorize(dense, TensorTrain(2), (3, 4, 5), (6, 2, 2))
    np.testing.assert_array_equal(layer.bias.numpy(), np.zeros(24))


# What is refused --------------------------------------------------------------------------------


def test_a_candidate_with_a_recurrent_bias_is_refused():
    dense = dense_layer("gru")
    weights = dense.get_weights()
    weights[2][1, -1] = 2.0**-21  # less than float32 rounds
    dense.set_weights(weights)
    tensorize(dense, TensorTrain(2), (3, 4, 5), (6, 2, 2))
    weights[2][1, -1] = -0.25
    dense.set_weights(weights)
    with pytest.raises(
        ConfigError, match=r"bias: the reset gate multiplies .* up to 0.25; our GRU"
    ):
        tensorize(dense, TensorTrain(2), (3, 4, 5), (6, 2, 2))


def test_a_gru_can_be_trained_so_that_it_fits():
    """With the constraint that the error names, and saved and loaded with it."""
    layer = keras.layers.GRU(UNITS, bias_constraint=InputBiasOnly())
    model = keras.Sequential([keras.Input((STEPS, 60)), layer])
    model.compile(keras.optimizers.legacy.SGD(0.5), "mse", run_eagerly=True)
    frames = np.random.default_rng(1).random((8, STEPS, 60))
    model.fit(frames, np.ones((8, UNITS)), epochs=2, verbose=0)
    bias = layer.get_weights()[2]
    assert not bias[1].any()
    assert bias[0].all()
    again = keras.Sequential.from_config(model.get_config())
    assert isinstance(again.layers[0].bias_constraint, InputBiasOnly)
    tensorize(layer, TensorTrain(2), (3, 4, 5), (6, 2, 2))


@pytest.mark.parametrize(
    ("layer", "message"),
    [
        (keras.layers.Dense(4), "layer = 'Dense': is not an LSTM or GRU of Keras"),
        (keras.layers.LSTM(8, name="a"), "layer a: has no weights yet"),
        (keras.layers.LSTM(8, go_backwards=True, name="a"), "a.go_backwards = True: tensorized"),
        (keras.layers.LSTM(8, activation="relu", name="a"), "a.activation = 'relu': tensorized"),
        (
            keras.layers.GRU(8, reset_after=False, use_bias=False, name="a"),
            "a.reset_after = False: the reset gate of this GRU acts before its matrix",
        ),
    ],
)
def test_layers_that_ours_cannot_stand_for_are_refused(layer, message):
    with pytest.raises((ConfigError, ShapeError)) as caught:
        tensorize(layer, TensorTrain(2), (3, 4, 5), (8, 2, 2))
    assert message in str(caught.value)


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        (((6, 8), (2, 6), (8,)), "weights = [[6, 8], [2, 6]]: kernel and recurrent_kernel must be"),
        (((6,), (2, 8), (8,)), "kernel and recurrent_kernel must be matrices"),
        (((6, 10), (2, 10), (10,)), "recurrent_kernel = [2, 10]: has neither 4 (LSTM) nor 3 (GRU)"),
        (((6, 8), (2, 8), (6,)), "bias = [6]: must have shape [8]"),
        (((6, 6), (2, 6), (3, 6)), "bias = [3, 6]: must have shape [2, 6]"),
        (((6, 6), (2, 6), (6,)), "bias = [6]: has one row: the reset gate of this GRU acts before"),
    ],
)
def test_arrays_that_do_not_fit_are_refused(arrays, message):
    with pytest.raises((ConfigError, ShapeError)) as caught:
        cell_from_keras(*map(np.zeros, arrays))
    assert message in str(caught.value)


def test_weights_that_are_not_finite_are_refused():
    kernel = np.zeros((6, 8))
    kernel[0, 0] = np.nan
    with pytest.raises(NumericError, match="kernel: is not finite everywhere; look where the"):
        cell_from_keras(kernel, np.zeros((2, 8)), None)


def test_a_layer_of_another_size_is_refused():
    dense = dense_layer("lstm")
    for modes, message in (
        (((3, 4, 4), (8, 2, 2)), r"input_modes = \[3, 4, 4\]: their product is 48, but 60 values"),
        (((3, 4, 5), (8, 2, 4)), r"output_modes = \[8, 2, 4\]: their product is 64, but 32 values"),
    ):
        with pytest.raises(ShapeError, match=message):
            tensorize(dense, TensorTrain(2), *modes)
    gru = cell_from_keras(np.zeros((60, 24)), np.zeros((8, 24)), None)
    shape = RecurrentShape(TensorTrain(2), (3, 4, 5), (8, 2, 2))
    with pytest.raises(ConfigError, match="cell = 'lstm': the dense layer is of kind 'gru'"):
        decompose_cell(gru, shape)


def test_scaled_shapes_know_of_the_slices_for_h():
    shape = RecurrentShape(TensorRing(2), (2, 4, 5), (8, 4), (2, 4))
    form = scaled_shape(shape, 100).format
    assert form == limited(TensorRing(200), (3, 4, 5), (8, 4))
