"""The Keras layers: quantised inference = integer reference, float layer = dense NumPy LSTM."""

from __future__ import annotations

import dataclasses
import inspect
import re

import numpy as np
import pytest
from hypothesis import given, settings

from fdht_models.errors import ConfigError, NumericError, ShapeError
from fdht_models.kerasapi import keras, qkeras, tf
from fdht_models.layers.export import export_recurrence
from fdht_models.layers.lstm import FDHTLSTM
from fdht_models.layers.quantized import QFDHTLSTM
from fdht_models.layers.quantizers import quantizer_for, round_to
from fdht_models.preprocessing import plain
from fdht_models.tensor import fixedpoint
from fdht_models.tensor.arrays import QuantizedArray
from fdht_models.tensor.fixedpoint import FixedPoint
from fdht_models.tensor.formats import HierarchicalTucker
from fdht_models.tensor.quantized import Head, QuantizedNetwork
from fdht_models.tensor.recurrent import RecurrentShape
from fdht_models.tensor.reference import ReferenceModel
from tests.models.strategies import (
    SMALL_SHAPE,
    dense_ht,
    fdht_arguments,
    fdht_shapes,
    layer_formats,
    tree_of,
)

GATES = [
    ("sigmoid", "tanh"),
    ("hard_sigmoid", "hard_tanh"),
    ("smooth_sigmoid", "smooth_tanh"),
    ("binary_sigmoid", "binary_tanh"),
    ("keras_hard_sigmoid", "tanh"),
    ("quantized_sigmoid(6)", "quantized_tanh(6)"),
    ("quantized_sigmoid(8, use_real_sigmoid=True)", "quantized_tanh(8, use_real_tanh=True)"),
]


def quantized_layer(shape: RecurrentShape = SMALL_SHAPE, seed: int = 0, **options) -> QFDHTLSTM:
    """A built layer with random weights, also in the bias."""
    keras.utils.set_random_seed(seed)
    formats = options.pop("formats", None) or layer_formats(shape)
    batch = options.pop("batch", None)
    layer = QFDHTLSTM(**fdht_arguments(shape), quantizers=formats, **options)
    layer.build((batch, None, shape.input_size))
    layer.bias.assign(np.random.default_rng(seed).normal(size=4 * shape.units))
    return layer


def pixels(batch: int, steps: int, inputs: int, seed: int = 0) -> np.ndarray:
    """uint8 codes; the layer sees them as 0 .. 255/256."""
    return np.random.default_rng(seed).integers(0, 256, (batch, steps, inputs)).astype(np.uint8)


def as_values(frames: np.ndarray) -> np.ndarray:
    return frames.astype(np.float32) / 256


def reference_of(layer: QFDHTLSTM) -> QuantizedNetwork:
    """The layer's integers behind a head of one class, of which nothing is asked."""
    weights = QuantizedArray(FixedPoint(2, 0), np.ones((layer.units, 1), np.int64))
    bias = QuantizedArray(FixedPoint(2, 0), np.zeros(1, np.int64))
    inputs = plain(layer.shape.input_size, steps=1)
    return QuantizedNetwork("n", ("c",), inputs, export_recurrence(layer), Head(weights, bias))


def states_of(network: QuantizedNetwork, frames: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """h and c after every step as real values, [batch, time, units], by the reference."""
    batches: list[dict[str, list]] = []
    for clip in frames:
        seen: dict[str, list] = {"hidden": [], "cell": []}

        def observe(name, codes, seen=seen):
            if name in seen:
                seen[name].append(codes)

        ReferenceModel(network, observe).run(clip)
        batches.append(seen)
    cell = network.recurrence.cell
    return (
        cell.hidden.dequantize([seen["hidden"] for seen in batches]),
        cell.cell.dequantize([seen["cell"] for seen in batches]),
    )


# Inference = reference --------------------------------------------------------------------------


@pytest.mark.parametrize(("recurrent", "activation"), GATES)
def test_inference_is_the_reference_for_every_gate(recurrent, activation):
    layer = quantized_layer(
        recurrent_activation=recurrent, activation=activation, return_sequences=True
    )
    frames = pixels(3, 6, 60)
    hidden, _ = states_of(reference_of(layer), frames)
    np.testing.assert_array_equal(layer(as_values(frames)).numpy(), hidden)
    assert len(np.unique(hidden)) >= 2, "a dead network proves nothing"


@given(fdht_shapes(max_modes=4, max_units=8))
@settings(max_examples=6)
def test_inference_is_the_reference_for_any_shape(shape):
    layer = quantized_layer(shape, return_sequences=True)
    frames = pixels(2, 4, shape.input_size)
    hidden, _ = states_of(reference_of(layer), frames)
    np.testing.assert_array_equal(layer(as_values(frames)).numpy(), hidden)


@pytest.mark.parametrize("value", [0, 255])
def test_inference_is_the_reference_in_the_corners(value):
    # Narrow stages, so that much saturates.
    formats = layer_formats()
    formats |= {name: FixedPoint(6, 4) for name in formats if "." in name}
    layer = quantized_layer(formats=formats, return_sequences=True)
    frames = np.full((1, 5, 60), value, np.uint8)
    hidden, _ = states_of(reference_of(layer), frames)
    np.testing.assert_array_equal(layer(as_values(frames)).numpy(), hidden)


def test_wide_accumulators_stay_exact():
    """32-bit stages and 16-bit weights: sums far beyond the 24 bits of float32."""
    formats = layer_formats()
    formats |= {name: FixedPoint(16, 13) for name in ("C1", "C2", "C3", "C1_hidden")}
    formats |= {name: FixedPoint(24, 18) for name in formats if "." in name}
    layer = quantized_layer(formats=formats, return_sequences=True)
    frames = pixels(2, 5, 60)
    network = reference_of(layer)
    assert network.recurrence.sums["preactivation"].width > 40
    hidden, _ = states_of(network, frames)
    np.testing.assert_array_equal(layer(as_values(frames)).numpy(), hidden)


def test_the_last_result_the_sequence_and_the_states():
    frames = pixels(2, 5, 60)
    values = as_values(frames)
    hidden, cell = states_of(reference_of(quantized_layer()), frames)
    np.testing.assert_array_equal(quantized_layer()(values).numpy(), hidden[:, -1])
    outputs = quantized_layer(return_sequences=True, return_state=True)(values)
    for found, wanted in zip(outputs, (hidden, hidden[:, -1], cell[:, -1]), strict=True):
        np.testing.assert_array_equal(found.numpy(), wanted)
        assert found.dtype == tf.float32
    shapes = quantized_layer(return_sequences=True, return_state=True).compute_output_shape(
        (2, 5, 60)
    )
    assert [tuple(shape) for shape in shapes] == [tuple(found.shape) for found in outputs]
    assert quantized_layer().compute_output_shape((2, 5, 60)) == (2, 8)


def test_an_initial_state_continues_a_sequence():
    frames = pixels(2, 7, 60)
    values = as_values(frames)
    layer = quantized_layer(return_sequences=True, return_state=True)
    whole = layer(values)[0].numpy()
    first, hidden, cell = layer(values[:, :3])
    second = layer(values[:, 3:], initial_state=[hidden, cell])[0]
    np.testing.assert_array_equal(np.concatenate([first, second], 1), whole)


def test_a_stateful_layer_continues_until_it_is_reset():
    frames = pixels(2, 7, 60)
    values = as_values(frames)
    whole, _ = states_of(reference_of(quantized_layer()), frames)
    layer = quantized_layer(stateful=True, return_sequences=True, batch=2)
    assert [weight.name for weight in layer.non_trainable_weights] != []
    pieces = [layer(values[:, :1]), layer(values[:, 1:5]), layer(values[:, 5:])]
    np.testing.assert_array_equal(np.concatenate(pieces, 1), whole)
    assert (layer(values).numpy() != whole).any(), "the state must carry over"
    layer.reset_states()
    np.testing.assert_array_equal(layer(values).numpy(), whole)


def test_long_and_unknown_lengths_equal_short_steps():
    """More than 16 steps run in a loop of TensorFlow's, fewer are unrolled."""
    frames = pixels(1, 20, 60)
    layer = quantized_layer(return_sequences=True)
    hidden, _ = states_of(reference_of(layer), frames)
    np.testing.assert_array_equal(layer(as_values(frames)).numpy(), hidden)
    any_length = tf.function(layer, input_signature=[tf.TensorSpec((None, None, 60))])
    for steps in (20, 3):
        found = any_length(as_values(frames[:, :steps])).numpy()
        np.testing.assert_array_equal(found, hidden[:, :steps])


def test_frames_keep_their_own_shape():
    """[batch, time, height, width, channels] is the same frame, row-major."""
    frames = pixels(2, 3, 60)
    layer = quantized_layer()
    flat = layer(as_values(frames)).numpy()
    np.testing.assert_array_equal(layer(as_values(frames).reshape(2, 3, 4, 5, 3)).numpy(), flat)


def test_signed_frames():
    formats = layer_formats(input=FixedPoint(8, 7))
    layer = quantized_layer(formats=formats, return_sequences=True)
    frames = np.random.default_rng(0).integers(-128, 128, (2, 4, 60)).astype(np.int8)
    hidden, _ = states_of(reference_of(layer), frames)
    np.testing.assert_array_equal(layer(frames.astype(np.float32) / 128).numpy(), hidden)


# Negative controls ------------------------------------------------------------------------------


def test_a_weight_one_code_off_is_seen():
    fine = layer_formats(preactivation=FixedPoint(14, 11), hidden=FixedPoint(14, 13))
    fine |= {"gate": FixedPoint(12, 12, False), "candidate": FixedPoint(12, 11)}
    layer = quantized_layer(formats=fine, return_sequences=True)
    network = reference_of(layer)
    frames = pixels(2, 6, 60)
    core = network.recurrence.cores["C2"]
    codes = core.codes.copy()
    codes.flat[codes.size // 2] += 1
    cores = {**network.recurrence.cores, "C2": QuantizedArray(core.format, codes)}
    other = dataclasses.replace(
        network, recurrence=dataclasses.replace(network.recurrence, cores=cores)
    )
    found = layer(as_values(frames)).numpy()
    np.testing.assert_array_equal(found, states_of(network, frames)[0])
    assert (found != states_of(other, frames)[0]).any()


def test_truncation_is_seen(monkeypatch):
    layer = quantized_layer(return_sequences=True)
    network, frames = reference_of(layer), pixels(2, 6, 60)
    found = layer(as_values(frames)).numpy()
    monkeypatch.setattr(fixedpoint, "shift_half_even", lambda codes, shift: codes >> shift)
    assert (states_of(network, frames)[0] != found).mean() > 0.3


@pytest.mark.parametrize("gates", [(0, 1), (1, 2), (0, 3)], ids=str)
def test_swapped_gates_are_seen(gates):
    layer = quantized_layer(return_sequences=True)
    frames = pixels(2, 6, 60)
    right, _ = states_of(reference_of(layer), frames)
    order = list(range(4))
    order[gates[0]], order[gates[1]] = order[gates[1]], order[gates[0]]
    frame = layer.tensors["U1"].numpy()
    blocks = np.split(frame, 4, 1)
    layer.tensors["U1"].assign(np.concatenate([blocks[gate] for gate in order], 1))
    layer.bias.assign(layer.bias.numpy().reshape(4, -1)[order].ravel())
    assert (layer(as_values(frames)).numpy() != right).any()


# Training ---------------------------------------------------------------------------------------


def test_training_computes_what_inference_does_but_for_ties():
    """Training rounds in float32, inference in float64.

    The two differ where a sum that float32 rounds lies within that error of a tie, so that a
    code comes out one off, which may spread from there. Sums of this size are exact in float32
    (under 24 bits), so nearly all values must agree.
    """
    layer = quantized_layer(return_sequences=True)
    values = as_values(pixels(8, 8, 60))
    trained = layer(values, training=True).numpy()
    inferred = layer(values, training=False).numpy()
    lsb = layer.quantizer_format("hidden").scale
    difference = np.abs(trained - inferred)
    assert (difference <= lsb / 1000).mean() >= 0.98
    assert (difference <= 2 * lsb).mean() >= 0.995
    assert len(np.unique(inferred)) > 20


@pytest.mark.parametrize("form", [FixedPoint(8, 7), FixedPoint(10, 7), FixedPoint(8, 5, False)])
def test_qkeras_rounds_as_we_do_below_two_to_the_24_steps(form):
    """As docs/model-author.md says: equal below, and beyond still whole steps but of another code.

    x and xq are multiples of x's last place, which is a step at most below 2^24 steps; their
    difference is one too and no larger than x, so that float32 holds it exactly.
    """
    generator = np.random.default_rng(0)

    def values(least: int, most: int) -> np.ndarray:
        sizes = generator.uniform(1, 2, 4096) * 2.0 ** generator.uniform(least, most - 1, 4096)
        return (sizes * generator.choice([-1, 1], 4096) * form.scale).astype(np.float32)

    rounded = quantizer_for(form)
    below, beyond = values(-12, 24), values(24, 25)
    np.testing.assert_array_equal(rounded(below).numpy(), round_to(below, form).numpy())
    found = rounded(beyond).numpy() / form.scale
    wanted = round_to(beyond, form).numpy() / form.scale
    np.testing.assert_array_equal(found, np.round(found))
    assert (found != wanted).mean() > 0.1
    assert found.max() == form.maximum + 1


def test_no_training_argument_means_inference():
    layer = quantized_layer()
    values = as_values(pixels(1, 3, 60))
    np.testing.assert_array_equal(layer(values).numpy(), layer(values, training=False).numpy())


@pytest.mark.parametrize("kind", [FDHTLSTM, QFDHTLSTM])
def test_gradients_reach_every_weight(kind):
    keras.utils.set_random_seed(0)
    options = {"quantizers": layer_formats()} if kind is QFDHTLSTM else {}
    layer = kind(**fdht_arguments(SMALL_SHAPE), **options)
    with tf.GradientTape() as tape:
        loss = tf.reduce_sum(layer(as_values(pixels(4, 4, 60)), training=True) ** 2)
    weights = layer.trainable_weights
    gradients = tape.gradient(loss, weights)
    assert len(weights) == len(SMALL_SHAPE.network.cores) + 1
    for weight, gradient in zip(weights, gradients, strict=True):
        assert gradient is not None, weight.name
        assert np.isfinite(gradient).all(), weight.name
        assert (np.abs(gradient) > 0).any(), weight.name
    # Both slices of the first frame: the one that meets x and the one that meets h.
    first = gradients[[weight.name.split("/")[-1] for weight in weights].index("U1:0")].numpy()
    assert np.abs(first[:-1]).max() > 0 and np.abs(first[-1]).max() > 0


def test_fit_learns_and_stays_exact(tmp_path):
    """Which half of the frame is brighter; then Keras' predict, in graph mode, = the reference."""
    keras.utils.set_random_seed(1)
    labels = np.arange(64) % 2
    frames = pixels(64, 3, 60)
    frames[labels == 1, :, 30:] //= 8
    frames[labels == 0, :, :30] //= 8
    layer = QFDHTLSTM(
        **fdht_arguments(SMALL_SHAPE),
        quantizers=layer_formats(),
        return_sequences=True,
        input_gain=2.0,
    )
    model = keras.Sequential(
        [
            keras.layers.Input((3, 60)),
            layer,
            keras.layers.Lambda(lambda sequence: sequence[:, -1]),
            keras.layers.Dense(2),
        ]
    )
    model.compile(
        keras.optimizers.Adam(0.02), keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    )
    before = [weight.numpy() for weight in layer.trainable_weights]
    history = model.fit(as_values(frames), labels, epochs=12, batch_size=16, verbose=0)
    assert history.history["loss"][-1] < 0.7 * history.history["loss"][0]
    for old, weight in zip(before, layer.trainable_weights, strict=True):
        assert (old != weight.numpy()).any(), weight.name
    inner = keras.Sequential([keras.layers.Input((3, 60)), layer])
    found = inner.predict(as_values(frames), batch_size=32, verbose=0)
    hidden, _ = states_of(reference_of(layer), frames)
    np.testing.assert_array_equal(found, hidden)


# The float layer --------------------------------------------------------------------------------


def dense_lstm(layer: FDHTLSTM, frames: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """A usual LSTM with the dense W, in float64, and a bound on the error of float32.

    W comes from the recursion over the tree. The bound is a running error analysis (Higham,
    section 3.3) with u = 2^-24. A pre-activation is a sum of products, each of which passes at
    most as many roundings as all stages have terms, one rounding a merged core and stage, and
    three for adding: n u sum |products|. TensorFlow's sigmoid and tanh are taken to err by at
    most 8 units in the last place of 1. An error e of its argument becomes at most e / 4 behind a
    sigmoid and e behind a tanh; a product or sum adds a rounding of its own.
    """
    shape, unit = layer.shape, 2.0**-24
    arrays = {name: weight.numpy() for name, weight in layer.tensors.items()}
    absolute = {name: np.abs(array) for name, array in arrays.items()}
    weights, sizes = (dense_ht(tree_of(shape), each) for each in (arrays, absolute))
    bias = layer.bias.numpy().astype(np.float64)
    plans = (shape.input_plan, shape.hidden_plan)
    roundings = 3 + max(sum(stage.terms + 2 for stage in plan.stages) for plan in plans)
    corner = np.zeros((shape.input_modes[0] + 1, *shape.input_modes[1:]), bool)
    corner[(-1, *(slice(side) for side in shape.hidden_box))] = True
    is_hidden = corner.ravel()
    is_input = np.arange(is_hidden.size) < shape.input_size

    def function(exact, values, errors, slope):
        return exact(values), slope * errors + 8 * unit

    def product(a, b):
        value = a[0] * b[0]
        error = np.abs(a[0]) * b[1] + np.abs(b[0]) * a[1] + a[1] * b[1]
        return value, error + unit * np.abs(value) + 2 * unit * error

    hidden = cell = (np.zeros(shape.units), np.zeros(shape.units))
    results, bounds = [], []
    for frame in frames:
        total = weights[:, is_input] @ frame + weights[:, is_hidden] @ hidden[0] + bias
        size = sizes[:, is_input] @ np.abs(frame) + sizes[:, is_hidden] @ np.abs(hidden[0])
        error = roundings * unit * (size + np.abs(bias)) * 1.01
        error = error + sizes[:, is_hidden] @ hidden[1] * 1.01
        values, errors = total.reshape(4, -1), error.reshape(4, -1)
        forget, update, output = (
            function(lambda x: 1 / (1 + np.exp(-x)), values[gate], errors[gate], 0.25)
            for gate in (0, 1, 3)
        )
        candidate = function(np.tanh, values[2], errors[2], 1)
        kept, added = product(forget, cell), product(update, candidate)
        value = kept[0] + added[0]
        cell = (value, (kept[1] + added[1]) * (1 + unit) + unit * np.abs(value))
        hidden = product(output, function(np.tanh, cell[0], cell[1], 1))
        results.append(hidden[0])
        bounds.append(hidden[1])
    return np.array(results), np.array(bounds)


@given(fdht_shapes(max_modes=4, max_units=8))
@settings(max_examples=6)
def test_the_float_layer_is_a_usual_lstm_with_the_dense_matrix(shape):
    keras.utils.set_random_seed(0)
    layer = FDHTLSTM(**fdht_arguments(shape), return_sequences=True)
    frames = np.random.default_rng(0).normal(size=(2, 5, shape.input_size)).astype(np.float32)
    found = layer(frames).numpy()
    for clip, result in zip(frames, found, strict=True):
        wanted, bound = dense_lstm(layer, clip.astype(np.float64))
        assert bound.max() < 1e-2, "too loose to mean anything"
        assert (np.abs(result - wanted) <= bound).all()


def test_the_float_layer_has_the_parameters_of_its_shape():
    layer = FDHTLSTM(**fdht_arguments(SMALL_SHAPE))
    layer.build((None, None, 60))
    assert layer.count_params() == SMALL_SHAPE.parameter_count
    # Forget bias 1, the others 0.
    np.testing.assert_array_equal(layer.bias.numpy(), np.repeat([1, 0, 0, 0], 8))


def test_fine_formats_approach_the_float_layer():
    """The quantised layer computes the same function, not only the same as its reference."""
    formats = {
        name: FixedPoint(form.width + 6, form.fraction + 6, form.signed)
        if name != "input"
        else form
        for name, form in layer_formats().items()
    }
    formats |= {"preactivation": FixedPoint(15, 11), "cell": FixedPoint(16, 12)}
    quantized = quantized_layer(formats=formats, return_sequences=True)
    real = FDHTLSTM(**fdht_arguments(SMALL_SHAPE), return_sequences=True)
    real.build((None, None, 60))
    real.set_weights(quantized.get_weights())
    values = as_values(pixels(2, 5, 60))
    difference = np.abs(quantized(values).numpy() - real(values).numpy())
    assert 0 < difference.max() < 0.02


# Files ------------------------------------------------------------------------------------------


@pytest.mark.filterwarnings(
    # tf_keras complains about QKeras' QDense, whose quantizer is its constraint.
    "ignore:The `keras.(constraints|initializers|regularizers).serialize:UserWarning"
)
@pytest.mark.parametrize("suffix", [".h5", ".keras"])
@pytest.mark.parametrize("stateful", [False, True])
def test_saved_models_are_the_same_models(tmp_path, suffix, stateful):
    shape = dataclasses.replace(SMALL_SHAPE, format=HierarchicalTucker((2, 1, 3), 3, ((1, 2), 3)))
    keras.utils.set_random_seed(0)
    layer = QFDHTLSTM(
        **fdht_arguments(shape),
        quantizers=layer_formats(),
        recurrent_activation="hard_sigmoid",
        activation="smooth_tanh",
        return_sequences=True,
        stateful=stateful,
        input_gain=3.0,
        name="lstm",
    )
    model = keras.Sequential(
        [
            keras.layers.Input((4, 60), batch_size=2),
            layer,
            qkeras.QDense(
                3,
                kernel_quantizer=qkeras.quantized_bits(6, 0, alpha=1),
                bias_quantizer=qkeras.quantized_bits(6, 0, alpha=1),
            ),
        ]
    )
    values = as_values(pixels(2, 4, 60))
    path = tmp_path / f"model{suffix}"
    model.save(path)
    wanted = model(values).numpy()
    again = keras.models.load_model(path, custom_objects={"QDense": qkeras.QDense})
    np.testing.assert_array_equal(again(values).numpy(), wanted)
    loaded = again.get_layer("lstm")
    assert loaded.get_config() == layer.get_config()
    assert loaded.shape == layer.shape
    assert export_recurrence(loaded).to_json() == export_recurrence(layer).to_json()


@pytest.mark.parametrize("kind", [FDHTLSTM, QFDHTLSTM])
def test_a_layer_comes_back_from_its_config(kind):
    options = {"quantizers": layer_formats()} if kind is QFDHTLSTM else {}
    layer = kind(**fdht_arguments(SMALL_SHAPE), return_state=True, input_gain=2.5, **options)
    config = layer.get_config()
    assert kind.from_config(config).get_config() == config
    named = set(inspect.signature(FDHTLSTM).parameters) - {"kwargs"}
    assert named | set(options) <= set(config)
    assert config["input_gain"] == 2.5 and config["return_state"] is True


# Refusals ---------------------------------------------------------------------------------------


def test_inputs_that_do_not_fit_are_refused():
    for shape in ((None, 5, 59), (None, 5, 6, 9), (None, 5, None)):
        layer = FDHTLSTM(**fdht_arguments(SMALL_SHAPE))
        with pytest.raises(ShapeError, match=r"a time step must hold 60 values \(3 x 4 x 5\)"):
            layer.build(shape)


def test_a_stateful_layer_needs_a_batch_size():
    layer = FDHTLSTM(**fdht_arguments(SMALL_SHAPE), stateful=True)
    with pytest.raises(ShapeError, match="a stateful layer needs a fixed batch size"):
        layer.build((None, 5, 60))


def test_wrong_arguments_are_refused():
    with pytest.raises(ShapeError, match="hidden_box"):
        FDHTLSTM((3, 4, 5), (8, 2, 2), (3, 3), 2, 2)
    with pytest.raises(ConfigError, match=r"recurrent_activation = 'sigmoyd'.*'sigmoid'"):
        FDHTLSTM(**fdht_arguments(SMALL_SHAPE), recurrent_activation="sigmoyd")
    with pytest.raises(ConfigError, match="activation = 'sigmoid'"):
        FDHTLSTM(**fdht_arguments(SMALL_SHAPE), activation="sigmoid")
    with pytest.raises(NumericError, match=re.escape("quantizers.C3: is missing")):
        formats = layer_formats()
        del formats["C3"]
        QFDHTLSTM(**fdht_arguments(SMALL_SHAPE), quantizers=formats)
    with pytest.raises(NumericError, match=r"2\*\*20 entries"):
        formats = layer_formats(preactivation=FixedPoint(20, 10))
        QFDHTLSTM(**fdht_arguments(SMALL_SHAPE), quantizers=formats)
