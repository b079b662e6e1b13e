"""Classifiers at full size with random weights, quantised as training would choose."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from fdht_hls.benchmarks.random_networks import CLASSES, MODES, RANK
from fdht_models.kerasapi import keras, qkeras
from fdht_models.layers.export import export_network
from fdht_models.layers.lstm import FDHTLSTM
from fdht_models.layers.quantized import QFDHTLSTM
from fdht_models.layers.quantizers import quantizer_for, required_names
from fdht_models.preprocessing import plain
from fdht_models.sections import QuantizationSettings
from fdht_models.tensor.quantized import QuantizedNetwork
from fdht_models.training.calibrate import choose_formats
from fdht_models.training.models import HEAD, HEAD_FORMATS, LSTM

#: Arguments of the layer for the configurations of the architecture study.
CONFIGURATIONS: dict[str, dict[str, Any]] = {
    name: {
        "input_modes": inputs,
        "output_modes": outputs,
        "hidden_box": box,
        "leaf_rank": RANK,
        "inner_rank": RANK,
    }
    for name, (inputs, outputs, box) in MODES.items()
}
_CLIPS, _FRAMES = 2, 6


def random_classifier(name: str, seed: int) -> tuple[Any, QuantizedNetwork]:
    """A quantised Keras classifier of a configuration, and its integers.

    Weights are as the layers initialise them. Formats are those that training would choose from
    `noise_clips` of the same seed.

    Args:
        name: one of `CONFIGURATIONS`.
        seed: of the weights.
    """
    keras.utils.set_random_seed(seed)
    arguments = CONFIGURATIONS[name]
    inputs = int(np.prod(arguments["input_modes"]))
    float_model = _assemble(
        FDHTLSTM(**arguments, name=LSTM), keras.layers.Dense(CLASSES, name=HEAD), inputs
    )
    formats = choose_formats(
        float_model, noise_clips(_CLIPS, _FRAMES, inputs, seed), QuantizationSettings()
    )
    layer = QFDHTLSTM(
        **arguments,
        quantizers={key: formats[key] for key in required_names(float_model.get_layer(LSTM).shape)},
        name=LSTM,
    )
    weights, bias = (quantizer_for(formats[key]) for key in HEAD_FORMATS)
    head = qkeras.QDense(CLASSES, kernel_quantizer=weights, bias_quantizer=bias, name=HEAD)
    model = _assemble(layer, head, inputs)
    for own in (LSTM, HEAD):
        values = [weight.numpy() for weight in float_model.get_layer(own).trainable_weights]
        for weight, value in zip(model.get_layer(own).trainable_weights, values, strict=True):
            weight.assign(value)
    labels = tuple(f"class {number}" for number in range(CLASSES))
    network = export_network(
        layer, head, name=f"study-{name}", classes=labels, preprocessing=plain(inputs, steps=6)
    )
    return model, network


def noise_clips(clips: int, frames: int, inputs: int, seed: int) -> npt.NDArray[np.uint8]:
    """Noise whose strength changes from frame to frame: uint8[clips, frames, inputs]."""
    generator = np.random.default_rng(seed)
    noise = generator.integers(0, 256, (clips, frames, inputs))
    strength = generator.uniform(0, 1, (clips, frames, 1))
    return np.rint(noise * strength).astype(np.uint8)


def _assemble(layer: Any, head: Any, inputs: int) -> Any:
    frames = keras.Input((None, inputs), dtype="uint8", name="frames")
    return keras.Model(frames, head(layer(keras.layers.Rescaling(1 / 256)(frames))))
