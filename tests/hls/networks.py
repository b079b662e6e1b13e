"""Small Keras classifiers of every kind, and what the conversion needs of them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np

from fdht_hls.conversion_model import HEAD, LSTM
from fdht_models.kerasapi import keras, qkeras
from fdht_models.layers.export import export_network
from fdht_models.layers.quantized import QFDHTLSTM, QUANTIZED_OF
from fdht_models.layers.quantizers import quantizer_for
from fdht_models.preprocessing import plain
from fdht_models.tensor.fixedpoint import FixedPoint
from fdht_models.tensor.quantized import QuantizedNetwork
from fdht_models.tensor.recurrent import RecurrentShape, fdht_shape
from tests.models.strategies import SMALL_SHAPE, fdht_arguments, layer_formats

UNSIGNED, SIGNED = FixedPoint(8, 8, signed=False), FixedPoint(8, 7)
HEAD_FORMAT = FixedPoint(8, 7)


@dataclass(frozen=True)
class Classifier:
    """Codes of a frame -> logits, with random weights that stay the same for a seed.

    Args:
        name: of the network.
        shape: modes and ranks.
        formats: changes to `layer_formats`.
        gates: recurrent activation and activation.
        classes: number of logits.
        head: format of the head's weights and bias.
        bias: how far the LSTM's bias is spread.
        seed: of all weights.
        generic: use the layer of any tensor format in place of `QFDHTLSTM`.
    """

    name: str
    shape: RecurrentShape = SMALL_SHAPE
    formats: Mapping[str, FixedPoint] = field(default_factory=dict)
    gates: tuple[str, str] = ("sigmoid", "tanh")
    classes: int = 3
    head: FixedPoint = HEAD_FORMAT
    bias: float = 1.0
    seed: int = 0
    generic: bool = False

    @property
    def modes(self) -> int:
        return len(self.shape.input_modes)

    @property
    def input_format(self) -> FixedPoint:
        return self.formats.get("input", UNSIGNED)

    @property
    def dtype(self) -> str:
        return "int8" if self.input_format.signed else "uint8"

    def keras(
        self,
        *,
        sequences: bool = False,
        stateful: bool = False,
        batch: int | None = None,
        steps: int | None = None,
    ) -> Any:
        """A Keras model: codes [batch, steps, inputs] -> logits."""
        frames = keras.Input((steps, self.shape.input_size), batch_size=batch, dtype=self.dtype)
        values = keras.layers.Rescaling(self.input_format.scale)(frames)
        lstm, head = self.layers(sequences, stateful)
        model = keras.Model(frames, head(lstm(values)))
        self.set_weights(lstm, head)
        return model

    def layers(self, sequences: bool, stateful: bool) -> tuple[Any, Any]:
        """The two layers, not built yet."""
        options = {
            "recurrent_activation": self.gates[0],
            "activation": self.gates[1],
            "quantizers": layer_formats(self.shape, **self.formats),
            "return_sequences": sequences,
            "stateful": stateful,
            "name": LSTM,
        }
        if self.generic:
            lstm = QUANTIZED_OF[self.shape.cell](
                self.shape.format,
                self.shape.input_modes,
                self.shape.output_modes,
                self.shape.hidden_box,
                **options,
            )
        else:
            lstm = QFDHTLSTM(**fdht_arguments(self.shape), **options)
        quantizer = quantizer_for(self.head)
        head = qkeras.QDense(
            self.classes,
            kernel_quantizer=quantizer,
            bias_quantizer=quantizer,
            kernel_initializer="zeros",
            name=HEAD,
        )
        return lstm, head

    def set_weights(self, lstm: Any, head: Any) -> None:
        """Gives built layers the weights of this classifier."""
        for weight, value in zip(lstm.trainable_weights, self._lstm_weights, strict=True):
            weight.assign(value)
        lstm.bias.assign(self._normal(lstm.bias.shape, 1) * self.bias)
        spread = 0.9 * self.head.maximum * self.head.scale
        head.set_weights(
            [
                self._uniform(weight.shape, 2 + number) * spread
                for number, weight in enumerate(head.weights)
            ]
        )

    @cached_property
    def _lstm_weights(self) -> list[np.ndarray]:
        keras.utils.set_random_seed(self.seed)
        lstm, _ = self.layers(False, False)
        lstm.build((None, None, self.shape.input_size))
        return [weight.numpy() for weight in lstm.trainable_weights]

    def _normal(self, shape: Any, stream: int) -> np.ndarray:
        return np.random.default_rng([self.seed, stream]).normal(size=tuple(shape))

    def _uniform(self, shape: Any, stream: int) -> np.ndarray:
        return np.random.default_rng([self.seed, stream]).uniform(-1, 1, tuple(shape))

    @cached_property
    def network(self) -> QuantizedNetwork:
        """Its integers."""
        model = self.keras()
        return export_network(
            *model.layers[-2:],
            name=self.name,
            classes=tuple(f"class {number}" for number in range(self.classes)),
            preprocessing=plain(self.shape.input_size, 20),
        )


def streams_of(network: QuantizedNetwork, count: int, frames: int, seed: int = 0) -> np.ndarray:
    """Noise whose strength changes from frame to frame: codes [count, frames, inputs]."""
    form = network.input_format
    generator = np.random.default_rng(seed)
    noise = generator.integers(form.minimum, form.maximum + 1, (count, frames, network.inputs))
    strength = generator.uniform(0, 1, (count, frames, 1)) ** 2
    return np.rint(noise * strength).astype(np.int8 if form.signed else np.uint8)


_STAGES = tuple(f"{path}.C{k}" for path in ("input", "hidden") for k in range(2, 6))


def _stages(modes: int, form: FixedPoint) -> dict[str, FixedPoint]:
    return {name: form for name in _STAGES if int(name[-1]) <= modes}


#: One of each kind: modes, word-aligned or not, sign, gates, widths, odd and even results.
CLASSIFIERS = {
    classifier.name: classifier
    for classifier in (
        # 60 inputs in 64 bytes, 3 logits in 16; some pre-activations saturate.
        Classifier("bytes", formats={"preactivation": FixedPoint(9, 7)}),
        # A fibre is one memory word; signed; an even number of logits.
        Classifier(
            "words",
            fdht_shape((2, 3, 4, 8), (8, 2, 2, 1), (2, 2, 2), 2, 2),
            {"input": SIGNED},
            ("hard_sigmoid", "hard_tanh"),
            classes=4,
        ),
        # Sums beyond 32 bits, a bias beyond 32 bits, one class.
        Classifier(
            "wide",
            fdht_shape((6, 7), (8, 3), (6,), 3, 1),
            {
                **{name: FixedPoint(16, 13) for name in ("C1", "C2", "C1_hidden")},
                **_stages(2, FixedPoint(24, 17)),
                "bias": FixedPoint(34, 30),
                "preactivation": FixedPoint(12, 9),
                "cell": FixedPoint(14, 11),
            },
            ("smooth_sigmoid", "smooth_tanh"),
            classes=1,
        ),
        # Narrow formats, of which many saturate; five modes; many classes.
        Classifier(
            "deep",
            fdht_shape((2, 2, 3, 2, 3), (8, 1, 2, 1, 2), (2, 2, 1, 2), 2, 2),
            {
                **_stages(5, FixedPoint(8, 7)),
                **{name: FixedPoint(6, 4) for name in ("C1", "C2", "C3", "C4", "C5")},
                "C1_hidden": FixedPoint(8, 4),
                "preactivation": FixedPoint(7, 6),
                "gate": FixedPoint(6, 6, signed=False),
                "candidate": FixedPoint(6, 5),
                "output": FixedPoint(6, 5),
                "cell": FixedPoint(8, 7),
                "hidden": FixedPoint(6, 5),
            },
            ("quantized_sigmoid(6)", "quantized_tanh(6)"),
            classes=7,
            bias=0.4,
            seed=6,
        ),
    )
}


def fibre_model(
    classifier: Classifier,
    steps: int = 1,
    *,
    sequences: bool = False,
    stateful: bool = True,
    head: bool = True,
    input_name: str = "fibres",
) -> Any:
    """What a user of hls4ml builds: quantised values [1, steps, fibres, n_d] -> logits or h."""
    *others, last = classifier.shape.input_modes
    shape = (steps, int(np.prod(others)), last)
    fibres = keras.Input(shape, batch_size=1, name=input_name)
    lstm, dense = classifier.layers(sequences, stateful)
    hidden = lstm(fibres)
    model = keras.Model(fibres, dense(hidden) if head else hidden)
    if not head:
        dense.build((1, classifier.shape.units))
    classifier.set_weights(lstm, dense)
    return model
