"""Models with a layer of ours, as users of hls4ml write them: exact ones and others."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from fdht_models.kerasapi import keras, qkeras
from fdht_models.layers.quantizers import format_of
from fdht_models.tensor.fixedpoint import FixedPoint
from fdht_models.tensor.recurrent import fdht_shape
from tests.hls.networks import CLASSIFIERS, Classifier

layers = keras.layers
SMALL = CLASSIFIERS["bytes"]
#: A step of one of its inputs: 12 fibres of 5 values.
FIBRES = (12, 5)
SIGNED, UNSIGNED = "quantized_bits(8,0,alpha=1)", "quantized_bits(8,0,keep_negative=0,alpha=1)"


def dense(kernel: Any = SIGNED, bias: Any = SIGNED, units: int = 3, **options: Any) -> Any:
    """A QDense; `name` is "head" if none is given."""
    options = {"name": "head", **options}
    options = {"kernel_initializer": "zeros", **options}
    return qkeras.QDense(units, kernel_quantizer=kernel, bias_quantizer=bias, **options)


def recurrent(classifier: Classifier = SMALL, **options: Any) -> Any:
    """Our layer."""
    lstm, _ = classifier.layers(False, False)
    return type(lstm).from_config({**lstm.get_config(), **options})


def _weights(layer: Any) -> list[tuple[Any, Any]]:
    """Weights of a dense layer and their quantizers."""
    return list(zip(layer.weights, layer.get_quantizers(), strict=False))


def _values(weight: tuple[Any, Any], generator: np.random.Generator) -> np.ndarray:
    """Values of a quantizer's range, and a little below it."""
    variable, quantizer = weight
    form = format_of(quantizer)
    return generator.uniform(-0.95, 0.95, variable.shape) * form.maximum * form.scale


def fill(model: Any) -> Any:
    """The model, with random weights that stay the same."""
    generator = np.random.default_rng(7)
    for layer in model.layers:
        for weight in layer.trainable_weights if hasattr(layer, "shape") else ():
            weight.assign(0.9 * generator.normal(size=weight.shape))
        if isinstance(layer, qkeras.QDense):
            layer.set_weights([_values(one, generator) for one in _weights(layer)])
    return model


@dataclass(frozen=True)
class Exact:
    """A model of one frame a call that is converted, and its hls4ml configuration.

    Args:
        behind: makes the layers behind ours.
        input_name: of the input layer.
        granularity: of hls4ml's configuration.
        settings: of hls4ml's configuration for the layer "head".
        classifier: gives our layer.
    """

    behind: Callable[[], list[Any]]
    input_name: str = "fibres"
    granularity: str = "name"
    settings: Mapping[str, Any] = field(default_factory=dict)
    classifier: Classifier = SMALL

    def model(self) -> Any:
        fibres = keras.Input((1, *FIBRES), batch_size=1, name=self.input_name)
        tensor = recurrent(self.classifier, stateful=True)(fibres)
        for layer in self.behind():
            tensor = layer(tensor)
        return fill(keras.Model(fibres, tensor))


_NARROW = {"Precision": {"result": "fixed<8,4>", "accum": "fixed<8,4>", "weight": "fixed<4,2>"}}


_FOUR = "quantized_bits(4,0,alpha=1)"


def _two() -> list[Any]:
    return [dense(_FOUR), layers.ReLU(), dense(_FOUR, name="last")]


def _relu(*bits: int) -> Any:
    return qkeras.QActivation(qkeras.quantized_relu(*bits), name="relu")


#: Each equal in every integer. The first few are compiled in every run of the tests.
EXACT: dict[str, Exact] = {
    "unsigned kernel, no bias, unbiased": Exact(
        lambda: [dense(UNSIGNED, use_bias=False, name="unbiased")], "class"
    ),
    "two dense layers, relu, unsigned biases": Exact(
        lambda: [
            dense(_FOUR, UNSIGNED, name="biased"),
            layers.ReLU(name="relu"),
            dense("quantized_bits(4,0,keep_negative=0,alpha=1)", UNSIGNED, name="my-kernel"),
        ],
        "3d input-1",
    ),
    "signed": Exact(lambda: [dense()]),
    "unsigned kernel": Exact(lambda: [dense(UNSIGNED)]),
    "unsigned bias": Exact(lambda: [dense(bias=UNSIGNED)]),
    "no bias": Exact(lambda: [dense(use_bias=False)]),
    "unbiased": Exact(lambda: [dense(name="unbiased")]),
    "bits are integer bits": Exact(
        lambda: [dense("quantized_bits(4,4,alpha=1)", "quantized_bits(8,8,alpha=1)")]
    ),
    "bits are integer bits, unsigned": Exact(
        lambda: [dense("quantized_bits(4,4,keep_negative=0,alpha=1)", UNSIGNED)]
    ),
    "one bit": Exact(lambda: [dense("quantized_bits(1,0,keep_negative=0,alpha=1)")]),
    "more integer bits than bits": Exact(lambda: [dense("quantized_bits(3,5,alpha=1)")]),
    "bias quantizer without alpha": Exact(lambda: [dense(bias="quantized_bits(8,2)")]),
    "bias finer than products": Exact(lambda: [dense(bias="quantized_bits(20,0,alpha=1)")]),
    "relu in the layer": Exact(lambda: [dense(activation="relu")]),
    "quantized relu in the layer": Exact(lambda: [dense(activation="quantized_relu(6,1)")]),
    "quantized bits in the layer": Exact(lambda: [dense(activation="quantized_bits(5,1,alpha=1)")]),
    "relu behind the cell": Exact(lambda: [layers.Activation("relu"), dense()]),
    "quantized relu behind the cell": Exact(lambda: [_relu(4, 0), dense(UNSIGNED)]),
    "unsigned activation": Exact(
        lambda: [dense(units=5), qkeras.QActivation(UNSIGNED), dense(UNSIGNED, name="last")]
    ),
    "hidden layers": Exact(
        lambda: [
            dense(units=6, activation="quantized_relu(6,1)", name="first"),
            layers.Dropout(0.5),
            dense(UNSIGNED, units=5, use_bias=False, name="bias_free"),
            _relu(8, 2),
            dense(),
        ]
    ),
    "names": Exact(lambda: [dense(_FOUR, name="Head"), layers.ReLU(name="int"), dense(_FOUR)]),
    "granularity model": Exact(_two, granularity="model"),
    "granularity type": Exact(_two, granularity="type"),
    "narrow configuration": Exact(
        lambda: [layers.ReLU(), dense()], settings={**_NARROW, "Strategy": "Latency"}
    ),
    "resource strategy": Exact(
        lambda: [layers.ReLU(), dense(UNSIGNED)],
        settings={"Strategy": "Resource", "ReuseFactor": 4},
    ),
    "gated unit's words": Exact(lambda: [dense()], "layer2_out"),
    "h alone": Exact(list),
}


def _call(layer: Any, *arguments: Any, **options: Any) -> Any:
    """A model of a layer called with more than its input."""
    fibres = keras.Input((3, *FIBRES), batch_size=1, name="fibres")
    return keras.Model(fibres, dense()(layer(fibres, *arguments, **options)))


def behind(*stack: Any, classifier: Classifier = SMALL, **options: Any) -> Any:
    """Layers behind ours."""
    frames = layers.Input((3, *FIBRES), batch_size=1)
    return keras.Sequential([frames, recurrent(classifier, **options), *stack])


def before(*stack: Any) -> Any:
    """Layers before ours."""
    return keras.Sequential(
        [layers.Input((3, *FIBRES), batch_size=1), *stack, recurrent(), dense()]
    )


def _states() -> list[Any]:
    return [np.full((1, 8), 0.25, np.float32)] * 2


def _inputs_for_states() -> Any:
    fibres = keras.Input((3, *FIBRES), batch_size=1)
    states = [keras.Input((8,), batch_size=1) for _ in range(2)]
    return keras.Model([fibres, *states], recurrent()(fibres, initial_state=states))


def _returning_state() -> Any:
    fibres = keras.Input((3, *FIBRES), batch_size=1)
    hidden, *_ = recurrent(return_state=True)(fibres)
    return keras.Model(fibres, dense()(hidden))


def _random_dropout() -> Any:
    model = behind(dense())
    dropped = layers.Dropout(0.5, name="mc")(model.output, training=True)
    return keras.Model(model.input, dropped)


def _far_beyond() -> Any:
    """QKeras takes 1e7 + (7 / 8 - 1e7), which is 1 in float32."""
    model = behind(dense(_FOUR))
    kernel, bias = model.layers[-1].get_weights()
    model.layers[-1].set_weights([np.full_like(kernel, 1e7), bias])
    return model


def _shared() -> Any:
    shared = dense(units=8)
    return behind(shared, shared)


def _two_outputs() -> Any:
    fibres = keras.Input((3, *FIBRES), batch_size=1)
    hidden = recurrent()(fibres)
    return keras.Model(fibres, [hidden, dense()(hidden)])


def _skip() -> Any:
    fibres = keras.Input((3, *FIBRES), batch_size=1)
    hidden = recurrent()(fibres)
    return keras.Model(fibres, layers.Add(name="skip")([hidden, dense(units=8)(hidden)]))


def _nested() -> Any:
    return behind(keras.Sequential([layers.Input((8,)), dense()], name="inner"))


class Longer(qkeras.QDense):
    """A dense layer of the user's own."""

    def call(self, inputs: Any) -> Any:
        return super().call(inputs) + 1


_BITS = qkeras.quantized_bits
#: Of 8 inputs, which are the units of `SMALL`.
_SECOND = Classifier("second", fdht_shape((2, 4), (4, 2), (2,), 2, 1))
_WIDE = replace(SMALL, formats={"hidden": FixedPoint(26, 25)})

#: Name -> (a function that builds the model, field and value of the refusal).
REFUSED: dict[str, tuple[Callable[[], Any], str]] = {
    "initial state": (lambda: _call(recurrent(), initial_state=_states()), "lstm.initial_state"),
    "initial state by position": (lambda: _call(recurrent(), _states()), "lstm.initial_state"),
    "inputs for states": (_inputs_for_states, "core has one input and one output"),
    "training": (lambda: _call(recurrent(), training=True), "lstm.training"),
    "dropout in inference": (_random_dropout, "mc.training"),
    "return_state": (_returning_state, "lstm.return_state = True"),
    "sequences and QDense": (
        lambda: behind(dense(), return_sequences=True),
        "lstm.return_sequences = True: head",
    ),
    "sequences and ReLU": (
        lambda: behind(layers.ReLU(name="relu"), return_sequences=True),
        "lstm.return_sequences = True: relu",
    ),
    "sequences and TimeDistributed": (
        lambda: behind(layers.TimeDistributed(dense(), name="each"), return_sequences=True),
        "each = 'TimeDistributed'",
    ),
    "batch normalization": (
        lambda: behind(layers.BatchNormalization(name="norm"), dense()),
        "norm = 'BatchNormalization'",
    ),
    "softmax layer": (lambda: behind(dense(), layers.Softmax(name="soft")), "soft = 'Softmax'"),
    "softmax activation": (
        lambda: behind(dense(), layers.Activation("softmax", name="soft")),
        "soft.activation = 'softmax': .*the host takes the largest logit",
    ),
    "softmax in the head": (
        lambda: behind(dense(activation="softmax")),
        "head.activation = 'softmax'",
    ),
    "sigmoid": (lambda: behind(dense(activation="sigmoid")), "head.activation = 'sigmoid'"),
    "tanh": (lambda: behind(dense(), layers.Activation("tanh", name="t")), "t.activation = 'tanh'"),
    "quantized_tanh": (
        lambda: behind(dense(), qkeras.QActivation("quantized_tanh(6)", name="t")),
        "t.activation = 'quantized_tanh'",
    ),
    "leaky relu": (lambda: behind(dense(), layers.LeakyReLU(name="leak")), "leak = 'LeakyReLU'"),
    "relu with a bound": (lambda: behind(dense(), layers.ReLU(6, name="six")), "six.max_value = 6"),
    "relu with a slope": (
        lambda: behind(dense(), layers.ReLU(negative_slope=0.5, name="r")),
        "r.negative_slope = 0.5",
    ),
    "quantized relu with a slope": (
        lambda: behind(dense(activation="quantized_relu(6,1,negative_slope=0.25)")),
        "head.activation = ",
    ),
    "quantized relu by sigmoid": (
        lambda: behind(dense(), qkeras.QActivation("quantized_relu(6,1,1)", name="r")),
        "r.activation = ",
    ),
    "ternary activation": (
        lambda: behind(dense(), qkeras.QActivation("ternary()", name="t")),
        "t.activation = 'ternary'",
    ),
    "Dense": (lambda: behind(layers.Dense(3, name="head")), "head = 'Dense'.*use qkeras.QDense"),
    "no kernel quantizer": (lambda: behind(dense(None)), "head.kernel_quantizer = "),
    "no bias quantizer": (lambda: behind(dense(bias=None)), "head.bias_quantizer = "),
    "alpha left to QKeras": (
        lambda: behind(dense(_BITS(8, 0))),
        "head.kernel_quantizer = .*must have alpha=1",
    ),
    "alpha auto": (lambda: behind(dense(_BITS(8, 0, alpha="auto"))), "head.kernel_quantizer = "),
    "alpha 2": (lambda: behind(dense(_BITS(8, 0, alpha=2.0))), "head.kernel_quantizer = "),
    "symmetric": (lambda: behind(dense(_BITS(8, 0, 1, alpha=1))), "head.kernel_quantizer = "),
    "stochastic rounding": (
        lambda: behind(dense(_BITS(8, 0, alpha=1, use_stochastic_rounding=True))),
        "head.kernel_quantizer = ",
    ),
    "half quantised": (
        lambda: behind(dense(_BITS(8, 0, alpha=1, qnoise_factor=0.5))),
        "head.kernel_quantizer = ",
    ),
    "sign alone": (lambda: behind(dense(_BITS(1, 0, alpha=1))), "head.kernel_quantizer = "),
    "binary": (lambda: behind(dense("binary(alpha=1)")), "head.kernel_quantizer = "),
    "ternary": (lambda: behind(dense("ternary(alpha=1)")), "head.kernel_quantizer = "),
    "powers of two": (lambda: behind(dense("quantized_po2(4)")), "head.kernel_quantizer = "),
    "weights far beyond their range": (
        _far_beyond,
        "head.kernel = 10000000.0: QKeras rounds it to no value",
    ),
    "sums too wide for Keras": (
        lambda: behind(dense(_BITS(16, 0, alpha=1))),
        "head = '2[6-9] bits': Keras computes in float32",
    ),
    "h too wide for Keras": (
        lambda: behind(classifier=_WIDE),
        "lstm.quantizers.hidden = '26 bits': Keras computes in float32",
    ),
    "another precision": (
        lambda: behind(dense(), layers.ReLU(name="relu", dtype="float16")),
        "relu.dtype = 'float16'",
    ),
    "a layer of the user's": (
        lambda: behind(Longer(3, kernel_quantizer=SIGNED, bias_quantizer=SIGNED, name="head")),
        "head = 'Longer'",
    ),
    "stacked": (
        lambda: behind(recurrent(_SECOND, name="second"), dense(), return_sequences=True),
        "second = 'QFDHTLSTM': a second recurrent layer",
    ),
    "LSTM behind": (
        lambda: behind(layers.LSTM(4, name="rnn"), return_sequences=True),
        "rnn = 'LSTM'",
    ),
    "Dense before": (lambda: before(layers.Dense(5, name="front")), "front = 'Dense'"),
    "Conv1D before": (
        lambda: before(layers.TimeDistributed(layers.Conv1D(5, 1), name="conv")),
        "conv = 'TimeDistributed'",
    ),
    "ReLU before": (lambda: before(layers.ReLU(name="front")), "front = 'ReLU'"),
    "Reshape before": (lambda: before(layers.Reshape((3, 12, 5), name="r")), "r = 'Reshape'"),
    "shared": (_shared, "head = '2 calls'"),
    "two outputs": (_two_outputs, "core has one input and one output"),
    "skip": (_skip, "skip = 'Add'"),
    "nested": (_nested, "inner = 'Sequential'"),
    "two of one name": (
        lambda: behind(dense(), layers.ReLU(name="head_linear")),
        "layer name = 'head_linear'",
    ),
    "a name of a stage": (lambda: behind(dense(name="lstm_cell")), "layer name = 'lstm_cell'"),
}
