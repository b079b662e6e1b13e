"""From a Keras model to a QuantizedNetwork: the same logits, integer for integer."""

from __future__ import annotations

import numpy as np
import pytest

from fdht_models.errors import ConversionError, NumericError, ShapeError
from fdht_models.kerasapi import keras, qkeras
from fdht_models.layers.export import (
    export_head,
    export_network,
    export_recurrence,
)
from fdht_models.layers.quantized import QFDHTLSTM
from fdht_models.layers.quantizers import format_of
from fdht_models.preprocessing import Picture, Preprocessing, Sampling, plain
from fdht_models.tensor.fixedpoint import FixedPoint
from fdht_models.tensor.quantized import QuantizedNetwork
from fdht_models.tensor.reference import ReferenceModel
from tests.models.strategies import SMALL_SHAPE, dense_ht, fdht_arguments, layer_formats, tree_of

CLASSES = ("left", "right", "still")
PIXELS = Preprocessing(Sampling("generated", 5), picture=Picture(4, 5, "pixels"))


def head(kernel: str = "quantized_bits(8, 0, alpha=1)", **options) -> qkeras.QDense:
    return qkeras.QDense(
        len(CLASSES), kernel_quantizer=kernel, **{"bias_quantizer": kernel, **options}
    )


def model_of(dense: qkeras.QDense, formats=None, sequences: bool = True) -> keras.Sequential:
    keras.utils.set_random_seed(3)
    layer = QFDHTLSTM(
        **fdht_arguments(SMALL_SHAPE),
        quantizers=formats or layer_formats(),
        return_sequences=sequences,
    )
    model = keras.Sequential([keras.layers.Input((None, 60)), layer, dense])
    generator = np.random.default_rng(3)
    layer.bias.assign(generator.normal(size=32))
    for weight in dense.weights:
        weight.assign(generator.uniform(-0.9, 0.9, weight.shape))
    return model


def export(model: keras.Sequential) -> QuantizedNetwork:
    return export_network(*model.layers, name="tiny", classes=CLASSES, preprocessing=PIXELS)


def frames_and_values(clips: int, steps: int) -> tuple[np.ndarray, np.ndarray]:
    frames = np.random.default_rng(0).integers(0, 256, (clips, steps, 60)).astype(np.uint8)
    return frames, frames.astype(np.float32) / 256


@pytest.mark.parametrize(
    ("kernel", "bias"),
    [
        ("quantized_bits(8, 0, alpha=1)", "quantized_bits(8, 0, alpha=1)"),
        ("quantized_bits(4, 1, alpha=1)", "quantized_bits(10, 2, alpha=1)"),
        ("quantized_bits(6, 0, alpha=1)", "quantized_bits(3, 2, alpha=1)"),
    ],
)
def test_logits_of_keras_are_those_of_the_reference(kernel, bias):
    model = model_of(head(kernel, bias_quantizer=bias))
    network = export(model)
    frames, values = frames_and_values(3, 6)
    codes = model(values).numpy().astype(np.float64) / network.logit_format.scale
    wanted = np.array([ReferenceModel(network).run(clip) for clip in frames])
    np.testing.assert_array_equal(codes, wanted)
    assert len(np.unique(wanted)) > 20


def test_the_last_step_alone_is_the_last_logit():
    model = model_of(head(), sequences=False)
    network = export(model)
    frames, values = frames_and_values(2, 5)
    codes = model(values).numpy().astype(np.float64) / network.logit_format.scale
    wanted = np.array([ReferenceModel(network).run(clip)[-1] for clip in frames])
    np.testing.assert_array_equal(codes, wanted)


def test_the_export_says_what_it_is():
    network = export(model_of(head()))
    assert (network.name, network.classes, network.feature) == ("tiny", CLASSES, "pixels")
    assert network.frame_shape == (4, 5, 3)
    assert (network.inputs, network.recurrence.units) == (60, 8)
    assert network.input_format == FixedPoint(8, 8, False)
    formats = layer_formats()
    for name, core in network.recurrence.cores.items():
        assert core.format == formats[name]
    assert set(network.recurrence.cores) == {"C1", "C2", "C3", "C1_hidden"}
    for label, path in (
        ("input", network.recurrence.input_path),
        ("hidden", network.recurrence.hidden_path),
    ):
        assert path.formats == (formats[f"{label}.C3"], formats[f"{label}.C2"])
    assert sum(core.codes.size for core in network.recurrence.cores.values()) + 32 == (
        SMALL_SHAPE.constant_count
    )


def test_an_export_is_reproducible_and_follows_the_weights():
    model = model_of(head())
    first = export(model)
    assert export(model).design_id == first.design_id
    kernel = model.layers[1].kernel
    kernel.assign(kernel + 2.0**-7)
    assert export(model).design_id != first.design_id


def test_the_stored_cores_are_the_dense_matrix():
    """The exported chain, multiplied out, is W of the layer's own tensors to within rounding."""
    formats = layer_formats()
    fine = {name: FixedPoint(20, 16) for name in ("C1", "C2", "C3", "C1_hidden")}
    model = model_of(head(), formats | fine | {"input": FixedPoint(8, 8, False)})
    layer = model.layers[0]
    lstm = export_recurrence(layer)
    arrays = {name: weight.numpy() for name, weight in layer.tensors.items()}
    wanted = dense_ht(tree_of(SMALL_SHAPE), arrays)
    stored = {name: core.format.dequantize(core.codes) for name, core in lstm.cores.items()}
    chain = SMALL_SHAPE.stored
    axis = chain.core("C1").indices.index("i1")
    stored["C1"] = np.concatenate([stored["C1"], stored.pop("C1_hidden")], axis)
    chain.check(stored)
    found = chain.dense(stored)
    # Each of three cores errs by at most half a code; the largest values of cores are below 8.
    bound = 3 * 2.0**-17 * 8**2 * 2 * 3
    assert max(np.abs(core).max() for core in stored.values()) < 8
    np.testing.assert_allclose(found, wanted, rtol=0, atol=bound)
    assert np.abs(wanted).max() > 50 * bound


def test_exact_sums_are_as_wide_as_their_largest_value():
    lstm = export_recurrence(model_of(head()).layers[0])
    from_input, from_hidden = (
        [lstm.accumulator_format(path, place).width for place in range(len(path.plan.stages))]
        for path in (lstm.input_path, lstm.hidden_path)
    )
    assert len(from_input) == len(from_hidden) == 3
    assert list(lstm.sums) == ["preactivation", "cell", "hidden"]
    # 5 products of 8 unsigned and 8 signed bits: 5 * 255 * 128 = 163,200 < 2**18, and a sign.
    assert from_input[0] == 19
    # h: box 2 x 4, so 4 products of -128 * -128 = 2**16, which as +2**16 needs 18 bits.
    assert from_hidden[0] == 18
    assert lstm.sums["preactivation"].width > max(from_input[-1], from_hidden[-1])


def test_weights_beyond_their_range_saturate():
    dense = head("quantized_bits(4, 0, alpha=1)")
    model_of(dense)
    dense.kernel.assign(np.full((8, 3), 0.99))
    np.testing.assert_array_equal(export_head(dense).weights.codes, np.full((8, 3), 7))
    dense.kernel.assign(np.full((8, 3), -7.0))
    np.testing.assert_array_equal(export_head(dense).weights.codes, np.full((8, 3), -8))


# Refusals ---------------------------------------------------------------------------------------


def test_accumulators_beyond_a_dsp_are_refused():
    formats = layer_formats()
    formats |= {name: FixedPoint(24, 20) for name in formats if "." in name or name == "C1"}
    with pytest.raises(NumericError, match=r"must lie between 1 and 48 bits.*lower ranks"):
        export(model_of(head(), formats))


def test_logits_that_keras_cannot_add_exactly_are_refused():
    with pytest.raises(NumericError, match=r"head = '2[6-9] bits': Keras adds logits in float32"):
        export(model_of(head("quantized_bits(16, 0, alpha=1)")))


def test_a_head_that_hardware_cannot_follow_is_refused():
    # QKeras turns a missing alpha into a scale that depends on the weights.
    with pytest.raises(NumericError, match=r"head\.kernel_quantizer = .*must have alpha=1"):
        export(model_of(head("quantized_bits(8, 0)", bias_quantizer="quantized_bits(8,0,alpha=1)")))
    with pytest.raises(NumericError, match=r"head\.bias_quantizer = .*must be a quantized_bits"):
        export(model_of(head(bias_quantizer=None)))


def test_a_head_without_bias_or_with_an_activation_is_refused():
    with pytest.raises(ConversionError, match=r"head\.use_bias = False"):
        export(model_of(head(use_bias=False)))
    for activation in ("softmax", "quantized_relu(4)", "relu"):
        with pytest.raises(ConversionError, match=r"head\.activation.*layer of its own"):
            export(model_of(head(activation=activation)))
    export(model_of(head(activation="linear")))


def test_a_plain_dense_head_is_refused():
    with pytest.raises(ConversionError, match=r"head.*QDense"):
        export(model_of(keras.layers.Dense(3)))


def test_another_number_of_classes_is_refused():
    with pytest.raises(ShapeError, match=r"head\.weights = \(8, 3\): expected \(8, 2\)"):
        export_network(
            *model_of(head()).layers,
            name="tiny",
            classes=("one", "two"),
            preprocessing=plain(60, 5),
        )


# Models of which an export would lose a part ------------------------------------------------------


def own(**options):
    options = {"return_sequences": True, "name": "lstm", **options}
    return QFDHTLSTM(**fdht_arguments(SMALL_SHAPE), quantizers=layer_formats(), **options)


def exported(layer, dense) -> QuantizedNetwork:
    return export_network(layer, dense, name="tiny", classes=CLASSES, preprocessing=plain(60, 5))


def chain(*layers):
    """The layers, called one behind the other."""
    tensor = keras.Input((None, 60))
    for layer in layers:
        tensor = layer(tensor)
    return layers


def test_a_layer_that_is_not_ours_is_refused():
    lstm, dense = chain(keras.layers.LSTM(8, name="rnn"), head())
    for export_one in (export_recurrence, lambda layer: exported(layer, dense)):
        with pytest.raises(
            ConversionError, match=r"rnn = 'LSTM': is no layer of ours; use QTensorG"
        ):
            export_one(lstm)

    class Mine(QFDHTLSTM):
        """May compute anything."""

    mine = Mine(**fdht_arguments(SMALL_SHAPE), quantizers=layer_formats(), name="mine")
    with pytest.raises(ConversionError, match=r"mine = 'Mine': is no layer of ours"):
        export_recurrence(mine)


def test_layers_without_weights_are_refused():
    with pytest.raises(ConversionError, match="lstm: has no weights yet; call it"):
        export_recurrence(own())
    layer = own()
    layer.build((None, None, 60))
    with pytest.raises(ConversionError, match="head: has no weights yet; call it"):
        exported(layer, head(name="head"))


def test_layers_that_no_model_was_made_of_are_exported():
    layer, dense = own(), head()
    layer.build((None, None, 60))
    dense.build((None, 8))
    assert exported(layer, dense).recurrence.units == 8


def test_one_of_two_stacked_layers_is_refused():
    first, second, dense = chain(own(), keras.layers.LSTM(8, name="second"), head(name="head"))
    with pytest.raises(ConversionError, match="second = 'LSTM': stands between lstm and head"):
        exported(first, dense)
    *_, second, dense = chain(
        keras.layers.LSTM(60, return_sequences=True, name="first"), own(), head(name="head")
    )
    with pytest.raises(ConversionError, match="first = 'LSTM': stands before lstm and is not"):
        exported(second, dense)


@pytest.mark.parametrize(
    "between",
    [
        lambda: keras.layers.BatchNormalization(name="one"),
        lambda: keras.layers.Activation("relu", name="one"),
        lambda: keras.layers.Dense(8, name="one"),
    ],
)
def test_what_stands_around_the_layers_is_not_lost(between):
    layer, _, dense = chain(own(), between(), head(name="head"))
    with pytest.raises(ConversionError, match=r"one = .* stands between lstm and head"):
        exported(layer, dense)
    layer, dense, _ = chain(own(), head(name="head"), between())
    with pytest.raises(ConversionError, match=r"one = .* stands behind head .*only softmax"):
        exported(layer, dense)


def test_a_normalization_before_is_not_lost():
    _, layer, dense = chain(keras.layers.BatchNormalization(name="one"), own(), head())
    with pytest.raises(ConversionError, match="one = 'BatchNormalization': stands before lstm"):
        exported(layer, dense)


def test_a_head_of_another_layer_is_refused():
    layer, _ = chain(own(), head(name="own_head"))
    _, other = chain(keras.layers.LSTM(8, name="rnn"), head(name="head"))
    with pytest.raises(ConversionError, match="rnn = 'LSTM': head does not stand behind lstm"):
        exported(layer, other)


def test_initial_states_are_refused():
    frames, state = keras.Input((None, 60)), keras.Input((8,))
    layer, dense = own(), head()
    dense(layer(frames, initial_state=[state, state]))
    with pytest.raises(ConversionError, match=r"lstm\.initial_state = 'given'"):
        exported(layer, dense)


def test_dropout_rescaling_and_softmax_are_no_part_of_a_network():
    _, layer, _, dense, _ = chain(
        keras.layers.Rescaling(1 / 256),
        own(),
        keras.layers.Dropout(0.5),
        head(),
        keras.layers.Softmax(),
    )
    assert exported(layer, dense).recurrence.units == 8


@pytest.mark.parametrize(
    "quantizer",
    [
        qkeras.quantized_bits(8, 0, alpha=1, qnoise_factor=0.5),
        qkeras.quantized_bits(8, 0.5, alpha=1),
        qkeras.quantized_bits(7.5, 0, alpha=1),
        qkeras.quantized_bits(8, 0, alpha="auto"),
        qkeras.quantized_bits(8, 0, alpha=np.array([1.0, 2.0, 1.0])),
        qkeras.quantized_bits(8, 0, alpha=1, use_stochastic_rounding=True),
    ],
)
def test_quantizers_that_do_more_than_round_are_refused(quantizer):
    with pytest.raises(NumericError, match=r"must have alpha=1.*for example quantized_bits"):
        format_of(quantizer)
