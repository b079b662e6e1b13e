"""Binary points: balance the cores by powers of two, look at magnitudes, choose formats."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from fdht_models.experiment import INPUT_FORMAT
from fdht_models.kerasapi import tf
from fdht_models.layers.quantizers import stage_names
from fdht_models.layers.recurrent import States, TensorRNN
from fdht_models.sections import QuantizationSettings
from fdht_models.tensor.fixedpoint import FixedPoint, integer_bits_for
from fdht_models.tensor.network import merge_arrays
from fdht_models.tensor.recurrent import RecurrentShape
from fdht_models.training.models import HEAD, HEAD_FORMATS, LSTM

#: Clips whose intermediate results are held at once.
_BLOCK = 8

Array = npt.NDArray[Any]


def balance(shape: RecurrentShape, weights: Mapping[str, Array]) -> dict[str, Array]:
    """Weights of the same function whose stored cores but the first have maxima in [0.5, 1).

    Every format is linear in each of its cores. So a core is multiplied by a power of two, and
    the first one, whose slices meet x and h alike, is divided by it. QKeras has no format whose
    range is less than 1, so that a smaller core would waste bits; and powers of two change no
    digit of any result.

    Args:
        shape: the layer.
        weights: arrays of the cores of `shape.network`, by name.
    """
    balanced = {name: np.array(weights[name]) for name in shape.network.core_names}
    stored = merge_arrays(shape.network, shape.groups, balanced)
    first = shape.groups[shape.first_core][0]
    for name, members in shape.groups.items():
        largest = float(np.abs(stored[name]).max())
        if name != shape.first_core and largest > 0:
            exponent = -math.frexp(largest)[1]
            balanced[members[0]] = np.ldexp(balanced[members[0]], exponent)
            balanced[first] = np.ldexp(balanced[first], -exponent)
    return balanced


@dataclass
class Magnitudes:
    """What was seen of one value: the largest magnitude, and every magnitude of a sample."""

    largest: float = 0.0
    sample: list[Array] = field(default_factory=list)

    def see(self, values: Any, every: int) -> None:
        """Takes in a tensor; of each `every` values one is kept for percentiles."""
        flat = np.abs(np.asarray(values, np.float32)).ravel()
        self.largest = max(self.largest, float(flat.max(initial=0.0)))
        self.sample.append(flat[::every].copy())

    def percentile(self, percent: float) -> float:
        """The magnitude that `percent` of the sample do not exceed; 100 gives the largest."""
        if percent >= 100:
            return self.largest
        return float(np.percentile(np.concatenate(self.sample), percent))


def observe(layer: TensorRNN, frames: npt.NDArray[np.uint8]) -> dict[str, Magnitudes]:
    """Runs a float layer and records every value that a quantised one would round.

    Args:
        layer: built.
        frames: uint8 [clips, steps, inputs].

    Returns:
        Magnitudes by the names of `required_names`, of what `TensorRNN.emit` sees.
    """
    seen: dict[str, Magnitudes] = {}

    def record(name: str, values: tf.Tensor) -> None:
        every = 16 if name in stages else 1  # stages emit far more than is needed
        seen.setdefault(name, Magnitudes()).see(values, every)

    stages = stage_names(layer.shape)
    layer.observer = record
    try:
        forward = layer.begin(training=False)
        for start in range(0, len(frames), _BLOCK):
            block = frames[start : start + _BLOCK]
            scaled = tf.cast(block, tf.float32) * INPUT_FORMAT.scale
            projected = layer.project(tf.reshape(scaled, (-1, block.shape[-1])), forward)
            projected = tf.reshape(projected, (len(block), block.shape[1], -1))
            states: States = [tf.zeros((len(block), layer.units)) for _ in layer.state_names]
            for step in range(block.shape[1]):
                states = layer.step(projected[:, step], states, forward)
    finally:
        layer.observer = None
    return seen


def choose_formats(
    model: Any, frames: npt.NDArray[np.uint8], settings: QuantizationSettings
) -> dict[str, FixedPoint]:
    """Formats of a quantised classifier from its balanced float twin.

    Each format has the width of the settings and the fewest integer bits that hold what was
    seen. The pre-activation alone may saturate, by `settings.preactivation_percentile`.

    Args:
        model: the float classifier.
        frames: uint8 [clips, steps, inputs] to observe it on.
        settings: the widths.

    Returns:
        Formats by the names of `required_names` and `HEAD_FORMATS`.
    """
    layer = model.get_layer(LSTM)
    seen = observe(layer, frames)
    cores = layer.stored_cores(training=False)
    formats = {"input": INPUT_FORMAT}
    for name in layer.shape.stored_names:
        formats[name] = signed_format(settings.core_width(name), _largest(cores[name]))
    formats["bias"] = signed_format(settings.bias, _largest(layer.bias))
    for name in stage_names(layer.shape):
        formats[name] = signed_format(settings.intermediates, seen[name].largest)
    percentile = seen["preactivation"].percentile(settings.preactivation_percentile)
    for name, table in layer.kind.tables.items():
        width = getattr(settings, name)
        unsigned = FixedPoint(width, width, signed=False)
        formats[name] = unsigned if table.function == "gate" else signed_format(width, 0.0)
    largest = {"preactivation": percentile, "hidden": 0.0}
    for name in layer.kind.formats:
        found = largest[name] if name in largest else seen[name].largest
        formats[name] = signed_format(getattr(settings, name), found)
    kernel, bias = model.get_layer(HEAD).get_weights()
    for name, width, values in zip(
        HEAD_FORMATS, (settings.head_weights, settings.head_bias), (kernel, bias), strict=True
    ):
        formats[name] = signed_format(width, _largest(values))
    return formats


def signed_format(width: int, largest: float) -> FixedPoint:
    """The signed format of that width with the fewest integer bits that hold +-largest.

    QKeras' formats have a range of at least 1.
    """
    return FixedPoint(width, width - max(integer_bits_for(largest), 1))


def _largest(values: Any) -> float:
    return float(np.abs(np.asarray(values)).max())
