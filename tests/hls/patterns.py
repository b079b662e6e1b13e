"""Frames of which much is zero: what a core of sparse frames skips, and where it must not."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from fdht_models.tensor.quantized import WORD_BYTES, QuantizedNetwork, frame_modes


def sparse_patterns(network: QuantizedNetwork, count: int, seed: int) -> npt.NDArray[np.int64]:
    """Frames of every kind, one after the other.

    None, all, the first value, the last value, one value anywhere; then random ones: values, words
    or fibres of a share that differs from frame to frame, some with extremes only.

    Returns:
        Codes [count, inputs].
    """
    form, generator = network.input_format, np.random.default_rng([seed, 61])
    size = (count, network.inputs)
    frames = generator.integers(form.minimum, form.maximum + 1, size)
    extreme = np.where(generator.random(size) < 0.5, form.minimum or 1, form.maximum)
    frames = np.where(generator.random((count, 1)) < 0.3, extreme, frames)
    frames[frames == 0] = 1
    return frames * _kept(network, count, generator)


def _kept(
    network: QuantizedNetwork, count: int, generator: np.random.Generator
) -> npt.NDArray[np.bool_]:
    """Values that are not zero: [count, inputs]."""
    inputs, (_, fibre) = network.inputs, frame_modes(network.recurrence)
    kept = np.zeros((count, inputs), bool)
    share = generator.random(count) ** 2
    for number in range(count):
        run = (1, WORD_BYTES, fibre)[number % 3]
        values = np.repeat(generator.random(-(-inputs // run)) < share[number], run)
        kept[number] = values[:inputs]
    special = [[], [*range(inputs)], [0], [inputs - 1], [int(generator.integers(inputs))], []]
    order = generator.permutation(count)[: len(special)]
    for number, places in zip(order, special, strict=False):
        kept[number] = False
        kept[number, places] = True
    return kept
