"""Every format, LSTM and GRU, integrated or not: Keras = reference, float = the dense matrix."""

from __future__ import annotations

import numpy as np
import pytest

from fdht_models.errors import ConfigError, ShapeError
from fdht_models.kerasapi import keras, tf
from fdht_models.layers.export import export_recurrence
from fdht_models.layers.kinds import LAYER_OF as FLOAT
from fdht_models.layers.quantized import QUANTIZED_OF as QUANTIZED
from fdht_models.layers.quantized import QuantizedRNN
from fdht_models.layers.recurrent import TensorRNN
from fdht_models.preprocessing import plain
from fdht_models.tensor.arrays import QuantizedArray
from fdht_models.tensor.fixedpoint import FixedPoint
from fdht_models.tensor.formats import HierarchicalTucker, TensorTrain
from fdht_models.tensor.quantized import Head, QuantizedNetwork
from fdht_models.tensor.recurrent import DENSE_HIDDEN, RecurrentShape
from fdht_models.tensor.reference import ReferenceModel
from tests.models.format_cases import SHAPES
from tests.models.strategies import layer_formats


def built(shape: RecurrentShape, kinds: dict[str, type], **options) -> TensorRNN:
    """A layer with random weights, also in the bias."""
    keras.utils.set_random_seed(0)
    layer = kinds[shape.cell](
        shape.format,
        shape.input_modes,
        shape.output_modes,
        shape.hidden_box,
        return_sequences=True,
        input_gain=2.0,
        **options,
    )
    layer.build((None, None, shape.input_size))
    layer.bias.assign(np.random.default_rng(1).normal(size=layer.bias.shape, scale=0.3))
    return layer


def reference_hidden(layer: QuantizedRNN, frames: np.ndarray) -> np.ndarray:
    """Codes of h after every step by the reference, of a network that went through JSON."""
    units, inputs = layer.units, plain(layer.shape.input_size, steps=1)
    weights = QuantizedArray(FixedPoint(2, 0), np.ones((units, 1), np.int64))
    head = Head(weights, QuantizedArray(FixedPoint(2, 0), np.zeros(1, np.int64)))
    network = QuantizedNetwork("n", ("c",), inputs, export_recurrence(layer), head)
    codes: list[np.ndarray] = []
    model = ReferenceModel(
        QuantizedNetwork.from_json(network.to_json()),
        lambda name, values: codes.append(values) if name == "hidden" else None,
    )
    for clip in frames:
        model.reset()
        model.run(clip)
    return np.array(codes).reshape(*frames.shape[:2], units)


@pytest.mark.parametrize("label", SHAPES)
def test_keras_is_the_reference(label):
    shape = SHAPES[label]
    layer = built(shape, QUANTIZED, quantizers=layer_formats(shape))
    frames = np.random.default_rng(0).integers(0, 256, (2, 6, shape.input_size)).astype(np.uint8)
    found = layer(frames.astype(np.float32) / 256, training=False).numpy()
    codes = layer.quantizer_format("hidden").exact(found)
    np.testing.assert_array_equal(codes, reference_hidden(layer, frames))
    assert len(np.unique(codes)) > 15, "the comparison says little"


def dense_matrices(layer: TensorRNN) -> tuple[np.ndarray, np.ndarray]:
    """W_x and W_h as matrices, by one einsum over all cores: no plan, no merging."""
    shape = layer.shape
    arrays = {name: weight.numpy() for name, weight in layer.tensors.items()}
    whole = shape.network.dense(arrays).reshape(-1, *(
        shape.network.sizes[index] for index in shape.network.inputs
    ))  # fmt: skip
    first = shape.input_modes[0]
    from_input = whole[:, :first].reshape(len(whole), -1)
    if shape.hidden_box is None:
        outputs = shape.hidden_network.cores[0].indices[1:]
        axes = [outputs.index(index) + 1 for index in shape.network.outputs]
        return from_input, arrays[DENSE_HIDDEN].transpose(*axes, 0).reshape(len(whole), -1)
    corner = whole[(slice(None), slice(first, None), *map(slice, shape.hidden_sides[1:]))]
    return from_input, corner.reshape(len(whole), -1)


@pytest.mark.parametrize("label", SHAPES)
def test_the_float_layer_is_the_usual_one_with_the_dense_matrix(label):
    """Keras' own LSTM and GRU are the oracle."""
    shape = SHAPES[label]
    layer = built(shape, FLOAT)
    frames = np.random.default_rng(0).uniform(0, 1, (3, 5, shape.input_size)).astype(np.float32)
    found = layer(frames).numpy()
    matrices = dense_matrices(layer)
    bias, units = layer.bias.numpy(), shape.units

    def reorder(rows: np.ndarray, order: tuple[int, ...]) -> np.ndarray:
        return np.concatenate([rows[gate * units : (gate + 1) * units] for gate in order])

    if shape.cell == "lstm":  # ours f, u, c, o; Keras i, f, c, o
        oracle = keras.layers.LSTM(units, return_sequences=True)
        order: tuple[int, ...] = (1, 0, 2, 3)
        biases = reorder(bias, order)
    else:  # ours r, z, n; Keras z, r, h
        oracle = keras.layers.GRU(units, return_sequences=True, reset_after=True)
        order = (1, 0, 2)
        if shape.cell == "mgu":  # a GRU with r = f and z = 1 - f = sigmoid(-f's argument)
            *matrices, bias = (
                np.concatenate([rows[:units], -rows[:units], rows[units:]])
                for rows in (*matrices, bias)
            )
        biases = np.stack([reorder(bias, order), np.zeros_like(bias)])
    oracle.build((None, None, shape.input_size))
    oracle.set_weights([*(reorder(matrix, order).T for matrix in matrices), biases])
    wanted = oracle(frames).numpy()
    # Float32 sums of at most 60 products of merged cores, in another order, over five steps whose
    # gates contract differences: 60 x 2**-24 x 5 = 2e-5, with values below 1.
    np.testing.assert_allclose(found, wanted, rtol=0, atol=2e-5)
    assert np.abs(wanted).max() > 0.05


@pytest.mark.parametrize("label", SHAPES)
def test_gradients_reach_every_weight(label):
    shape = SHAPES[label]
    for kinds, options in ((FLOAT, {}), (QUANTIZED, {"quantizers": layer_formats(shape)})):
        layer = built(shape, kinds, **options)
        frames = np.random.default_rng(0).uniform(0, 1, (4, 4, shape.input_size)).astype(np.float32)
        with tf.GradientTape() as tape:
            loss = tf.reduce_sum(layer(frames, training=True) ** 2)
        gradients = tape.gradient(loss, layer.trainable_variables)
        for weight, gradient in zip(layer.trainable_variables, gradients, strict=True):
            assert gradient is not None, weight.name
            assert np.abs(gradient.numpy()).max() > 0, weight.name


@pytest.mark.parametrize("label", SHAPES)
def test_the_layer_has_the_parameters_of_its_shape(label):
    shape = SHAPES[label]
    assert built(shape, FLOAT).count_params() == shape.parameter_count
    stored = sum(int(np.prod(sizes)) for sizes in shape.stored_shapes.values())
    assert stored + len(shape.gates) * shape.units == shape.constant_count


@pytest.mark.parametrize("label", SHAPES)
def test_both_paths_emit_their_sums_in_the_same_order(label):
    """So that a streaming engine can add them as they come."""
    shape = SHAPES[label]
    last = [plan.stages[-1].output_indices for plan in (shape.input_plan, shape.hidden_plan)]
    assert last[0] == last[1]


@pytest.mark.parametrize("label", ["tt-gru", "bt-lstm-integrated", "cp-gru-integrated"])
def test_a_layer_comes_back_from_its_config(label):
    shape = SHAPES[label]
    layer = built(shape, QUANTIZED, quantizers=layer_formats(shape))
    config = layer.get_config()
    again = type(layer).from_config(config)
    assert again.get_config() == config
    assert again.shape == shape


@pytest.mark.parametrize("cell", QUANTIZED)
def test_state_lives_across_calls(cell):
    shape = SHAPES[f"tr-{cell}-integrated"]
    options = {"quantizers": layer_formats(shape)}
    whole = built(shape, QUANTIZED, **options)
    kept = QUANTIZED[cell](
        shape.format,
        shape.input_modes,
        shape.output_modes,
        shape.hidden_box,
        return_sequences=True,
        stateful=True,
        **options,
    )
    kept.reset_states()  # before it is built there is nothing to reset
    kept.build((2, None, shape.input_size))
    for variable, source in zip(kept.trainable_variables, whole.trainable_variables, strict=True):
        variable.assign(source)
    frames = np.random.default_rng(3).integers(0, 256, (2, 9, shape.input_size)) / 256
    wanted = whole(frames, training=False).numpy()
    pieces = [kept(frames[:, a:b], training=False).numpy() for a, b in ((0, 2), (2, 3), (3, 9))]
    np.testing.assert_array_equal(np.concatenate(pieces, axis=1), wanted)
    kept.reset_states()
    np.testing.assert_array_equal(kept(frames[:, :1], training=False).numpy(), wanted[:, :1])


def test_shapes_refuse_what_does_not_fit():
    form = TensorTrain(2)
    with pytest.raises(ConfigError, match=r"cell = 'grru': is not a cell; did you mean 'gru'"):
        RecurrentShape(form, (4, 4), (4, 2), None, "grru")
    with pytest.raises(ShapeError, match="carries the 3 gates"):
        RecurrentShape(form, (4, 4), (4, 2), None, "gru")
    with pytest.raises(ShapeError, match="nothing to integrate"):
        RecurrentShape(form, (4, 4), (4, 2), (8,), "linear")
    with pytest.raises(ShapeError, match="needs 2 sides"):
        RecurrentShape(HierarchicalTucker(2, 2), (4, 4, 4), (4, 2, 2), (1,), "lstm")
    shape = RecurrentShape(form, (4, 4), (4, 2), None, "linear")
    assert shape.parameter_count == shape.network.parameter_count
    with pytest.raises(ShapeError, match="has no hidden state"):
        shape.hidden_plan  # noqa: B018


def test_hidden_state_may_take_several_slices():
    """h in p_1 more slices of the first mode, as when input and state are equally long."""
    shape = RecurrentShape(HierarchicalTucker(3, 5), (8, 16, 16), (32, 16, 16), (8, 16, 16))
    assert shape.network.sizes["i1"] == 16
    assert shape.matrix_parameter_count == 3132  # 4,096 = 16^3 inputs, 8,192 outputs
    assert 8 in shape.stored_shapes["C1_hidden"]
