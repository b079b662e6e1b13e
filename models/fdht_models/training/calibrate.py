"""Binary points: balance the cores by powers of two, look at magnitudes, choose formats."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from fdht_models.experiment import INPUT_FORMAT, QuantizationSettings
from fdht_models.kerasapi import tf
from fdht_models.layers.contract import run_plan
from fdht_models.layers.lstm import FDHTLSTM
from fdht_models.layers.quantizers import core_names, stage_names
from fdht_models.tensor.fdht import GATES, FdhtShape
from fdht_models.tensor.fixedpoint import FixedPoint, integer_bits_for
from fdht_models.tensor.network import merge_arrays
from fdht_models.training.models import HEAD, HEAD_FORMATS, LSTM

#: Clips whose intermediate results are held at once.
_BLOCK = 8

Array = npt.NDArray[Any]


def balance(shape: FdhtShape, weights: Mapping[str, Array]) -> dict[str, Array]:
    """HT weights of the same function whose chain cores C2 .. Cd have their maxima in [0.5, 1).

    Leaf k is multiplied by a power of two, and the first leaf, whose slices meet x and h alike,
    is divided by it. QKeras has no format whose range is less than 1, so a smaller core would
    waste bits; and powers of two change no digit of any result.

    Args:
        shape: the network.
        weights: arrays of the cores of `shape.network`, by name.
    """
    balanced = {name: np.array(weights[name]) for name in shape.network.core_names}
    chain = merge_arrays(shape.network, shape.groups, balanced)
    for k in range(2, len(shape.input_modes) + 1):
        largest = float(np.abs(chain[f"C{k}"]).max())
        if largest > 0:
            exponent = -math.frexp(largest)[1]
            balanced[f"U{k}"] = np.ldexp(balanced[f"U{k}"], exponent)
            balanced["U1"] = np.ldexp(balanced["U1"], -exponent)
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


def observe(layer: FDHTLSTM, frames: npt.NDArray[np.uint8]) -> dict[str, Magnitudes]:
    """Runs a float layer and records every value that a quantised one would round.

    Args:
        layer: built.
        frames: uint8 [clips, steps, inputs].

    Returns:
        Magnitudes by the names of `required_names` for stages, pre-activation and cell.
    """
    names = stage_names(layer.modes)
    seen = {f"{path}.{name}": Magnitudes() for path in ("input", "hidden") for name in names}
    seen |= {"preactivation": Magnitudes(), "cell": Magnitudes()}

    def recorder(path: str) -> Any:
        def record(position: int, values: tf.Tensor) -> tf.Tensor:
            seen[f"{path}.{names[position]}"].see(values, every=16)
            return values

        return record

    cores = layer.stored_cores(training=False)
    input_cores = [cores[name] for name in layer.input_cores]
    hidden_cores = [cores[name] for name in layer.hidden_cores]
    for start in range(0, len(frames), _BLOCK):
        block = frames[start : start + _BLOCK]
        scaled = tf.cast(block, tf.float32) * INPUT_FORMAT.scale
        flat = tf.reshape(scaled, (-1, block.shape[-1]))
        projected = run_plan(layer.shape.input_plan, flat, input_cores, recorder("input"))
        projected = tf.reshape(projected, (len(block), -1, len(GATES) * layer.units))
        hidden = cell = tf.zeros((len(block), layer.units))
        for step in range(block.shape[1]):
            recurrent = run_plan(layer.shape.hidden_plan, hidden, hidden_cores, recorder("hidden"))
            seen["preactivation"].see(projected[:, step] + recurrent + layer.bias, every=1)
            weights = [*hidden_cores, layer.bias]
            hidden, (_, cell) = layer.step(projected[:, step], (hidden, cell), weights, False)
            seen["cell"].see(cell, every=1)
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
    for name in core_names(layer.modes):
        formats[name] = signed_format(settings.core_width(name), _largest(cores[name]))
    formats["bias"] = signed_format(settings.bias, _largest(layer.bias))
    for path in ("input", "hidden"):
        for name in stage_names(layer.modes):
            largest = seen[f"{path}.{name}"].largest
            formats[f"{path}.{name}"] = signed_format(settings.intermediates, largest)
    percentile = seen["preactivation"].percentile(settings.preactivation_percentile)
    formats["preactivation"] = signed_format(settings.preactivation, percentile)
    formats["gate"] = FixedPoint(settings.gate, settings.gate, signed=False)
    formats["candidate"] = signed_format(settings.candidate, 0.0)
    formats["output"] = signed_format(settings.output, 0.0)
    formats["cell"] = signed_format(settings.cell, seen["cell"].largest)
    formats["hidden"] = signed_format(settings.hidden, 0.0)
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
